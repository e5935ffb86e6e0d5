"""Deliveries to Temporal, on the real server: in order, once, and back after every absence."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from google.protobuf.json_format import MessageToDict
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RetryConfig

from activities.database import Database
from activities.run_delivery.deliveries import CLAIM, MOST_AT_ONCE
from activities.run_delivery.dispatcher import Dispatcher
from activities.settings import TASK_QUEUE
from activities.tables import dead_letters, deliveries, runs
from local.ports import free_port
from local.temporal import TemporalServer
from tests.support.engine import BRAND, NOON, Casino, connected, declared, execute, rows, run_of
from tests.support.machine import eventually
from tests.support.servers import ready, running
from workflows import (
    DepositApproved,
    ExclusionSet,
    FeedbackAnswered,
    Player,
    PlayerRegistered,
    ProfileUpdated,
    SessionLogin,
    days,
    journey,
    on,
    once,
)
from workflows.declaration import Journey
from workflows.source.journey_loading import Registry

CANARY = "canary-4712"


@journey(on(DepositApproved), on(PlayerRegistered), entry=once, ends_after=days(30))
async def told(player: Player, happened: DepositApproved) -> None:
    """Hears of logins and of much that is personal."""


JOURNEYS = declared(told, listens=[SessionLogin, ProfileUpdated, FeedbackAnswered])


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    async with connected(postgres_url) as database:
        yield database


@pytest.fixture
def casino(database: Database) -> Casino:
    return Casino.of(database, JOURNEYS)


@pytest.fixture
def dispatcher(database: Database, temporal: Client) -> Dispatcher:
    return dispatching(database, temporal)


def dispatching(database: Database, client: Client, journeys: dict[str, Journey] = JOURNEYS, **how: Any) -> Dispatcher:
    return Dispatcher(database, client, Registry(journeys, (), {}), **how)


async def told_to(database: Database, player: str) -> str:
    """The player's run of `told`."""
    return await run_of(database, player, "told")


async def heard(client: Client, run_id: str) -> list[list[int]]:
    """The numbers of the deliveries in each signal of a run, as its history holds them."""
    signals = []
    async for event in client.get_workflow_handle(run_id).fetch_history_events():
        if event.HasField("workflow_execution_signaled_event_attributes"):
            (payload,) = event.workflow_execution_signaled_event_attributes.input.payloads
            signals.append([item["seq"] for item in json.loads(payload.data)["items"]])
    return signals


async def until_delivered(database: Database) -> None:
    async def delivered() -> bool:
        return not await rows(database, deliveries)

    await eventually(delivered)


