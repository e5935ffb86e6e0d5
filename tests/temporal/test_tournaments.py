"""An instance of a tournament on real servers: its worker dies in every phase, and each prize is paid once."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
    Worker,
)

from activities.engine import WorkerEngine, worker_engine
from activities.loops.tournament_opening import ASK_AGAIN_S, TournamentOpening, wake_cancelled
from activities.settings import MAINTENANCE_QUEUE, Settings
from activities.tables import point_transfers, standings, tournaments
from activities.tournaments import end_tournament
from tests.support.engine import BRAND, SECRET, Casino, HeldClock, HeldTimer, execute, rows
from tests.support.machine import eventually
from tests.support.tournament_program import race
from workflows.background.tournament_run import (
    CLOSE_TOURNAMENT,
    PAY_PRIZES,
    PHASE,
    Phase,
    TournamentWorkflow,
)
from workflows.loyalty.tournament_prizes import TournamentTerms
from workflows.loyalty.tournaments import board_of, run_of
from workflows.temporal_internals import runner

PLAYERS = 7
PHASES = get_args(Phase)


class Death(Interceptor):
    """A worker that dies when it has done an activity and before anybody hears of it, once for each."""

    def __init__(self) -> None:
        self.died: list[str] = []

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        return _Dying(next, self)


class _Dying(ActivityInboundInterceptor):
    def __init__(self, inner: ActivityInboundInterceptor, death: Death) -> None:
        super().__init__(inner)
        self.death = death

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        name = str(getattr(input.fn, "__name__", ""))
        done = await super().execute_activity(input)
        if name not in self.death.died:
            self.death.died.append(name)
            raise RuntimeError("the worker has died")
        return done


@pytest.fixture
async def engine(postgres_url: str) -> AsyncIterator[WorkerEngine]:
    chosen = Settings(
        database_url=postgres_url,
        webhook_secret=SECRET,
        link_secrets=(SECRET,),
        journeys=("tests.support.tournament_program",),
    )
    async with worker_engine(chosen) as built:
        yield built


@asynccontextmanager
async def working(client: Client, engine: WorkerEngine, death: Death) -> AsyncIterator[None]:
    """A worker that lives until the block ends; then nobody is left."""
    async with Worker(
        client,
        task_queue=MAINTENANCE_QUEUE,
        workflows=[TournamentWorkflow],
        activities=[engine.tournament_closing.close, engine.tournament_closing.pay],
        workflow_runner=runner(),
        interceptors=[death],
        max_cached_workflows=0,
    ):
        yield


async def an_instance(engine: WorkerEngine, *, lasts: float) -> tuple[str, int]:
    """An instance of a few seconds, with standings; its id and its board."""
    instance = f"race:{secrets.token_hex(3)}"
    board, now = board_of(BRAND, instance), datetime.now(UTC)
    await execute(
        engine.database,
        """
        INSERT INTO tournaments (board, brand, name, instance, opens_at, closes_at, cut_at, terms)
        VALUES (:board, :brand, 'race', :instance, :opens, :closes, :cut, CAST(:terms AS jsonb))
        """,
        board=board,
        brand=BRAND,
        instance=instance,
        opens=now + timedelta(seconds=lasts),
        closes=now + timedelta(seconds=2 * lasts),
        cut=now + timedelta(seconds=3 * lasts),
        terms=TournamentTerms.of(race).model_dump_json(),
    )
    casino = Casino(engine.intake, HeldClock(now))
    for number in range(PLAYERS):
        player = casino.player(f"p{number}")
        await casino.registers(player, country="DK", birth_date="1980-01-01")
        await execute(
            engine.database,
            "INSERT INTO standings (brand, player_id, board, neg_score, reached_at, rounds, draw, named) "
            "VALUES (:brand, :player, :board, :score, now(), 1, :draw, true)",
            brand=BRAND,
            player=player,
            board=board,
            score=-1_000 * (PLAYERS - number),
            draw=number,
        )
    return instance, board


async def test_its_worker_dies_in_every_phase_and_each_prize_is_paid_once(
    temporal: Client, engine: WorkerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.loops.tournament_closing.PAGE", 1)
    instance, board = await an_instance(engine, lasts=2.5)
    await engine.tournament_opening.start_due(temporal)
    await engine.tournament_opening.start_due(temporal)
    handle, death = temporal.get_workflow_handle(run_of(BRAND, instance)), Death()

    async def phase() -> str:
        return str(await handle.query(PHASE))

    for waiting in ("open", "running", "grace"):
        async with working(temporal, engine, death):

            async def reached(wanted: str = waiting) -> bool:
                # A slow machine may have missed it; then it is in a later one.
                return PHASES.index(await phase()) >= PHASES.index(wanted)

            await eventually(reached)
    async with working(temporal, engine, death):

        async def over() -> bool:
            (row,) = await rows(engine.database, tournaments, board=board)
            return bool(row["state"] == "done")

        await eventually(over)
        await handle.result()
        assert await phase() == "done"
    assert sorted(death.died) == ["close", "pay"], f"{CLOSE_TOURNAMENT} and {PAY_PRIZES} were done and not heard of"
    found = await rows(engine.database, standings, board=board)
    by_place = {one["place"]: (one["player_id"], one["outcome"]) for one in found}
    assert [by_place[place][1] for place in range(1, PLAYERS + 1)] == ["paid"] * 3 + ["granted"] + [None] * 3
    paid = [one for one in await rows(engine.database, point_transfers) if one["cause"] == "tournament"]
    assert sorted((one["amount"], one["player_id"]) for one in paid) == sorted(
        (points, by_place[place][0]) for place, points in ((1, 500), (2, 100), (3, 100))
    )


async def test_a_cancelled_instance_ends_at_once_and_one_that_somebody_ended_in_temporal_begins_again(
    temporal: Client, engine: WorkerEngine
) -> None:
    instance, board = await an_instance(engine, lasts=3600)
    timer = HeldTimer()
    work = TournamentOpening(engine.database, engine.intake.rules, engine.clock, timer)
    await work.start_due(temporal)
    handle = temporal.get_workflow_handle(run_of(BRAND, instance))
    await handle.terminate()
    await work.start_due(temporal)
    assert (await handle.describe()).status is WorkflowExecutionStatus.TERMINATED, "it was asked for a moment ago"
    timer.now += ASK_AGAIN_S + 1
    await work.start_due(temporal)
    assert (await handle.describe()).status is WorkflowExecutionStatus.RUNNING
    async with engine.database.transaction() as connection:
        assert await end_tournament(connection, board, "cancelled", datetime.now(UTC), "Faulty.")
    await wake_cancelled(temporal, BRAND, instance)
    async with working(temporal, engine, Death()):
        await handle.result()
    assert {one["outcome"] for one in await rows(engine.database, standings, board=board)} == {None}
    timer.now += ASK_AGAIN_S + 1
    await work.start_due(temporal)
    assert (await handle.describe()).status is WorkflowExecutionStatus.COMPLETED
