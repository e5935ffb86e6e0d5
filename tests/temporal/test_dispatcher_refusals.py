"""What Temporal refuses: one payload for good, everybody for a while, and a stop in front of neither."""

import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCStatusCode

from activities.database import Database
from activities.run_delivery.delivery_breaker import BREAKER
from activities.run_delivery.dispatcher import Dispatcher
from activities.tables import dead_letters, deliveries
from tests.support.engine import Casino, connected, execute, rows, run_of
from tests.support.exactness import JOURNEYS, Line, heard_in_temporal
from workflows import DepositApproved, ExclusionSet, SessionLogin
from workflows.source.journey_loading import Registry

DUE = "UPDATE deliveries SET due_at = now()"


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    async with connected(postgres_url) as database:
        yield database


@pytest.fixture
def casino(database: Database) -> Casino:
    return Casino.of(database, JOURNEYS)


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
async def dispatcher(database: Database, temporal: Client, line: Line) -> Dispatcher:
    client = await Client.connect(
        temporal.service_client.config.target_host, data_converter=pydantic_data_converter, interceptors=[line]
    )
    return Dispatcher(database, client, Registry(JOURNEYS, (), {}))


async def told_to(dispatcher: Dispatcher, player: str) -> str:
    """The player's run of `exact_first`."""
    return await run_of(dispatcher.database, player, "exact_first")


async def deliver(dispatcher: Dispatcher) -> None:
    while await rows(dispatcher.database, deliveries):
        await execute(dispatcher.database, DUE)
        await dispatcher.run_once()


def breaker_is_open() -> float:
    (sample,) = next(iter(BREAKER.collect())).samples
    return sample.value