class TestDelivering:
    async def test_a_start_makes_a_run_of_the_journeys_name(
        self, casino: Casino, dispatcher: Dispatcher, database: Database, temporal: Client
    ) -> None:
        player = casino.player()
        await casino.happens(player, DepositApproved)
        assert await dispatcher.run_once() == 1
        described = await temporal.get_workflow_handle(await told_to(database, player)).describe()
        assert (described.workflow_type, described.task_queue) == ("told", TASK_QUEUE)
        assert await rows(database, deliveries) == []
        assert await dispatcher.run_once() == 0

    async def test_a_start_and_what_follows_it_are_one_call(
        self, casino: Casino, dispatcher: Dispatcher, temporal: Client
    ) -> None:
        player = casino.player()
        await casino.happens(player, DepositApproved, SessionLogin, SessionLogin)
        await casino.happens(player, SessionLogin)
        assert await dispatcher.run_once() == 1
        assert await heard(temporal, await told_to(dispatcher.database, player)) == [[1, 2, 3]]

    async def test_each_later_signal_carries_all_that_the_run_has_not_heard(
        self, casino: Casino, dispatcher: Dispatcher, temporal: Client
    ) -> None:
        player = casino.player()
        await casino.happens(player, DepositApproved)
        for count in (1, 3, 2):
            await dispatcher.run_once()
            await casino.happens(player, *[SessionLogin] * count)
        await dispatcher.run_once()
        assert await heard(temporal, await told_to(dispatcher.database, player)) == [[1], [2, 3, 4], [5, 6]]

    async def test_a_signal_never_outgrows_what_temporal_takes(
        self, casino: Casino, dispatcher: Dispatcher, temporal: Client
    ) -> None:
        player = casino.player()
        await casino.happens(player, DepositApproved, *[SessionLogin] * (MOST_AT_ONCE + 99))
        while await dispatcher.run_once():
            pass
        signals = await heard(temporal, await told_to(dispatcher.database, player))
        assert list(map(len, signals)) == [MOST_AT_ONCE - 1, 100]
        assert [seq for signal in signals for seq in signal] == list(range(1, MOST_AT_ONCE + 100))

    async def test_two_dispatchers_side_by_side_neither_reorder_nor_double(
        self, casino: Casino, database: Database, temporal: Client
    ) -> None:
        names = [casino.player(f"p{n}") for n in range(24)]
        stop = asyncio.Event()
        pair = [asyncio.create_task(dispatching(database, temporal).run(stop)) for _ in range(2)]
        for round_ in range(6):
            happened = [
                (player, casino.event(DepositApproved if round_ == 0 else SessionLogin))
                for player in names
                for _ in range(2)
            ]
            await casino.intake.ingest(BRAND, happened, NOON)
        await until_delivered(database)
        stop.set()
        await asyncio.gather(*pair)
        for player in names:
            signals = await heard(temporal, await told_to(database, player))
            assert [seq for signal in signals for seq in signal] == list(range(1, 11)), player

    async def test_a_delivery_is_there_at_once_without_polling(
        self, casino: Casino, database: Database, temporal: Client
    ) -> None:
        stop = asyncio.Event()
        # Whoever polled would find it after ten minutes.
        task = asyncio.create_task(dispatching(database, temporal, poll=600).run(stop))
        player = casino.player()
        await casino.happens(player, DepositApproved)
        await until_delivered(database)
        for _ in range(3):
            await casino.happens(player, SessionLogin)
            await until_delivered(database)
        stop.set()
        await task
        assert [seq for signal in await heard(temporal, await told_to(database, player)) for seq in signal] == [1, 2, 3]

    async def test_what_a_pass_leaves_behind_is_delivered_without_another_word(
        self, casino: Casino, database: Database, temporal: Client
    ) -> None:
        one, *others = (casino.player(f"p{number}") for number in range(3 * CLAIM))
        await casino.happens(one, DepositApproved, *[SessionLogin] * (MOST_AT_ONCE + 1))
        await casino.intake.ingest(BRAND, [(player, casino.event(PlayerRegistered)) for player in others], NOON)
        stop = asyncio.Event()
        # It is woken when it begins to listen, and by nobody after that.
        task = asyncio.create_task(dispatching(database, temporal, poll=600).run(stop))
        await until_delivered(database)
        stop.set()
        await task
        assert sum(map(len, await heard(temporal, await told_to(database, one)))) == MOST_AT_ONCE + 1

    async def test_a_pass_that_delivered_all_that_was_due_is_not_followed_by_another(
        self, casino: Casino, database: Database, temporal: Client
    ) -> None:
        claims = 0

        def note(_connection: Any, _cursor: Any, statement: str, *_: object) -> None:
            nonlocal claims
            claims += "claimed AS MATERIALIZED" in statement

        stop = asyncio.Event()
        task = asyncio.create_task(dispatching(database, temporal, poll=600).run(stop))
        sa.event.listen(database.engine.sync_engine, "before_cursor_execute", note)
        for number in range(10):
            await casino.happens(casino.player(f"p{number}"), PlayerRegistered)
            await until_delivered(database)
        stop.set()
        await task
        assert 10 <= claims <= 12, "One for each, besides the first look and that of who begins to listen."

    async def test_a_dispatcher_that_died_frees_what_it_had_claimed(
        self, casino: Casino, dispatcher: Dispatcher, database: Database, temporal: Client
    ) -> None:
        player = casino.player()
        await casino.happens(player, DepositApproved)
        async with database.engine.connect() as dead:
            await dead.execute(sa.select(deliveries).with_for_update())
            assert await dispatcher.run_once() == 0
            pid = (await dead.execute(sa.text("SELECT pg_backend_pid()"))).scalar_one()
            await execute(database, "SELECT pg_terminate_backend(:pid, 10000)", pid=pid)
            await dead.invalidate()
        assert await dispatcher.run_once() == 1
        assert await heard(temporal, await told_to(database, player)) == []

    async def test_no_personal_data_enters_temporal(
        self, casino: Casino, dispatcher: Dispatcher, temporal: Client
    ) -> None:
        player = casino.player()
        about: dict[str, Any] = {
            "email": f"{CANARY}@synthetic.example",
            "first_name": CANARY,
            "username": CANARY,
            "phone": CANARY,
        }
        await casino.happens(player, PlayerRegistered, **about)
        await casino.happens(player, ProfileUpdated, changed={"first_name": CANARY, "phone": CANARY})
        await dispatcher.run_once()
        await casino.happens(player, FeedbackAnswered, text=CANARY)
        await dispatcher.run_once()
        handle = temporal.get_workflow_handle(await told_to(dispatcher.database, player))
        described = await handle.describe()
        kept = [MessageToDict(event) async for event in handle.fetch_history_events()]
        payloads = [
            payload.data.decode()
            async for event in handle.fetch_history_events()
            for payload in (
                *event.workflow_execution_started_event_attributes.input.payloads,
                *event.workflow_execution_signaled_event_attributes.input.payloads,
            )
        ]
        assert len(payloads) == 3
        assert CANARY not in json.dumps([payloads, kept, MessageToDict(described.raw_description)])


