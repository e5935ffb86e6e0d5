"""Shadows on Postgres: begun with the live run, answered without anything being done, ended, compared."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest

from activities.intake.backpressure import Pressure
from activities.intake.intake import Intake
from activities.loops.bulk_work import WAITS_S, Pacing
from activities.loops.shadow_stops import ShadowStops, begin_shadow_stop
from activities.retention import RETENTION
from activities.run_delivery.deliveries import BULK, PROTECTION
from activities.runs import RunOver
from activities.settings import Settings
from activities.shadow_report import LOST, MOST_COMPARED, MOST_STEPS, UNDER_WAY, ShadowComparison, compare
from activities.shadows import RunningShadows, ShadowRow, newest_shadow, start_shadow, stop_shadow
from activities.tables import deliveries, grants, messages, players, runs, shadow_runs, shadow_steps, steps, tasks
from local.ports import free_port
from tests.support.api_client import Api, serving
from tests.support.engine import BRAND, Effects, Row, connected, done, effects, execute, rows, run_of
from tests.support.machine import within
from tests.support.servers import owners
from workflows import DepositApproved, ExclusionSet, PlayerRegistered, deposit_match, hours, points
from workflows.effects import (
    EFFECTS,
    EffectInput,
    End,
    Give,
    Mark,
    OpenTask,
    Refresh,
    Send,
    StartJourney,
    Withheld,
    Withhold,
)
from workflows.json_object import JsonObject
from workflows.player_facts import PlayerFacts
from workflows.player_state.control_arms import arm_of
from workflows.player_state.shadow_runs import LOST_AFTER
from workflows.run_protocol import StoryLine

JOURNEY, VERSION = "welcome", 1
REACHABLE: dict[str, Any] = {
    "email": "anna@synthetic.example",
    "language": "en",
    "timezone": "Europe/Kyiv",
    "currency": "EUR",
    "opted_in": ("email", "sms", "push", "in_app"),
}


@dataclass
class Scene:
    """A player whose run of a shipped journey has a shadow."""

    parts: Effects
    shadow: ShadowRow
    player: str
    live: str

    @property
    def run(self) -> str:
        return f"shadow-{self.shadow.id}:{self.live}"

    def given(self, kind: type[EffectInput], step: str, run_id: str | None = None, **more: Any) -> Any:
        common: dict[str, Any] = {
            "brand": BRAND,
            "player_id": self.player,
            "journey": JOURNEY,
            "run_id": run_id or self.run,
        }
        return kind(**common, step=step, **more)

    async def withholds(self, kind: type[EffectInput], step: str, **more: Any) -> JsonObject:
        """What a withheld effect is answered."""
        effect = next(one for one in EFFECTS if one.input is kind)
        asked = Withhold.of(effect.name, self.given(kind, step, **more), self.live)
        answer: Withheld = await self.parts.shadows.withhold(asked)
        return answer.answer

    async def sends(self, template: str = "guide", number: int = 1, **more: Any) -> JsonObject:
        return await self.withholds(Send, f"send:{template}#{number}", template=template, via=["email"], **more)

    async def ends(self, outcome: str = "completed") -> None:
        await self.withholds(End, "end", outcome=outcome)

    async def stops(self) -> None:
        now = self.parts.casino.clock()
        async with self.parts.database.transaction() as connection:
            await stop_shadow(connection, self.shadow, "olena", now)
            job = await begin_shadow_stop(connection, self.shadow, "olena", now)
        self.parts.casino.intake.shadows = RunningShadows()
        await self.works_off(job.id)

    async def works_off(self, job_id: str) -> None:
        """End the runs of a stopped shadow, a batch at a time."""
        while await self.stopping(timedelta(0)).batch(job_id) is not None:
            pass

    async def another(self) -> str:
        """One more player outside of the control group."""
        return await treated(self.parts.casino.intake, lambda name: self.parts.casino.player(f"late-{name}"))

    def stopping(self, settling: timedelta) -> ShadowStops:
        casino = self.parts.casino
        pressure = Pressure(self.parts.database, Settings(database_url=self.parts.database.url))
        return ShadowStops(self.parts.database, casino.intake, pressure, casino.clock, Pacing(settling=settling))

    async def compared(self) -> ShadowComparison:
        async with self.parts.database.reading() as connection:
            return await compare(connection, self.shadow.id, self.parts.casino.clock())

    async def kept(self) -> list[str]:
        found = await rows(self.parts.database, shadow_steps, run_id=self.run)
        return [f"{row['step']}: {row['outcome']}" for row in found]

    async def rows(self, table: Any, **where: Any) -> list[Row]:
        return await rows(self.parts.database, table, **where)


@pytest.fixture(scope="module")
async def parts(module_postgres_url: str) -> AsyncIterator[Effects]:
    async with effects(module_postgres_url) as built:
        yield built


@pytest.fixture
async def scene(parts: Effects) -> AsyncIterator[Scene]:
    with parts.for_one_test():
        casino = parts.casino
        async with parts.database.transaction() as connection:
            asked = {"journey": JOURNEY, "version": VERSION, "percent": 100}
            shadow = await start_shadow(connection, BRAND, asked, "olena", casino.clock())
        assert shadow is not None
        casino.intake.shadows = RunningShadows()
        player = await treated(casino.intake, casino.player)
        await casino.happens(player, PlayerRegistered, **REACHABLE)
        made = Scene(parts, shadow, player, await run_of(parts.database, player, JOURNEY))
        yield made
        await made.stops()


async def treated(intake: Intake, named: Any) -> str:
    """A player outside of the control group."""
    control = intake.rules.journeys[JOURNEY].control
    names = (named(f"p{n}") for n in range(100))
    return next(str(name) for name in names if arm_of(BRAND, name, JOURNEY, control) == "treated")


async def test_a_shadow_begins_with_the_live_run_and_stands_in_none_of_its_tables(scene: Scene) -> None:
    assert [row["id"] for row in await scene.rows(runs, player_id=scene.player)] == [scene.live]
    (begun,) = await scene.rows(shadow_runs, player_id=scene.player)
    assert (begun["id"], begun["beside"], begun["ended_at"]) == (scene.run, scene.live, None)
    (live,), (shadow,) = [await scene.rows(deliveries, run_id=one) for one in (scene.live, scene.run)]
    assert shadow["priority"] == BULK
    own = {"run_id": scene.run, "version": VERSION, "beside": scene.live}
    assert shadow["payload"] == live["payload"] | own


async def test_a_message_is_judged_and_not_sent_and_nothing_of_the_player_changes(scene: Scene) -> None:
    before = await scene.rows(players, id=scene.player)
    for _ in range(2):
        assert (await scene.sends())["sent"] == ["email"]
    assert await scene.kept() == ["send:guide#1: sent"]
    assert await scene.rows(players, id=scene.player) == before
    for table in (messages, steps):
        assert await scene.rows(table, player_id=scene.player) == []


async def test_the_caps_count_what_the_shadow_would_have_sent_and_not_what_the_live_run_did(scene: Scene) -> None:
    sent = scene.given(Send, "send:favourite-tip#1", scene.live, template="favourite-tip", via=["in_app"])
    assert done(await scene.parts.messages.send(sent)).sent == ["in_app"]
    assert (await scene.sends())["sent"] == ["email"]
    assert (await scene.sends("favourite-tip"))["suppressed"] == {"email": "daily_cap"}
    scene.parts.casino.clock.later(timedelta(days=1, minutes=1))
    assert (await scene.sends("favourite-tip", 2))["sent"] == ["email"]
    assert len(await scene.rows(messages, player_id=scene.player)) == 1


async def test_another_journeys_message_counts_against_the_caps_of_a_shadow(scene: Scene) -> None:
    other = await scene.parts.enters(scene.player, "other")
    sent = scene.given(Send, "send:favourite-tip#1", other, template="favourite-tip", via=["in_app"])
    await scene.parts.messages.send(sent)
    assert (await scene.sends())["suppressed"] == {"email": "daily_cap"}


async def test_an_answer_given_once_is_given_again_whatever_the_gate_would_say_by_then(scene: Scene) -> None:
    assert (await scene.withholds(Give, "grant:points#1", reward=points(5)))["status"] == "confirmed"
    await scene.parts.casino.happens(scene.player, ExclusionSet, until=None)
    assert (await scene.withholds(Give, "grant:points#1", reward=points(5)))["status"] == "confirmed"
    assert (await scene.withholds(Give, "grant:points#2", reward=points(5)))["reason"] == "self_excluded"
    assert await scene.rows(grants, player_id=scene.player) == []


async def test_a_message_that_waits_for_the_morning_is_judged_again(scene: Scene) -> None:
    scene.parts.casino.clock.later(timedelta(hours=11))  # 23:00 in Kyiv, or midnight in summer
    waiting = await scene.sends()
    assert waiting["wait_until"] is not None
    scene.parts.casino.clock.later(timedelta(hours=11))
    story = [StoryLine(line=1, step="send:guide#1", at=scene.parts.casino.clock(), outcome="quiet_hours")]
    assert (await scene.sends(story=story))["sent"] == ["email"]
    assert await scene.kept() == ["send:guide#1: sent", "send:guide#1: waiting", "send:guide#1: quiet_hours"]


async def test_nobody_is_asked_and_no_other_journey_begins(scene: Scene) -> None:
    facts = PlayerFacts(player_id=scene.player)
    task = {"form": "F", "question": "?", "form_schema": {}, "team": "vip", "due_at": scene.parts.casino.clock()}
    assert (await scene.withholds(OpenTask, "ask:F#1", **task, facts=facts))["task_id"]
    assert (await scene.withholds(StartJourney, "start:win_back#1", start="win_back"))["refused"] is None
    assert (await scene.withholds(Refresh, "refresh#1"))["currency"] == "EUR"
    assert await scene.rows(tasks, player_id=scene.player) == []
    assert len(await scene.rows(runs, player_id=scene.player)) == 1


async def test_the_entry_rule_of_another_journey_is_asked_with_what_the_shadow_would_have_entered(scene: Scene) -> None:
    async def enters(number: int) -> object:
        asked = await scene.withholds(StartJourney, f"start:win_back#{number}", start="win_back")
        return asked["refused"]

    assert await enters(1) is None
    assert await enters(2) == "The entry rule of the journey does not allow it now."
    assert await enters(1) is None, "an answer that was given stays"


async def test_a_shadow_enters_where_the_live_run_did_by_the_same_step_and_nowhere_else(scene: Scene) -> None:
    live = scene.given(StartJourney, "start:win_back#1", run_id=scene.live, start="win_back")
    assert done(await scene.parts.runs.start(live)).refused is None
    asked = {"start": "win_back"}
    assert (await scene.withholds(StartJourney, "start:win_back#2", **asked))["refused"] is not None, "it is in it"
    assert (await scene.withholds(StartJourney, "start:win_back#1", **asked))["refused"] is None


async def test_a_reward_for_a_deposit_costs_what_the_deposit_that_came_makes_it(scene: Scene) -> None:
    casino = scene.parts.casino
    for given in (deposit_match(50, 10_000, wager=0), points(100)):
        await scene.withholds(Give, f"grant:{given.name}#1", reward=given)
    casino.clock.later(hours(1))
    await casino.happens(scene.player, DepositApproved, amount_minor=3_000, currency="EUR")
    await casino.happens(scene.player, DepositApproved, amount_minor=9_000, currency="EUR")
    (cost,) = (await scene.compared()).costs
    assert (cost.shadow.grants, cost.shadow.expected) == (2, 1_500)
    assert (cost.live.grants, cost.live.expected) == (0, 0)


async def test_a_real_effect_under_the_id_of_a_shadow_run_is_refused(scene: Scene) -> None:
    parts = scene.parts
    asked: list[Any] = [
        parts.messages.send(scene.given(Send, "send:guide#1", template="guide", via=["email"])),
        parts.grants.give(scene.given(Give, "grant:points#1", reward=points(5))),
        parts.runs.mark(scene.given(Mark, "mark:x#1", name="x")),
        parts.runs.start(scene.given(StartJourney, "start:win_back#1", start="win_back")),
    ]
    for one in asked:
        with pytest.raises(RunOver):
            await one


async def test_the_end_of_a_shadow_frees_its_place_in_the_players_row_and_stays_the_first(scene: Scene) -> None:
    await scene.ends()
    await scene.ends("ended")
    (ended,) = await scene.rows(shadow_runs, id=scene.run)
    assert ended["outcome"] == "completed"
    (player,) = await scene.rows(players, id=scene.player)
    assert "shadows" not in player["state"]
    assert scene.live in player["state"]["runs"]
    with pytest.raises(RunOver):
        await scene.sends()


async def test_a_shadow_whose_player_is_gone_is_over_and_can_end(scene: Scene) -> None:
    await execute(scene.parts.database, "DELETE FROM players WHERE id = :id", id=scene.player)
    with pytest.raises(RunOver):
        await scene.sends()
    await scene.ends("run_over")
    assert (await scene.rows(shadow_runs, id=scene.run))[0]["outcome"] == "run_over"


async def test_a_shadow_that_is_stopped_is_over_at_once_and_told_so(scene: Scene) -> None:
    await scene.stops()
    with pytest.raises(RunOver):
        await scene.sends()
    assert (await scene.rows(shadow_runs, id=scene.run))[0]["outcome"] == "shadow_stopped"
    told = await scene.rows(deliveries, run_id=scene.run)
    assert [(row["kind"], row["priority"]) for row in told] == [("start", BULK), ("stop", BULK)]
    late = scene.parts.casino.player("late")
    await scene.parts.casino.happens(late, PlayerRegistered, **REACHABLE)
    assert await scene.rows(shadow_runs, player_id=late) == []


async def test_players_enter_while_somebody_stops_a_shadow(scene: Scene) -> None:
    casino, late = scene.parts.casino, await scene.another()
    async with scene.parts.database.transaction() as connection:
        casino.intake.shadows = RunningShadows(timer=lambda: 0.0)
        shadow = await newest_shadow(connection, BRAND, JOURNEY, lock=True)
        assert shadow is not None
        await stop_shadow(connection, shadow, "olena", casino.clock())
        async with within(20):
            await casino.happens(late, PlayerRegistered, **REACHABLE)
    assert len(await scene.rows(shadow_runs, player_id=late)) == 1


async def test_a_run_that_began_while_its_shadow_was_stopped_is_ended_too(scene: Scene) -> None:
    casino, late = scene.parts.casino, await scene.another()
    now = casino.clock()
    # A process that has not noticed yet.
    casino.intake.shadows = RunningShadows(timer=lambda: 0.0)
    async with scene.parts.database.transaction() as connection:
        await casino.intake.shadows.of(connection, BRAND)
        await stop_shadow(connection, scene.shadow, "olena", now)
        job = await begin_shadow_stop(connection, scene.shadow, "olena", now)
    at_work = scene.stopping(timedelta(hours=1))
    while await at_work.batch(job.id) != WAITS_S:
        pass
    await casino.happens(late, PlayerRegistered, **REACHABLE)
    assert (await scene.rows(shadow_runs, player_id=late))[0]["ended_at"] is None
    await scene.works_off(job.id)
    assert (await scene.rows(shadow_runs, player_id=late))[0]["outcome"] == "shadow_stopped"


async def test_a_run_that_begins_while_its_shadow_is_stopped_does_nothing(scene: Scene) -> None:
    await execute(scene.parts.database, "UPDATE shadows SET stopped_at = now() WHERE id = :id", id=scene.shadow.id)
    with pytest.raises(RunOver):
        await scene.sends()


async def test_an_exclusion_stops_a_shadow_before_everything_else(scene: Scene) -> None:
    await scene.parts.casino.happens(scene.player, ExclusionSet, until=None)
    stops = [row for run in (scene.live, scene.run) for row in await scene.rows(deliveries, run_id=run, kind="stop")]
    assert [row["priority"] for row in stops] == [PROTECTION, PROTECTION]


async def test_an_answer_reaches_the_live_run_and_its_shadow(scene: Scene) -> None:
    intake = scene.parts.casino.intake
    async with (
        scene.parts.database.transaction() as connection,
        intake.locked(connection, BRAND, [scene.player], scene.parts.casino.clock()) as locked,
    ):
        assert locked.answer(scene.player, scene.live, "ask:F#1", {"mood": "well"})
    told = [row for run in (scene.live, scene.run) for row in await scene.rows(deliveries, run_id=run, kind="answer")]
    assert [row["payload"] for row in told] == 2 * [{"step": "ask:F#1", "answer": {"mood": "well"}}]


async def test_what_a_shadow_would_have_done_is_told_beside_what_the_live_run_did(scene: Scene) -> None:
    sent = scene.given(Send, "send:favourite-tip#1", scene.live, template="favourite-tip", via=["in_app"])
    await scene.parts.messages.send(sent)
    await scene.sends()
    await scene.sends("favourite-tip")
    await scene.withholds(Give, "grant:cash#1", reward={"kind": "cash", "amount_minor": 250})
    compared = await scene.compared()
    assert (compared.runs, compared.under_way) == (1, 1)
    assert [(one.step, one.live, one.shadow) for one in compared.steps] == [
        ("grant:cash#1", {}, {"confirmed": 1}),
        ("send:favourite-tip#1", {"sent": 1}, {"suppressed: daily_cap": 1}),
        ("send:guide#1", {}, {"sent": 1}),
    ]
    (cost,) = compared.costs
    assert (cost.currency, cost.live.most, cost.shadow.most, cost.shadow.expected) == ("EUR", 0, 250, 250)
    assert [(one.live, one.shadow, one.runs) for one in compared.ends] == [(UNDER_WAY, UNDER_WAY, 1)]
    await scene.ends()
    assert [(one.live, one.shadow) for one in (await scene.compared()).ends] == [(UNDER_WAY, "completed")]


async def test_of_very_many_steps_the_first_are_told_and_how_many_more_there_are(scene: Scene) -> None:
    many = (
        "INSERT INTO shadow_steps (run_id, step, line, outcome, at) SELECT "
        "id, 'send:many#' || n, 0, 'sent', ends_at - interval '1 day' + n * interval '1 second' "
        "FROM shadow_runs, generate_series(1, :many) n WHERE id = :run"
    )
    await execute(scene.parts.database, many, run=scene.run, many=MOST_STEPS + 3)
    told = await scene.compared()
    assert [one.step for one in told.steps] == [f"send:many#{n}" for n in range(1, MOST_STEPS + 1)]
    assert told.steps_left == 3


async def test_a_shadow_that_has_not_ended_a_day_after_it_had_to_is_lost(scene: Scene) -> None:
    ends_after = scene.parts.casino.intake.rules.journeys[JOURNEY].ends_after
    scene.parts.casino.clock.later(ends_after + LOST_AFTER + timedelta(minutes=1))
    assert [one.shadow for one in (await scene.compared()).ends] == [LOST]


async def test_what_shadows_would_have_done_is_forgotten_with_them(scene: Scene) -> None:
    await scene.sends()
    scene.parts.casino.clock.later(timedelta(days=60))
    async with connected(owners(scene.parts.database.url)) as owner, owner.transaction() as connection:
        for statement in RETENTION["shadow_runs"].forget:
            await connection.execute(statement, {"before": scene.parts.casino.clock(), "limit": 1_000})
    assert await scene.rows(shadow_runs, id=scene.run) == await scene.rows(shadow_steps, run_id=scene.run) == []


async def test_of_very_many_runs_a_sample_is_compared_and_that_is_said(scene: Scene) -> None:
    many = (
        "INSERT INTO shadow_runs (id, shadow_id, brand, player_id, beside, ends_at) SELECT 'shadow-x:' || n, :shadow, "
        "'acme', 'p' || n, 'x:' || n, now() + interval '9 years' FROM generate_series(1, :many) n"
    )
    await execute(scene.parts.database, many, shadow=scene.shadow.id, many=2 * MOST_COMPARED - 1)
    told, again = await scene.compared(), await scene.compared()
    assert (told.runs, told.under_way) == (2 * MOST_COMPARED, 2 * MOST_COMPARED)
    assert 0.9 * MOST_COMPARED < told.compared < 1.1 * MOST_COMPARED
    assert sum(one.runs for one in told.ends) == told.compared
    assert again == told
    await execute(scene.parts.database, "DELETE FROM shadow_runs WHERE id LIKE 'shadow-x:%'")


# ---- over HTTP ------------------------------------------------------------------------------------


@pytest.fixture
async def api(module_postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Api]:
    monkeypatch.setenv("TEMPORAL_ADDRESS", f"127.0.0.1:{free_port()}")
    async with serving(module_postgres_url) as served:
        yield served


@pytest.fixture
async def crm(api: Api) -> httpx.AsyncClient:
    return await api.client("journeys:manage", name="crm")


async def starts(crm: httpx.AsyncClient, **asked: Any) -> httpx.Response:
    return await crm.post(f"/v1/journeys/{JOURNEY}/shadow", json={"version": VERSION, "percent": 100} | asked)


async def test_a_shadow_is_started_once_looked_at_and_stopped(api: Api, crm: httpx.AsyncClient) -> None:
    made = await starts(crm)
    assert (made.status_code, made.json()["started_by"], made.json()["running"]) == (201, "crm", True)
    assert (await starts(crm)).status_code == 200
    other = await starts(crm, percent=5)
    assert (other.status_code, other.json()["type"]) == (409, "urn:journeys:problem:shadowed")
    await api.engine.intake.ingest(
        api.brand,
        [
            (f"p-{n}", PlayerRegistered.example().model_copy(update={"event_id": f"r-{n}", "occurred_at": now}))
            for now in [api.engine.clock()]
            for n in range(20)
        ],
        api.engine.clock(),
    )
    told = (await crm.get(f"/v1/journeys/{JOURNEY}/shadow")).json()
    await api.count()
    entered = (await crm.get(f"/v1/journeys/{JOURNEY}")).json()["arms"]["treated"]["entered"]
    assert 0 < told["runs"] == told["under_way"] == entered
    assert len((await crm.get("/v1/runs")).json()["items"]) == 20
    for _ in range(2):
        stopped = await crm.post(f"/v1/journeys/{JOURNEY}/shadow/stop")
        assert (stopped.status_code, stopped.json()["stopped_by"]) == (200, "crm")
    again = (await crm.get(f"/v1/journeys/{JOURNEY}/shadow")).json()
    assert (again["running"], again["runs"], again["under_way"]) == (False, told["runs"], 0)
    assert (await starts(crm, percent=5)).status_code == 201


async def test_what_cannot_be_shadowed_is_told(api: Api, crm: httpx.AsyncClient) -> None:
    assert "welcome has no v9 here; it has v1, v2." in (await starts(crm, version=9)).text
    assert "Did you mean welcome?" in (await crm.post("/v1/journeys/welcom/shadow/stop")).text
    assert "welcome never had a shadow" in (await crm.get(f"/v1/journeys/{JOURNEY}/shadow")).text
    reader = await api.client("players:read")
    assert (await starts(reader)).status_code == 403
