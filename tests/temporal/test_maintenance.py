"""What recurs on a calendar, on a real Temporal: made once, corrected, paused by people, taken up after a death."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
import sqlalchemy as sa
from prometheus_client import REGISTRY
from temporalio import activity
from temporalio.client import Client, ScheduleHandle, ScheduleIntervalSpec, ScheduleSpec, WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Worker

from activities.engine import WorkerEngine, worker_engine
from activities.erasures import ErasureRequest, request_erasure
from activities.loops.maintenance import Maintenance
from activities.loops.maintenance_schedules import SCHEDULES, keep_schedules
from activities.processes import Processes
from activities.settings import Settings
from activities.tables import erasures, event_ids, grants, jobs, players
from local.ports import free_port
from local.temporal import TemporalServer
from tests.support.engine import SECRET, execute, rows
from tests.support.machine import eventually, within
from tests.support.servers import LocalBonusEngine, running
from worker import maintenance_worker, retention_worker
from workflows.background.maintenance import LEARN, SCORE, LearnedScores, Now, Rearmed, ScoredPlayers, ScorePlayers
from workflows.player_state.state import PlayerState
from workflows.rules.index import RuleIndex

ROOT = Path(__file__).parent.parent.parent
REARM, RECONCILE = "journeys-rearm-players", "journeys-reconcile-grants"
ERASE, RETAIN = "journeys-erase", "journeys-retain"
#: So many that a worker at its rate is far from their end when somebody has noticed that it is at work.
MANY = 1_000
T = TypeVar("T")


@pytest.fixture
async def client(session_folder: Path) -> AsyncIterator[Client]:
    """A Temporal of its own, because a schedule is one for all who use a server."""
    server = TemporalServer(port=free_port(), ui_port=None, database=None)
    async with running(server.service(), session_folder):
        yield await Client.connect(server.address, data_converter=pydantic_data_converter)


@pytest.fixture
async def built(postgres_url: str, bonus_engine: LocalBonusEngine) -> AsyncIterator[WorkerEngine]:
    settings = Settings(
        database_url=postgres_url,
        webhook_secret=SECRET,
        link_secrets=(SECRET,),
        bonus_engine_url=bonus_engine.url,
        rearm_rate=10_000,
    )
    async with worker_engine(settings) as made:
        yield made


async def triggered(client: Client, schedule: str, result: type[T]) -> WorkflowHandle[Any, T]:
    """A run of a schedule, started by hand."""
    handle = client.get_schedule_handle(schedule)
    before = (await handle.describe()).info.num_actions
    await handle.trigger()

    async def begun() -> list[Any]:
        info = (await handle.describe()).info
        return [*info.recent_actions] if info.num_actions > before else []

    action = (await eventually(begun))[-1].action
    return client.get_workflow_handle(action.workflow_id, result_type=result)


async def some_players(built: WorkerEngine, count: int, state: str = "{}") -> None:
    await execute(
        built.database,
        "INSERT INTO players (brand, id, state) "
        "SELECT CASE WHEN n % 2 = 0 THEN 'acme' ELSE 'other' END, 'p' || lpad(n::text, 5, '0'), :state "
        "FROM generate_series(1, :count) n",
        count=count,
        state=state,
    )


def awaiting_all(rules: RuleIndex) -> dict[str, Any]:
    """The state of a player of whom nothing is known, and who awaits every moment of the rules."""
    state = PlayerState("acme", "p00001")
    state.rearm(rules, datetime.now(UTC), [])
    return state.to_json()


class TestSchedules:
    async def handles(self, client: Client) -> dict[str, ScheduleHandle]:
        async def all_seen() -> dict[str, ScheduleHandle]:
            found = {one.id: client.get_schedule_handle(one.id) async for one in await client.list_schedules()}
            return found if len(found) >= len(SCHEDULES) else {}

        found: dict[str, ScheduleHandle] = await eventually(all_seen)
        return found

    async def test_several_workers_that_start_at_once_make_each_schedule_once(self, client: Client) -> None:
        await asyncio.gather(*(keep_schedules(client) for _ in range(4)))
        assert (await self.handles(client)).keys() == SCHEDULES.keys()

    async def test_what_is_as_the_code_says_is_not_touched(self, client: Client) -> None:
        await keep_schedules(client)
        await keep_schedules(client)
        for name, handle in (await self.handles(client)).items():
            assert (await handle.describe()).info.last_updated_at is None, name

    @pytest.mark.parametrize("changed", ["spec", "action", "policy"])
    async def test_what_the_code_says_otherwise_by_now_is_corrected_and_a_pause_stays(
        self, client: Client, changed: str
    ) -> None:
        await keep_schedules(client)
        wanted = SCHEDULES[RECONCILE]
        handle = client.get_schedule_handle(RECONCILE)
        await handle.pause(note="until the bonus engine is back")
        new: dict[str, Any] = {
            "spec": ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(hours=7))]),
            "action": replace(wanted.action, execution_timeout=timedelta(minutes=77)),  # type: ignore[type-var]
            "policy": replace(wanted.policy, catchup_window=timedelta(minutes=7)),
        }
        await keep_schedules(client, {**SCHEDULES, RECONCILE: replace(wanted, **{changed: new[changed]})})
        found = (await handle.describe()).schedule
        assert (found.state.paused, found.state.note) == (True, "until the bonus engine is back")
        assert {
            "spec": found.spec.intervals[0].every == timedelta(hours=7),
            "action": getattr(found.action, "execution_timeout", None) == timedelta(minutes=77),
            "policy": found.policy.catchup_window == timedelta(minutes=7),
        } == {part: part == changed for part in new}


class TestRuns:
    async def test_a_grant_in_doubt_is_settled(self, client: Client, built: WorkerEngine) -> None:
        await keep_schedules(client)
        long_ago = datetime.now(UTC) - timedelta(hours=1)
        async with built.database.transaction() as connection:
            await connection.execute(
                grants.insert().values(
                    id="welcome:acme:doubtful:1/grant:free_spins#1",
                    brand="acme",
                    player_id="doubtful",
                    run_id="welcome:acme:doubtful:1",
                    step="grant:free_spins#1",
                    journey="welcome",
                    kind="free_spins",
                    reward={"kind": "free_spins", "count": 10},
                    status="unknown",
                    reason="the bonus engine never answered",
                    decision={},
                    reserved_at=long_ago,
                    asked_at=long_ago,
                )
            )
        async with maintenance_worker(client, built):
            run = await triggered(client, RECONCILE, int)
            assert await run.result() in {0, 1}  # 0 if the schedule's own time came first
            (row,) = await rows(built.database, grants)
        assert (row["status"], row["reason"]) == ("refused", "never_arrived")

    async def test_a_player_who_was_asked_to_be_erased_is(self, client: Client, built: WorkerEngine) -> None:
        await keep_schedules(client)
        await some_players(built, 1)
        asked = ErasureRequest("other", "p00001", "objection", "T-1", "officer")
        async with built.database.transaction() as connection:
            await request_erasure(connection, built.intake, asked, datetime.now(UTC))
        async with retention_worker(client, built.forgetting):
            assert await (await triggered(client, ERASE, int)).result() in {0, 1}
            (erasure,) = await rows(built.database, erasures)
        assert erasure["done_at"] is not None

    async def test_at_night_what_has_had_its_time_is_forgotten_and_counted(
        self, client: Client, built: WorkerEngine
    ) -> None:
        await keep_schedules(client)
        known = "INSERT INTO event_ids (identity, received_at) VALUES (gen_random_uuid(), :at)"
        for days_ago in (1, 89, 91, 400):
            await execute(built.database, known, at=datetime.now(UTC) - timedelta(days=days_ago))
        counted = ("journeys_forgotten_rows_total", {"table": "event_ids"})
        before = REGISTRY.get_sample_value(*counted) or 0
        async with retention_worker(client, built.forgetting):
            gone = await (await triggered(client, RETAIN, dict[str, int])).result()
        assert len(await rows(built.database, event_ids)) == 2
        assert gone["event_ids"] in {0, 2}  # 0 if the schedule's own time came first
        assert REGISTRY.get_sample_value(*counted) == before + 2

    async def test_every_player_is_looked_at_and_only_who_changes_is_written(
        self, client: Client, built: WorkerEngine
    ) -> None:
        await keep_schedules(client)
        known = awaiting_all(built.intake.rules)
        await some_players(built, 230, json.dumps(known))
        stale = json.dumps({"moments": {**known["moments"], "inactive:gone:1": "2100-01-01T00:00:00Z"}})
        await execute(built.database, "UPDATE players SET state = :stale WHERE id = 'p00150'", stale=stale)
        await execute(built.database, """UPDATE players SET state = '{"moments": "nonsense"}' WHERE id = 'p00007'""")
        before = {row["id"]: row["updated_at"] for row in await rows(built.database, players)}
        async with maintenance_worker(client, built):
            result = await (await triggered(client, REARM, Rearmed)).result()
        found = {row["id"]: row for row in await rows(built.database, players)}
        assert (result.seen, result.changed, result.failed) == (230, 1, 1)
        assert found["p00150"]["state"] == known
        assert {name for name, row in found.items() if row["updated_at"] != before[name]} == {"p00150"}

    async def test_players_are_looked_at_no_faster_than_the_rate(self, client: Client, built: WorkerEngine) -> None:
        await keep_schedules(client)
        await some_players(built, 95)
        rested: list[float] = []

        async def pause(seconds: float) -> None:
            rested.append(seconds)

        slow = Maintenance(built.database, built.intake, built.maintenance.grants, built.clock, rate=20, pause=pause)
        async with maintenance_worker(client, replace(built, maintenance=slow)):
            assert (await (await triggered(client, REARM, Rearmed)).result()).seen == 95
        assert sum(rested) == pytest.approx(95 / 20)

    async def test_who_was_looked_at_under_the_same_rules_is_not_looked_at_again(
        self, client: Client, built: WorkerEngine
    ) -> None:
        await keep_schedules(client)
        await some_players(built, 50)
        async with maintenance_worker(client, built):
            assert (await (await triggered(client, REARM, Rearmed)).result()).seen == 50
            again = await (await triggered(client, REARM, Rearmed)).result()
            assert (again.seen, again.skipped) == (0, True)
        changed = Maintenance(
            *(built.database, built.intake, built.maintenance.grants, built.clock),
            rate=10_000,
            processes=Processes(built.database, RuleIndex({})),
        )
        async with maintenance_worker(client, replace(built, maintenance=changed)):
            assert (await (await triggered(client, REARM, Rearmed)).result()).seen == 50

    async def test_a_look_beside_another_build_is_made_again(self, client: Client, built: WorkerEngine) -> None:
        await keep_schedules(client)
        await some_players(built, 50)
        other = Processes(built.database, RuleIndex({}), build="other")
        await other.beat()
        # It lives for as long as the look takes, and not for half a minute.
        lives_on = "UPDATE processes SET seen_at = seen_at + interval '1 hour' WHERE build = 'other'"
        await execute(built.database, lives_on)
        async with maintenance_worker(client, built):
            assert (await (await triggered(client, REARM, Rearmed)).result()).seen == 50
            await other.leave()
            again = await (await triggered(client, REARM, Rearmed)).result()
            assert (again.seen, again.changed) == (50, 0)  # what one look wrote, the next one leaves
            assert (await (await triggered(client, REARM, Rearmed)).result()).skipped


class TestDeath:
    @asynccontextmanager
    async def process(self, client: Client, built: WorkerEngine) -> AsyncIterator[asyncio.subprocess.Process]:
        """A worker as it runs in production, only slow."""
        address = client.service_client.config.target_host
        given = {"DATABASE_URL": built.settings.database_url, "TEMPORAL_ADDRESS": address, "REARM_RATE": "20"}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "worker", "--role", "worker"),
            cwd=ROOT,
            env=os.environ | given | {"WEBHOOK_SECRET": SECRET, "LINK_SECRETS": SECRET, "METRICS_PORT": "0"},
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    @pytest.mark.parametrize("end", [pytest.param("killed", marks=pytest.mark.slow), "told to stop"])
    async def test_after_a_workers_end_another_goes_on_where_it_was(
        self, client: Client, built: WorkerEngine, end: str
    ) -> None:
        await some_players(built, MANY)

        async with self.process(client, built) as process:

            async def made() -> bool:
                return REARM in {one.id async for one in await client.list_schedules()}

            await eventually(made)
            run = await triggered(client, REARM, Rearmed)

            async def heard() -> int:
                return sum(row["done"] for row in await rows(built.database, jobs))

            await eventually(heard)
            if end == "killed":
                process.kill()
            else:
                process.terminate()
            await process.wait()
        before = {row["id"]: row["cursor"] for row in await rows(built.database, jobs)}
        assert 0 < await heard() < MANY
        async with built.database.transaction() as connection:
            # Whoever began again from the start would wait here for ever.
            for cursor in filter(None, before.values()):
                brand, player_id = json.loads(cursor)
                last = sa.select(players).where(players.c.brand == brand, players.c.id == player_id)
                await connection.execute(last.with_for_update())
            async with maintenance_worker(client, built), within(60):
                result = await run.result()
        assert result.seen == MANY
        assert {row["id"] for row in await rows(built.database, jobs)} >= before.keys()


async def test_scoring_that_is_tried_again_is_given_the_moment_it_was_given_before(client: Client) -> None:
    heard: list[datetime] = []

    @activity.defn(name=LEARN)
    async def learn(_: Now) -> LearnedScores:
        return LearnedScores()

    @activity.defn(name=SCORE)
    async def score(given: Now) -> ScoredPlayers:
        heard.append(given.at)
        if len(heard) == 1:
            raise ConnectionError("as where a worker dies")
        return ScoredPlayers(seen=1)

    async with Worker(client, task_queue="scoring", workflows=[ScorePlayers], activities=[learn, score]):
        scored = await client.execute_workflow(ScorePlayers.run, id="scoring", task_queue="scoring")
    assert scored == ScoredPlayers(seen=1)
    first, second = heard
    assert first == second
    assert first.tzinfo is not None