class TestRefusals:
    async def test_what_a_run_that_is_over_should_have_heard_is_dropped(
        self, casino: Casino, dispatcher: Dispatcher, database: Database, temporal: Client
    ) -> None:
        player = casino.player()
        await casino.happens(player, DepositApproved)
        await dispatcher.run_once()
        await execute(database, "UPDATE runs SET state = 'ended'")
        await temporal.get_workflow_handle(await told_to(database, player)).terminate()
        await casino.happens(player, SessionLogin)
        assert await dispatcher.run_once() == 1
        assert await rows(database, deliveries) == await rows(database, dead_letters) == []

    async def test_a_run_terminated_by_hand_is_put_before_a_person(
        self, casino: Casino, dispatcher: Dispatcher, database: Database, temporal: Client
    ) -> None:
        player = casino.player()
        await casino.happens(player, DepositApproved)
        await dispatcher.run_once()
        await temporal.get_workflow_handle(await told_to(database, player)).terminate()
        await casino.happens(player, SessionLogin)
        assert await dispatcher.run_once() == 1
        (letter,) = await rows(database, dead_letters)
        assert letter["kind"] == "event"
        assert "Stop the run here, or restore Temporal" in letter["reason"]
        assert await rows(database, deliveries) == []

    async def test_a_run_that_is_to_begin_and_was_played_is_compared_next_and_buries_nothing(
        self, casino: Casino, dispatcher: Dispatcher, database: Database, temporal: Client
    ) -> None:
        """Its answer was lost, or Postgres was set back to before it."""
        player = casino.player()
        await casino.happens(player, DepositApproved)
        kept = await rows(database, deliveries)
        await dispatcher.run_once()
        await temporal.get_workflow_handle(await told_to(database, player)).terminate()
        async with database.transaction() as connection:
            await connection.execute(sa.insert(deliveries).values(kept))
        await casino.happens(player, SessionLogin)
        before = await rows(database, runs, id=await told_to(database, player))
        assert await dispatcher.run_once() == 1
        assert await rows(database, deliveries) == await rows(database, dead_letters) == []
        (run,) = await rows(database, runs, id=await told_to(database, player))
        assert before[0]["check_at"] != run["check_at"] > datetime.now(UTC) - timedelta(minutes=1)

    async def test_a_start_repeated_after_its_run_has_ended_is_dropped(
        self, casino: Casino, dispatcher: Dispatcher, database: Database, temporal: Client
    ) -> None:
        player = casino.player()
        await casino.happens(player, DepositApproved)
        kept = await rows(database, deliveries)
        await dispatcher.run_once()
        await temporal.get_workflow_handle(await told_to(database, player)).terminate()
        await execute(database, "UPDATE runs SET state = 'ended'")
        async with database.transaction() as connection:
            await connection.execute(sa.insert(deliveries).values(kept))
        await dispatcher.run_once()
        assert await rows(database, deliveries) == await rows(database, dead_letters) == []
        query = f'WorkflowId = "{await told_to(database, player)}"'
        assert [run async for run in temporal.list_workflows(query)][1:] == []

    async def test_what_this_release_does_not_know_waits_for_the_next_and_costs_nobody_else(
        self, casino: Casino, database: Database, temporal: Client
    ) -> None:
        unreadable, good = casino.player("unreadable"), casino.player("good")
        for player in (unreadable, good):
            await casino.happens(player, DepositApproved)
        unread = await told_to(database, unreadable)
        await execute(database, "UPDATE deliveries SET payload = '{\"journey\": 1}' WHERE run_id = :run", run=unread)
        await execute(
            database,
            "INSERT INTO deliveries (run_id, seq, brand, kind, payload) "
            "SELECT 'untold', 0, brand, kind, payload || jsonb_build_object('journey', 'untold') "
            "FROM deliveries WHERE run_id = :run",
            run=await told_to(database, good),
        )
        dispatcher = dispatching(database, temporal)
        assert await dispatcher.run_once() == 1
        assert await rows(database, dead_letters) == []
        aged = "UPDATE deliveries SET due_at = now(), created_at = now() - interval '1 hour'"
        await execute(database, aged)
        assert await dispatcher.run_once() == 2
        letters = {letter["run_id"]: letter["reason"] for letter in await rows(database, dead_letters)}
        assert letters == {
            "untold": "No journey untold is deployed here; deploy it again and retry.",
            unread: "The delivery cannot be read by this release; deploy the one that wrote it and retry.",
        }
        assert (await temporal.get_workflow_handle(await told_to(database, good)).describe()).workflow_type == "told"


