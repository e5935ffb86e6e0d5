"""Postgres is set back while Temporal is ahead: nothing is swallowed, nothing heard twice, no run left behind."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from secrets import token_hex
from typing import ClassVar

import pytest
from temporalio import workflow
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.database import Database
from activities.deployment_names import DeploymentNames, queue_in
from activities.loops.reconcile_runs import RunReconciliation
from activities.run_delivery.dispatcher import Dispatcher
from activities.settings import TASK_QUEUE
from activities.tables import dead_letters, deliveries, players, runs
from tests.support.engine import BRAND, NOON, Casino, connected, execute, rows, run_of
from tests.support.exactness import JOURNEYS, heard_in_temporal
from workflows import DepositApproved, ExclusionSet, SessionLogin, days
from workflows.background.maintenance import ComparedRuns
from workflows.effects import RUN_OVER
from workflows.run_protocol import DELIVER, DeliveryBatch, RunInput
from workflows.source.journey_loading import Registry


@workflow.defn(name="exact_first")
class EndsAtOnce:
    """Ends as it is told, without asking the books: what they then say of it is older."""

    #: By run; one that is to wait is told nothing.
    outcomes: ClassVar[dict[str, str]] = {}

    @workflow.run
    async def run(self, given: RunInput) -> str:
        if self.outcomes[given.run_id] == "waits":
            await workflow.sleep(days(1))
        return self.outcomes[given.run_id]

    @workflow.signal(name=DELIVER)
    def deliver(self, batch: DeliveryBatch) -> None:
        """Heard, and of no use."""


@dataclass
class House:
    """Intake, a dispatcher and what compares, on a Temporal that plays runs as `EndsAtOnce`."""

    casino: Casino
    client: Client

    @property
    def database(self) -> Database:
        return self.casino.intake.database

    async def dispatch(self) -> None:
        await Dispatcher(self.database, self.client, Registry(JOURNEYS, (), {})).run_once()

    async def closed(self, outcome: str, *, keep: str = "nothing") -> str:
        """A run that is active in the books and has begun in Temporal, to end there as it is told; its id."""
        player = self.casino.player()
        await self.casino.happens(player, DepositApproved, payment_id=player)
        await execute(self.database, "DELETE FROM deliveries WHERE run_id NOT LIKE 'exact_first:%'")
        await execute(self.database, "UPDATE runs SET state = 'ended', check_at = NULL WHERE journey <> 'exact_first'")
        run_id = await run_of(self.database, player, "exact_first")
        EndsAtOnce.outcomes[run_id] = outcome
        kept = await rows(self.database, deliveries)
        await self.dispatch()
        if outcome != "waits":
            await self.client.get_workflow_handle(run_id).result()
        if keep == "start":
            async with self.database.transaction() as connection:
                await connection.execute(deliveries.insert().values(kept))
        return run_id

    async def compare(self) -> ComparedRuns:
        """Whatever is under way in the books."""
        reconciliation = RunReconciliation(
            self.database, self.casino.intake, self.casino.clock, rate=1_000, pause=lambda _: asyncio.sleep(0)
        )
        await execute(self.database, "UPDATE runs SET check_at = :now WHERE state = 'active'", now=NOON)
        return await reconciliation.compare(self.client)

    async def outcome(self, run_id: str) -> str | None:
        (row,) = await rows(self.database, runs, id=run_id)
        outcome: str | None = row["outcome"]
        return outcome


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    async with connected(postgres_url) as database:
        yield database


@pytest.fixture
def casino(database: Database) -> Casino:
    return Casino.of(database, JOURNEYS)


async def deliver(database: Database, client: Client) -> None:
    dispatcher = Dispatcher(database, client, Registry(JOURNEYS, (), {}))
    while await rows(database, deliveries):
        await execute(database, "UPDATE deliveries SET due_at = now()")
        await dispatcher.run_once()


async def row_of(database: Database, player: str) -> str:
    (row,) = await rows(database, players, id=player)
    return json.dumps(row["state"])


async def test_what_comes_after_a_players_row_was_set_back_is_heard_and_a_stop_stops(
    casino: Casino, database: Database, temporal: Client
) -> None:
    player = casino.player()
    await casino.happens(player, DepositApproved, payment_id="d-1")
    run_id = await run_of(database, player, "exact_first")
    before = await row_of(database, player)
    for _ in range(3):
        await casino.happens(player, SessionLogin)
    await deliver(database, temporal)
    assert (await heard_in_temporal(temporal, run_id)).last_seen == 3
    await execute(database, "UPDATE players SET state = CAST(:state AS jsonb) WHERE id = :id", state=before, id=player)
    await casino.happens(player, SessionLogin)
    await deliver(database, temporal)
    told = await heard_in_temporal(temporal, run_id)
    assert (len(told.events), told.last_seen) == (4, 3), "the fourth login came under the number of the first"
    await casino.happens(player, ExclusionSet, kind="self_exclusion", until=None)
    await deliver(database, temporal)
    assert (await heard_in_temporal(temporal, run_id)).exit == "self_excluded"
    assert await rows(database, dead_letters) == []


async def test_an_answer_that_was_given_after_the_loss_reaches_its_run(
    casino: Casino, database: Database, temporal: Client
) -> None:
    player = casino.player()
    await casino.happens(player, DepositApproved, payment_id="d-1")
    run_id = await run_of(database, player, "exact_first")
    before = await row_of(database, player)
    await casino.happens(player, SessionLogin, SessionLogin)
    await deliver(database, temporal)
    await execute(database, "UPDATE players SET state = CAST(:state AS jsonb) WHERE id = :id", state=before, id=player)
    async with (
        database.transaction() as connection,
        casino.intake.locked(connection, BRAND, [player], NOON) as locked,
    ):
        assert locked.answer(player, run_id, "ask:Word#1", {"word": "yes"})
    await deliver(database, temporal)
    assert (await heard_in_temporal(temporal, run_id)).answers == {"ask:Word#1": {"word": "yes"}}


async def test_what_is_sent_again_after_the_loss_is_heard_once(
    casino: Casino, database: Database, temporal: Client
) -> None:
    player = casino.player()
    await casino.happens(player, DepositApproved, payment_id="d-1")
    run_id = await run_of(database, player, "exact_first")
    before = await row_of(database, player)
    lost = [(player, casino.event(SessionLogin)) for _ in range(3)]
    await casino.intake.ingest(BRAND, lost, NOON)
    await deliver(database, temporal)
    await execute(database, "UPDATE players SET state = CAST(:state AS jsonb) WHERE id = :id", state=before, id=player)
    for table in ("events", "event_ids"):
        await execute(database, f"DELETE FROM {table}")
    await casino.happens(player, SessionLogin)
    assert await casino.intake.ingest(BRAND, lost, NOON) == ["accepted"] * 3
    await deliver(database, temporal)
    assert len((await heard_in_temporal(temporal, run_id)).events) == 4


class TestRunsOfTheLostTime:
    """Runs that Temporal has closed while the books, set back, call them active."""

    @pytest.fixture
    async def house(self, postgres_url: str, temporal_address: str) -> AsyncIterator[House]:
        name = f"t-{token_hex(4)}"
        client = await Client.connect(
            temporal_address, data_converter=pydantic_data_converter, interceptors=[DeploymentNames(name)]
        )
        queue = queue_in(name, TASK_QUEUE)
        async with (
            connected(postgres_url) as database,
            Worker(client, task_queue=queue, workflows=[EndsAtOnce], workflow_runner=UnsandboxedWorkflowRunner()),
        ):
            yield House(Casino.of(database, JOURNEYS), client)

    async def test_one_that_came_to_its_end_ends_here_as_it_did_there(self, house: House) -> None:
        run_id = await house.closed("goal")
        assert await house.compare() == ComparedRuns(played=1)
        assert await house.outcome(run_id) == "goal"

    async def test_what_is_sent_to_one_that_came_to_its_end_is_dropped(self, house: House) -> None:
        run_id = await house.closed("goal")
        await house.casino.happens(run_id.split(":")[2], SessionLogin)
        await house.dispatch()
        assert await rows(house.database, deliveries) == await rows(house.database, dead_letters) == []

    async def test_one_that_was_refused_begins_anew_once_with_all_it_is_to_hear(self, house: House) -> None:
        run_id = await house.closed(RUN_OVER)
        EndsAtOnce.outcomes[run_id] = "completed"
        await house.casino.happens(run_id.split(":")[2], SessionLogin)
        await house.dispatch()
        (waiting,) = await rows(house.database, deliveries)
        assert waiting["last_error"].endswith("or begins anew.")
        assert await house.compare() == ComparedRuns(begun_again=1)
        await execute(house.database, "UPDATE deliveries SET due_at = now()")
        await house.dispatch()
        assert await house.client.get_workflow_handle(run_id, result_type=str).result() == "completed"
        assert await rows(house.database, deliveries) == await rows(house.database, dead_letters) == []
        assert await house.compare() == ComparedRuns(played=1)

    async def test_one_that_is_entered_again_after_it_was_refused_begins_anew_at_once(self, house: House) -> None:
        run_id = await house.closed(RUN_OVER, keep="start")
        EndsAtOnce.outcomes[run_id] = "completed"
        await house.dispatch()
        assert await house.client.get_workflow_handle(run_id, result_type=str).result() == "completed"
        assert await rows(house.database, dead_letters) == []

    async def test_one_that_somebody_terminated_before_it_did_anything_is_not_begun_for_ever(
        self, house: House
    ) -> None:
        run_id = await house.closed("waits")
        await house.client.get_workflow_handle(run_id).terminate()
        assert await house.compare() == ComparedRuns(lost=1)
        assert await rows(house.database, deliveries) == []
