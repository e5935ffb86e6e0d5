"""The books against a real Temporal: what it lost ends here, what it never had begins again, and most is not all."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import pytest
from temporalio import workflow
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Worker

from activities.database import Database
from activities.loops.reconcile_runs import AFTER_ITS_END, AGAIN_SOON, DOUBTED, EVERY, LOST_RUNS, RunReconciliation
from activities.run_delivery.deliveries import BULK
from activities.run_delivery.dispatcher import Dispatcher
from activities.run_effects import RunEffects
from activities.runs import FIRST_CHECK
from activities.settings import TASK_QUEUE
from activities.tables import dead_letters, deliveries, runs, steps, tasks
from tests.support.engine import BRAND, NOON, Casino, Row, connected, execute, rows, run_of
from tests.support.exactness import JOURNEYS, Line
from tests.support.machine import eventually
from workflows import DepositApproved, ExclusionSet, SessionLogin
from workflows.background.maintenance import ComparedRuns
from workflows.effects import End, Mark
from workflows.run_protocol import RunInput
from workflows.source.journey_loading import Registry

HOUR = timedelta(hours=1)


async def at_once(_seconds: float) -> None:
    """The pause between two batches, for who has no time."""


class Books:
    """Players of `exact_first`, a dispatcher without a worker, and what compares."""

    def __init__(self, database: Database, client: Client) -> None:
        self.database = database
        self.client = client
        self.casino = Casino.of(database, JOURNEYS)
        self.effects = RunEffects(database, self.casino.intake, self.casino.clock)
        self.reconciliation = RunReconciliation(
            database, self.casino.intake, self.casino.clock, rate=1_000, pause=at_once
        )

    async def enters(self, *names: str) -> list[str]:
        """Players enter, each with one run of `exact_first`; the runs."""
        players = [self.casino.player(name) for name in names]
        for player in players:
            await self.casino.happens(player, DepositApproved, payment_id=player)
        # One run a player is enough.
        await execute(self.database, "DELETE FROM deliveries WHERE run_id NOT LIKE 'exact_first:%'")
        await execute(self.database, "UPDATE runs SET state = 'ended', check_at = NULL WHERE journey <> 'exact_first'")
        return [await run_of(self.database, player, "exact_first") for player in players]

    async def deliver(self) -> None:
        await Dispatcher(self.database, self.client, Registry(JOURNEYS, (), {})).run_once()

    async def marks(self, run_id: str) -> None:
        """The run has done something that is written down."""
        _, brand, player, _ = run_id.split(":")
        given = Mark(brand=brand, player_id=player, journey="exact_first", run_id=run_id, step="mark:x#1", name="x")
        await self.effects.mark(given)

    async def terminate(self, *run_ids: str) -> None:
        for run_id in run_ids:
            await self.client.get_workflow_handle(run_id).terminate()

    async def compare(self, client: Client | None = None, *, accept_loss: bool = False) -> ComparedRuns:
        return await self.reconciliation.compare(client or self.client, accept_loss=accept_loss)

    async def run(self, run_id: str) -> Row:
        (row,) = await rows(self.database, runs, id=run_id)
        return row


@pytest.fixture
async def books(postgres_url: str, temporal: Client) -> AsyncIterator[Books]:
    async with connected(postgres_url) as database:
        yield Books(database, temporal)


async def test_a_run_terminated_by_hand_ends_as_lost_and_frees_its_player(books: Books) -> None:
    (run_id,) = await books.enters("p")
    await books.deliver()
    await books.marks(run_id)
    await books.terminate(run_id)
    before = LOST_RUNS.labels("exact_first")._value.get()
    assert await books.compare() == ComparedRuns(), "it is too young to be looked at"
    books.casino.clock.later(FIRST_CHECK)
    assert await books.compare() == ComparedRuns(lost=1)
    assert LOST_RUNS.labels("exact_first")._value.get() == before + 1
    row = await books.run(run_id)
    assert (row["state"], row["outcome"], row["check_at"]) == ("ended", "lost", None)
    assert ("end", "lost") in [(s["step"], s["outcome"]) for s in await rows(books.database, steps, run_id=run_id)]
    (player,) = {row["player_id"]}
    async with (
        books.database.transaction() as connection,
        books.casino.intake.locked(connection, BRAND, [player], NOON) as locked,
    ):
        assert run_id not in {one for one, run in locked.states[player].runs.items() if not run.over}
    assert await books.compare() == ComparedRuns()


async def test_a_run_that_somebody_deleted_with_its_history_ends_as_lost(books: Books) -> None:
    (run_id,) = await books.enters("p")
    await books.deliver()
    await books.marks(run_id)
    await books.client.workflow_service.delete_workflow_execution(
        DeleteWorkflowExecutionRequest(
            namespace=books.client.namespace, workflow_execution=WorkflowExecution(workflow_id=run_id)
        )
    )

    async def is_gone() -> bool:
        try:
            await books.client.get_workflow_handle(run_id).describe()
        except RPCError as error:
            return error.status is RPCStatusCode.NOT_FOUND
        return False

    await eventually(is_gone)
    books.casino.clock.later(FIRST_CHECK)
    assert await books.compare() == ComparedRuns(lost=1)


async def test_a_run_that_temporal_never_had_begins_again_once(books: Books) -> None:
    (run_id,) = await books.enters("p")
    (begun,) = await rows(books.database, deliveries, run_id=run_id)
    await execute(books.database, "DELETE FROM deliveries")  # acknowledged by a Temporal that was then restored
    books.casino.clock.later(FIRST_CHECK)
    assert await books.compare() == ComparedRuns(begun_again=1)
    (again,) = await rows(books.database, deliveries, run_id=run_id)
    assert (again["seq"], again["kind"], again["payload"], again["priority"]) == (0, "start", begun["payload"], BULK)
    assert again["id"] != begun["id"]
    await books.deliver()
    assert (await books.client.get_workflow_handle(run_id).describe()).workflow_type == "exact_first"
    await books.terminate(run_id)
    books.casino.clock.later(AFTER_ITS_END)
    assert await books.compare() == ComparedRuns(lost=1), "a run that is lost twice is not begun for ever"


async def test_a_run_that_was_told_to_stop_is_not_begun_again(books: Books) -> None:
    (run_id,) = await books.enters("p")
    await books.casino.happens((await books.run(run_id))["player_id"], ExclusionSet, kind="self_exclusion", until=None)
    await execute(books.database, "DELETE FROM deliveries")
    books.casino.clock.later(FIRST_CHECK)
    assert await books.compare() == ComparedRuns(lost=1)


@pytest.mark.parametrize("holder", ["deliveries", "dead_letters"])
async def test_a_run_whose_start_is_still_to_be_delivered_has_not_been_lost(books: Books, holder: str) -> None:
    (run_id,) = await books.enters("p")
    if holder == "dead_letters":
        await execute(
            books.database,
            "INSERT INTO dead_letters (run_id, seq, brand, kind, payload, reason) "
            "SELECT run_id, seq, brand, kind, payload, 'unknown' FROM deliveries",
        )
        await execute(books.database, "DELETE FROM deliveries")
    books.casino.clock.later(FIRST_CHECK)
    assert await books.compare() == ComparedRuns(open=1)
    assert (await books.run(run_id))["state"] == "active"


async def test_a_run_under_way_is_looked_at_every_day_and_soon_where_it_should_have_ended(books: Books) -> None:
    (run_id,) = await books.enters("p")
    await books.deliver()
    clock = books.casino.clock
    clock.later(FIRST_CHECK)
    assert await books.compare() == ComparedRuns(open=1)
    assert (await books.run(run_id))["check_at"] == clock.now + EVERY
    clock.now = (await books.run(run_id))["ends_at"] + AFTER_ITS_END
    assert await books.compare() == ComparedRuns(late=1)
    assert (await books.run(run_id))["check_at"] == clock.now + AGAIN_SOON


async def test_a_run_that_has_recorded_its_end_was_not_lost(books: Books) -> None:
    (run_id,) = await books.enters("p")
    await books.deliver()
    await books.terminate(run_id)
    _, brand, player, _ = run_id.split(":")
    given = End(brand=brand, player_id=player, journey="exact_first", run_id=run_id, step="end", outcome="completed")
    await books.effects.end(given)
    books.casino.clock.later(FIRST_CHECK)
    assert await books.compare() == ComparedRuns()
    assert (await books.run(run_id))["outcome"] == "completed"


@workflow.defn(name="exact_first", sandboxed=False)
class Odd:
    """A program under the name of a journey that ends as no journey does."""

    @workflow.run
    async def run(self, _given: RunInput) -> dict[str, int]:
        return {"odd": 1}


async def test_a_run_whose_end_in_temporal_cannot_be_read_keeps_no_other_from_being_compared(books: Books) -> None:
    odd, gone = await books.enters("p1", "p2")
    await books.deliver()
    await books.terminate(gone)
    async with Worker(books.client, task_queue=TASK_QUEUE, workflows=[Odd]):
        handle = books.client.get_workflow_handle(odd, result_type=dict[str, int])
        assert await handle.result(rpc_timeout=HOUR) == {"odd": 1}
    await books.casino.happens((await books.run(odd))["player_id"], SessionLogin)
    await books.deliver()
    assert await rows(books.database, dead_letters) == []
    # The clock of the players is another than that of the database, by which the dispatcher has it looked at.
    await execute(books.database, "UPDATE runs SET check_at = entered_at WHERE state = 'active'")
    assert await books.compare() == ComparedRuns(lost=2)
    assert {(await books.run(run_id))["state"] for run_id in (odd, gone)} == {"ended"}


async def test_what_the_dispatcher_finds_lost_is_looked_at_next(books: Books) -> None:
    (run_id,) = await books.enters("p")
    await books.deliver()
    await books.marks(run_id)
    await books.terminate(run_id)
    await books.casino.happens((await books.run(run_id))["player_id"], SessionLogin)
    await books.deliver()
    assert [letter["kind"] for letter in await rows(books.database, dead_letters)] == ["event"]
    books.casino.clock.now += timedelta(days=15)  # the row says now, by the database's clock
    assert await books.compare() == ComparedRuns(lost=1)
    assert await rows(books.database, tasks) == []


class TestTooManyToBelieve:
    async def lost(self, books: Books, count: int) -> Sequence[str]:
        run_ids = await books.enters(*(f"p{number}" for number in range(count)))
        await books.deliver()
        await books.terminate(*run_ids)
        books.casino.clock.later(FIRST_CHECK)
        return run_ids

    async def test_when_most_are_missing_none_is_ended_until_a_person_says_that_it_is_true(self, books: Books) -> None:
        run_ids = await self.lost(books, 12)
        for run_id in run_ids:
            await books.marks(run_id)
        assert await books.compare() == ComparedRuns(doubted=12)
        assert DOUBTED._value.get() == 12
        assert {(await books.run(run_id))["state"] for run_id in run_ids} == {"active"}
        assert await books.compare() == ComparedRuns(), "and nobody asks again at once"
        books.casino.clock.later(AGAIN_SOON)
        assert await books.compare(accept_loss=True) == ComparedRuns(lost=12)
        assert DOUBTED._value.get() == 0

    async def test_a_temporal_that_does_not_answer_says_nothing_of_any_run(self, books: Books) -> None:
        (run_id,) = await self.lost(books, 1)
        line = Line()
        deaf = await Client.connect(
            books.client.service_client.config.target_host, data_converter=pydantic_data_converter, interceptors=[line]
        )
        for status in (RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNAVAILABLE, RPCStatusCode.RESOURCE_EXHAUSTED):
            with line.refusing(status), pytest.raises(RPCError):
                await books.compare(deaf)
        assert (await books.run(run_id))["state"] == "active"