class TestAbsence:
    @pytest.fixture
    async def server(self, session_folder: Path) -> AsyncIterator[tuple[Any, Client]]:
        """A Temporal of its own that a test may stop, and a client that gives up soon."""
        own = TemporalServer(port=free_port(), ui_port=None, database=session_folder / f"absent-{free_port()}.db")
        async with running(own.service(), session_folder) as process:
            yield (
                process,
                await Client.connect(
                    own.address,
                    data_converter=pydantic_data_converter,
                    retry_config=RetryConfig(max_elapsed_time_millis=300),
                ),
            )

    async def test_while_temporal_is_away_a_pass_that_delivered_nothing_is_not_followed_at_once_by_another(
        self, casino: Casino, database: Database, server: tuple[Any, Client]
    ) -> None:
        process, client = server
        await process.stop()
        others = [(casino.player(f"p{number}"), casino.event(PlayerRegistered)) for number in range(6 * CLAIM)]
        await casino.intake.ingest(BRAND, others, NOON)
        stop = asyncio.Event()
        task = asyncio.create_task(dispatching(database, client, poll=600).run(stop))

        async def untried() -> int:
            return len(await rows(database, deliveries, attempts=0))

        async def begun() -> bool:
            return await untried() < len(others)

        async def all_tried() -> bool:
            return not await untried()

        await eventually(begun)
        with pytest.raises(TimeoutError):
            await eventually(all_tried, within=2)
        stop.set()
        await task

    async def test_while_temporal_is_away_deliveries_wait_and_then_arrive_in_order(
        self, casino: Casino, database: Database, server: tuple[Any, Client]
    ) -> None:
        process, client = server
        dispatcher = dispatching(database, client)
        early, late = casino.player("early"), casino.player("late")
        await casino.happens(early, DepositApproved)
        await dispatcher.run_once()
        await process.stop()
        await casino.happens(early, SessionLogin)
        await casino.happens(late, DepositApproved)
        assert await dispatcher.run_once() == 0
        found = await rows(database, deliveries)
        assert [(row["attempts"], row["last_error"][:11]) for row in found] == [(1, "UNAVAILABLE")] * 2
        await execute(database, "UPDATE deliveries SET attempts = 8, due_at = now()")
        await dispatcher.run_once()
        await dispatcher.run_once()
        assert [row["attempts"] for row in await rows(database, deliveries)] == [9, 9]  # the second backs off
        await execute(database, "UPDATE deliveries SET attempts = 1, due_at = now()")
        await casino.happens(early, SessionLogin)
        process.start()
        await ready(process)
        stop = asyncio.Event()
        task = asyncio.create_task(dispatcher.run(stop))
        await until_delivered(database)
        stop.set()
        await task
        assert [seq for signal in await heard(client, await told_to(database, early)) for seq in signal] == [1, 2]
        assert await heard(client, await told_to(database, late)) == []
        assert await rows(database, dead_letters) == []

    async def test_a_stop_that_protects_waits_for_nothing_that_was_put_off(
        self, casino: Casino, dispatcher: Dispatcher, database: Database, temporal: Client
    ) -> None:
        player, other = casino.player(), casino.player("other")
        for name in (player, other):
            await casino.happens(name, DepositApproved, SessionLogin)
        await execute(database, "UPDATE deliveries SET due_at = now() + interval '1 hour', attempts = 20")
        await casino.happens(player, ExclusionSet, kind="self_exclusion", until=None)
        assert await dispatcher.run_once() == 1
        assert await heard(temporal, await told_to(database, player)) == [[1, 2]]
        assert {row["run_id"] for row in await rows(database, deliveries)} == {await told_to(database, other)}

    async def test_a_stop_that_protects_is_found_without_reading_what_waits(
        self, casino: Casino, dispatcher: Dispatcher, database: Database
    ) -> None:
        # Nobody has told Postgres yet how many there are.
        await execute(
            database,
            "INSERT INTO deliveries (run_id, seq, brand, kind, payload, due_at) "
            "SELECT 'r' || n % 10000, n / 10000, 'acme', 'event', '{}', now() + interval '1 hour' "
            "FROM generate_series(0, 99999) n",
        )
        player = casino.player()
        await casino.happens(player, DepositApproved)
        await casino.happens(player, ExclusionSet, kind="self_exclusion", until=None)
        plan: list[str] = []

        def explain(connection: sa.Connection, _cursor: Any, statement: str, given: Any, *_: Any) -> None:
            if "priority = 0" in statement and "SKIP LOCKED" in statement and "EXPLAIN" not in statement:
                told = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, TIMING OFF) {statement}", given)
                plan.extend(told.scalars())

        sa.event.listen(database.engine.sync_engine, "before_cursor_execute", explain)
        assert await dispatcher.run_once() == 1
        assert plan
        # The walk over the brands ends with one that is none.
        assert [line for line in plan if "Seq Scan" in line or re.search(r"Rows Removed.*: ([2-9]|\d\d)", line)] == []

    async def test_a_stop_that_protects_is_tried_every_second(
        self, casino: Casino, database: Database, server: tuple[Any, Client]
    ) -> None:
        process, client = server
        player = casino.player()
        await casino.happens(player, DepositApproved)
        await casino.happens(player, ExclusionSet, kind="self_exclusion", until=None)
        await process.stop()
        await execute(database, "UPDATE deliveries SET attempts = 20")
        await dispatching(database, client).run_once()
        async with database.reading() as connection:
            left = sa.select(deliveries.c.kind, deliveries.c.due_at - sa.func.now()).order_by(deliveries.c.seq)
            waits = {row[0]: row[1] for row in await connection.execute(left)}
        assert waits["stop"] <= timedelta(seconds=1) < timedelta(seconds=30) < waits["start"]
        process.start()
        await ready(process)

        async def taken() -> bool:
            # The client gives up soon, and may not have found the server again.
            await execute(database, "UPDATE deliveries SET due_at = now() WHERE kind = 'stop'")
            return await dispatching(database, client).run_once() == 1

        await eventually(taken)
        assert await heard(client, await told_to(database, player)) == [[1]]
