"""What a real server refuses: when it is full, when a run has heard too much, and when a run closes meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RetryConfig
from temporalio.worker import Worker

from activities.database import Database
from activities.run_delivery.dispatcher import Dispatcher
from activities.run_effects import RunEffects
from activities.settings import TASK_QUEUE
from activities.tables import dead_letters, deliveries, runs
from local.ports import free_port
from local.slowness import slowness
from local.temporal import TemporalServer
from tests.support.engine import Casino, connected, execute, rows, run_of
from tests.support.exact_journeys import exact_loss
from tests.support.exactness import JOURNEYS, heard_in_temporal
from tests.support.machine import within
from tests.support.servers import running
from workflows import DepositApproved, ExclusionSet, RoundCompleted, SessionLogin
from workflows.source.journey_loading import Registry
from workflows.temporal_internals import runner

#: Calls a second, so few that a slow machine makes more.
FULL_AT, CROWD = max(1, round(15 / slowness())), 45
SIGNALS = 3


@asynccontextmanager
async def tuned(folder: Path, settings: Mapping[str, int]) -> AsyncIterator[Client]:
    """A server with these limits, and a client that gives up soon."""
    own = TemporalServer(port=free_port(), ui_port=None, database=None)
    service = own.service()
    kept = [part for part in service.command if part.split("=")[0] not in settings]
    command = [part for part, following in zip(kept, [*kept[1:], ""], strict=True) if not _orphan(part, following)]
    for name, number in settings.items():
        command += ["--dynamic-config-value", f"{name}={number}"]
    async with running(replace(service, command=tuple(command)), folder):
        yield await Client.connect(
            own.address,
            data_converter=pydantic_data_converter,
            retry_config=RetryConfig(max_elapsed_time_millis=300),
        )


def _orphan(part: str, following: str) -> bool:
    return part == "--dynamic-config-value" and "=" not in following


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    async with connected(postgres_url) as database:
        yield database


@pytest.fixture
def casino(database: Database) -> Casino:
    return Casino.of(database, JOURNEYS)


def dispatching(database: Database, client: Client) -> Dispatcher:
    return Dispatcher(database, client, Registry(JOURNEYS, (), {}))


async def deliver(database: Database, client: Client) -> None:
    async with within(60):
        while await rows(database, deliveries):
            await execute(database, "UPDATE deliveries SET due_at = now()")
            await dispatching(database, client).run_once()


async def test_a_full_server_is_asked_again_and_hears_everything_once(
    casino: Casino, database: Database, session_folder: Path
) -> None:
    async with tuned(session_folder, {"frontend.namespaceRPS": FULL_AT}) as client:
        crowd = [casino.player(f"p{number}") for number in range(CROWD)]
        for player in crowd:
            await casino.happens(player, SessionLogin)
            await casino.happens(player, DepositApproved, SessionLogin, payment_id="d-1")
        dispatcher = dispatching(database, client)
        stop = asyncio.Event()
        await dispatcher.run_once()
        refused = [row for row in await rows(database, deliveries) if row["last_error"]]
        assert refused, "the server was to be full"
        assert all(row["last_error"].startswith("RESOURCE_EXHAUSTED") for row in refused)
        task = asyncio.create_task(dispatcher.run(stop))
        async with within(60):
            while await rows(database, deliveries):
                await asyncio.sleep(0.1)
        stop.set()
        await task
        assert await rows(database, dead_letters) == []
        patient = await Client.connect(client.service_client.config.target_host, data_converter=pydantic_data_converter)
        for player in crowd[:: CROWD // 9]:
            heard = await heard_in_temporal(patient, await run_of(database, player, "exact_first"))
            assert [event["type"] for event in heard.events] == [SessionLogin.wire_type]


async def test_a_run_that_has_had_all_its_signals_is_put_before_a_person_and_still_stopped(
    casino: Casino, database: Database, session_folder: Path
) -> None:
    player = casino.player()
    async with tuned(session_folder, {"history.maximumSignalsPerExecution": SIGNALS}) as client:
        await casino.happens(player, DepositApproved, payment_id="d-1")
        run_id = await run_of(database, player, "exact_first")
        for _ in range(SIGNALS + 1):
            await deliver(database, client)
            await casino.happens(player, SessionLogin)
        await deliver(database, client)
        (letter,) = await rows(database, dead_letters)
        assert letter["run_id"] == run_id
        assert "signal" in letter["reason"]
        await casino.happens(player, ExclusionSet, kind="self_exclusion", until=None)
        await deliver(database, client)
        handle = client.get_workflow_handle(run_id)
        kinds = [event.event_type async for event in handle.fetch_history_events()]
        assert kinds.count(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED) == 1
        assert len(await rows(database, dead_letters)) == 1


async def test_what_reaches_a_run_that_closes_or_has_closed_meanwhile_is_over_without_a_letter(
    casino: Casino, database: Database, session_folder: Path
) -> None:
    player = casino.player()
    effects = RunEffects(database, casino.intake, casino.clock)
    async with tuned(session_folder, {}) as client:
        await casino.happens(player, *[RoundCompleted] * 3, stake_minor=100, win_minor=0)
        await casino.happens(player, RoundCompleted, win_minor=900)
        await deliver(database, client)
        run_id = await run_of(database, player, "exact_loss")
        handle = client.get_workflow_handle(run_id)
        # Nobody does its last effect yet: it is closing for as long as the test likes.
        async with Worker(client, task_queue=TASK_QUEUE, workflows=[exact_loss], workflow_runner=runner()):
            async with within(60):
                while not (await handle.describe()).raw_description.pending_activities:
                    await asyncio.sleep(0.05)
            await casino.happens(player, RoundCompleted, win_minor=900)
            await deliver(database, client)  # while it closes
            await casino.happens(player, RoundCompleted, win_minor=900)
            assert [row["kind"] for row in await rows(database, deliveries)] == ["event"]
            async with Worker(client, task_queue=TASK_QUEUE, activities=[effects.end]):
                assert await handle.result() == "completed"
        await deliver(database, client)  # after it has closed
        assert await rows(database, dead_letters) == []
        (run,) = await rows(database, runs, id=run_id)
        assert (run["state"], run["outcome"]) == ("ended", "completed")
        await casino.happens(player, RoundCompleted, win_minor=900)
        assert await rows(database, deliveries) == []
        assert (await handle.describe()).status is WorkflowExecutionStatus.COMPLETED