class TestEverybodyIsRefused:
    @pytest.mark.parametrize(
        "answer", [RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNAUTHENTICATED, RPCStatusCode.INVALID_ARGUMENT]
    )
    async def test_a_revoked_key_buries_nothing_and_all_of_it_arrives_when_it_is_mended(
        self,
        answer: RPCStatusCode,
        casino: Casino,
        dispatcher: Dispatcher,
        line: Line,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        crowd = [casino.player(f"p{number}") for number in range(12)]
        for player in crowd[:6]:
            await casino.happens(player, DepositApproved, payment_id="d-1")
        await deliver(dispatcher)
        for player in crowd:
            await casino.happens(player, DepositApproved, SessionLogin, payment_id="d-2")
        await casino.happens(crowd[0], ExclusionSet, kind="self_exclusion", until=None)
        with line.refusing(answer), caplog.at_level(logging.ERROR):
            for _ in range(4):
                await execute(dispatcher.database, DUE)
                assert await dispatcher.run_once() == 0
            assert breaker_is_open() == 1
            assert caplog.text.count("Temporal refuses every run") == 1
            await execute(dispatcher.database, DUE)
            line.calls.clear()
            await dispatcher.run_once()
            assert len(line.calls) <= 2, "one run asks whether it is over, the others wait"
        assert await rows(dispatcher.database, dead_letters) == []
        await deliver(dispatcher)
        assert breaker_is_open() == 0
        assert await rows(dispatcher.database, dead_letters) == []
        for player in crowd[6:]:
            told = await heard_in_temporal(dispatcher.client, await told_to(dispatcher, player))
            assert [event["type"] for event in told.events] == [SessionLogin.wire_type]
        assert (await heard_in_temporal(dispatcher.client, await told_to(dispatcher, crowd[0]))).exit == "self_excluded"

    async def test_a_full_server_is_asked_by_fewer_and_fewer(
        self, casino: Casino, dispatcher: Dispatcher, line: Line
    ) -> None:
        for number in range(12):
            await casino.happens(casino.player(f"p{number}"), DepositApproved, payment_id="d-1")
        asked = []
        with line.refusing(RPCStatusCode.RESOURCE_EXHAUSTED):
            for _ in range(5):
                await execute(dispatcher.database, DUE)
                line.calls.clear()
                await dispatcher.run_once()
                asked.append(len(line.calls))
        assert asked == [24, 12, 6, 3, 1]
        assert dispatcher.brake.pause > 0
        await deliver(dispatcher)
        assert dispatcher.brake.pause == 0
        assert await rows(dispatcher.database, dead_letters) == []


class TestOneIsRefused:
    async def test_an_event_that_cannot_be_read_keeps_no_stop_from_its_run(
        self, casino: Casino, dispatcher: Dispatcher
    ) -> None:
        player = casino.player()
        await casino.happens(player, DepositApproved, payment_id="d-1")
        await deliver(dispatcher)
        await casino.happens(player, SessionLogin)
        await execute(dispatcher.database, "UPDATE deliveries SET payload = '{\"event\": 1}' WHERE kind = 'event'")
        await dispatcher.run_once()
        assert len(await rows(dispatcher.database, deliveries, run_id=await told_to(dispatcher, player))) == 1
        await casino.happens(player, ExclusionSet, kind="self_exclusion", until=None)
        await dispatcher.run_once()
        assert (await heard_in_temporal(dispatcher.client, await told_to(dispatcher, player))).exit == "self_excluded"
        assert await rows(dispatcher.database, deliveries, run_id=await told_to(dispatcher, player)) == []

    async def test_a_stop_that_cannot_be_read_cancels_its_run(self, casino: Casino, dispatcher: Dispatcher) -> None:
        player = casino.player()
        await casino.happens(player, DepositApproved, payment_id="d-1")
        await deliver(dispatcher)
        await casino.happens(player, ExclusionSet, kind="self_exclusion", until=None)
        await execute(dispatcher.database, "UPDATE deliveries SET payload = '{\"reason\": 1}' WHERE kind = 'stop'")
        await dispatcher.run_once()
        history = dispatcher.client.get_workflow_handle(await told_to(dispatcher, player)).fetch_history_events()
        kinds = [event.event_type async for event in history]
        assert EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED in kinds

    async def test_only_what_cannot_be_read_is_given_up_and_the_rest_is_told(
        self, casino: Casino, dispatcher: Dispatcher
    ) -> None:
        player = casino.player()
        await casino.happens(player, DepositApproved, payment_id="d-1")
        await deliver(dispatcher)
        await casino.happens(player, SessionLogin, SessionLogin)
        await execute(
            dispatcher.database,
            "UPDATE deliveries SET payload = '{\"event\": 1}', created_at = now() - interval '1 hour' WHERE seq = 1",
        )
        await deliver(dispatcher)
        letters = await rows(dispatcher.database, dead_letters)
        assert {(letter["run_id"], letter["seq"]) for letter in letters} >= {(await told_to(dispatcher, player), 1)}
        assert all(letter["seq"] == 1 for letter in letters)
        assert (await heard_in_temporal(dispatcher.client, await told_to(dispatcher, player))).last_seen == 2

    async def test_a_stop_that_protects_is_found_among_many_without_reading_them_all(
        self, dispatcher: Dispatcher, explained: list[str]
    ) -> None:
        await execute(
            dispatcher.database,
            "INSERT INTO deliveries (run_id, seq, brand, kind, payload, priority) "
            "SELECT 'r' || n, 1, 'acme', 'stop', '{\"reason\": \"self_excluded\"}', 0 FROM generate_series(1, 20000) n",
        )
        await execute(dispatcher.database, "ANALYZE deliveries")  # as autovacuum does after 2,000 of them
        assert await dispatcher.run_once()
        scanned = [line for line in explained if "ix_deliveries_urgent" in line]
        assert scanned, "\n".join(explained)
        assert all(int(line.partition("actual rows=")[2].split(".")[0].split()[0]) < 200 for line in scanned)
        assert [line for line in explained if "Seq Scan on deliveries" in line] == []


@pytest.fixture
def explained(database: Database) -> Iterator[list[str]]:
    """The plan by which Postgres claims, as it really went."""
    plan: list[str] = []

    def explain(connection: sa.Connection, _cursor: Any, statement: str, given: Any, *_: Any) -> None:
        if "SKIP LOCKED" in statement and "EXPLAIN" not in statement:
            told = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, TIMING OFF) {statement}", given)
            plan.extend(told.scalars())

    sa.event.listen(database.engine.sync_engine, "before_cursor_execute", explain)
    yield plan
    sa.event.remove(database.engine.sync_engine, "before_cursor_execute", explain)
