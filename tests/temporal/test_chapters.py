"""Chapters that begin by themselves, and a move to another release, on a real server and in the SDK's sandbox.

The suggestion to continue as new comes early here. Every chapter is replayed in the end.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio import activity
from temporalio.client import Client, WorkflowHandle
from temporalio.common import TypedSearchAttributes
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer, Worker

from activities.run_delivery.search_attributes import BRAND as BRAND_SHOWN
from activities.run_delivery.search_attributes import JOURNEY, JOURNEY_VERSION, RunAttributes
from local.ports import free_port
from local.temporal import TemporalServer
from tests.support.designs.facts import Pong
from tests.support.history_recording import record_run
from tests.support.machine import eventually
from tests.support.player_events import BRAND, NOON
from tests.support.servers import running
from workflows import Event, SessionLogin
from workflows.effects import Done, End, Mark
from workflows.player_facts import PlayerFacts
from workflows.run import JourneyRun
from workflows.run_protocol import DELIVER, ENGINE, POSITION, Delivery, DeliveryBatch, Position, RunInput
from workflows.source.journey_loading import Registry, load
from workflows.temporal_internals import runner

#: Events of history at which the server suggests a new chapter.
EARLY = 15


class Effects:
    """The two effects that these runs have."""

    def __init__(self) -> None:
        self.marked: list[tuple[str, dict[str, Any]]] = []

    @activity.defn(name="mark")
    async def mark(self, marking: Mark) -> Done:
        self.marked.append((marking.step, dict(marking.detail)))
        return Done()

    @activity.defn(name="end")
    async def end(self, ending: End) -> Done:
        self.marked.append((ending.step, {}))
        return Done()


@pytest.fixture(scope="module")
async def impatient(session_folder: Path) -> AsyncIterator[Client]:
    """A server that suggests a new chapter early."""
    server = TemporalServer(port=free_port(), ui_port=None, database=None)
    service = server.service()
    setting = ("--dynamic-config-value", f"limit.historyCount.suggestContinueAsNew={EARLY}")
    async with running(
        replace(service, name="impatient-temporal", command=(*service.command, *setting)), session_folder
    ):
        yield await Client.connect(server.address, data_converter=pydantic_data_converter)


@asynccontextmanager
async def played(client: Client, registry: Registry, effects: Effects) -> AsyncIterator[str]:
    """A worker with these journeys and effects; its queue."""
    queue = f"chapters-{uuid4()}"
    async with Worker(
        client,
        task_queue=queue,
        workflows=registry.workflows,
        activities=[effects.mark, effects.end],
        workflow_runner=runner(),
    ):
        yield queue


async def started(
    client: Client, queue: str, journey: str, attributes: RunAttributes | None = None, **given: Any
) -> WorkflowHandle[JourneyRun, str]:
    run_id = f"{journey}:{BRAND}:{queue}:1"
    run = RunInput(
        run_id=run_id,
        brand=BRAND,
        player_id=queue,
        journey=journey,
        entered_at=NOON,
        ends_at=NOON.replace(year=9000),
        trigger=None,
        facts=PlayerFacts(player_id=queue),
        engine=ENGINE,
        **given,
    )
    handle: WorkflowHandle[JourneyRun, str] = await client.start_workflow(
        journey,
        run,
        id=run_id,
        task_queue=queue,
        result_type=str,
        search_attributes=None if attributes is None else await attributes.of(run),
    )
    return handle


def pong(name: str) -> Event:
    return Pong(event_id=name, event_source="/test", occurred_at=NOON, name=name)


def login(name: str) -> Event:
    return SessionLogin.example().model_copy(update={"event_id": name})


def heard(first: int, *events: Event) -> DeliveryBatch:
    return DeliveryBatch(
        items=[
            Delivery(seq=number, kind="event", id=f"d{number}", event=event.to_wire())
            for number, event in enumerate(events, start=first)
        ]
    )


async def position_of(handle: WorkflowHandle[JourneyRun, str]) -> Position:
    position: Position = await handle.query(POSITION, result_type=Position)
    return position


async def standing(handle: WorkflowHandle[JourneyRun, str], step: str, *, chapter: int, number: int) -> Position:
    """Where the run stands once it waits, in this chapter at least, and has heard so much.

    The chapter that ends may still answer a question.
    """

    async def stands() -> Position | None:
        position = await position_of(handle)
        there = (position.step, position.last_seen) == (step, number)
        return position if there and position.chapter >= chapter else None

    return await eventually(stands)


async def replays(client: Client, workflow_id: str, registry: Registry) -> int:
    """Replay every chapter of a run, from the last to the first; how many there are."""
    replayer = Replayer(workflows=registry.workflows, data_converter=pydantic_data_converter, workflow_runner=runner())
    chapters, run_id = 0, None
    while run_id != "":
        history = await client.get_workflow_handle(workflow_id, run_id=run_id).fetch_history()
        await replayer.replay_workflow(history, raise_on_replay_failure=True)
        run_id = history.events[0].workflow_execution_started_event_attributes.continued_execution_run_id
        chapters += 1
    return chapters


def steps(effects: Effects) -> Sequence[str]:
    return [step for step, _ in effects.marked]


@pytest.mark.recorded
async def test_a_run_that_hears_more_than_a_history_should_hold_goes_on_in_new_ones(
    request: pytest.FixtureRequest, impatient: Client
) -> None:
    registry, effects = load(("tests.support.designs",)), Effects()
    async with played(impatient, registry, effects) as queue:
        handle = await started(impatient, queue, "attentive")
        for number in range(12):
            await handle.signal(DELIVER, heard(2 * number + 1, pong(f"wrong-{number}"), pong(f"wrong-again-{number}")))
            # One at a time: a server hands all that came meanwhile over in one task.
            await position_of(handle)
        position = await standing(handle, "event:Pong#1", chapter=3, number=24)
        await handle.signal(DELIVER, heard(1_000, pong("right")))
        assert await handle.result() == "completed"
        assert steps(effects) == ["mark:began#1", "mark:heard#1", "end"]
        # What was waited for may have been heard in one chapter more.
        assert await replays(impatient, handle.id, registry) >= position.chapter
        await record_run(request, impatient, handle.id)


@pytest.mark.recorded
async def test_a_run_moves_to_another_release_and_does_nothing_twice(
    request: pytest.FixtureRequest, temporal: Client
) -> None:
    registry, effects = load(("tests.support.designs",)), Effects()
    async with played(temporal, registry, effects) as queue:
        handle = await started(temporal, queue, "moving", version=1)
        await handle.signal(DELIVER, heard(1, pong("wrong")))
        assert (await standing(handle, "event:Pong#1", chapter=1, number=1)).version == 1
        await handle.signal(DELIVER, moves(2, to=2))
        await handle.signal(DELIVER, heard(3, pong("wrong-again")))
        assert (await standing(handle, "event:Pong#1", chapter=2, number=3)).version == 2
        await handle.signal(DELIVER, heard(4, pong("right")))
        assert await handle.result() == "completed"
        assert steps(effects) == ["mark:began#1", "kept:move#1", "mark:heard#1", "end"]
        assert await replays(temporal, handle.id, registry) == 2
        await record_run(request, temporal, handle.id)


@pytest.mark.recorded
async def test_a_run_from_before_there_were_releases_is_pinned_by_its_first_move(
    request: pytest.FixtureRequest, temporal: Client
) -> None:
    registry, effects = load(("tests.support.designs",)), Effects()
    async with played(temporal, registry, effects) as queue:
        handle = await started(temporal, queue, "moving", version=0)
        await handle.signal(DELIVER, heard(1, pong("wrong")))
        await standing(handle, "event:Pong#1", chapter=1, number=1)
        await handle.signal(DELIVER, moves(2, to=2))
        assert (await standing(handle, "event:Pong#1", chapter=2, number=2)).version == 2
        await handle.signal(DELIVER, moves(3, to=1))
        assert (await standing(handle, "event:Pong#1", chapter=3, number=3)).version == 1
        stop = Delivery(seq=4, kind="stop", id="stop", reason="self_excluded")
        await handle.signal(DELIVER, DeliveryBatch(items=[stop]))
        assert await handle.result() == "self_excluded"
        assert steps(effects) == ["mark:began#1", "mark:inserted#1", "kept:move#1", "kept:move#2", "end"]
        assert await replays(temporal, handle.id, registry) == 3
        await record_run(request, temporal, handle.id)


def moves(number: int, *, to: int) -> DeliveryBatch:
    return DeliveryBatch(items=[Delivery(seq=number, kind="migrate", id=f"d{number}", version=to)])


async def test_a_run_that_moves_is_found_by_its_new_release(temporal: Client) -> None:
    registry, effects = load(("tests.support.designs",)), Effects()
    attributes = RunAttributes(temporal)
    async with played(temporal, registry, effects) as queue:
        handle = await started(temporal, queue, "moving", attributes=attributes, version=1)
        await standing(handle, "event:Pong#1", chapter=1, number=0)
        assert (await shown(handle))[JOURNEY_VERSION] == 1
        await handle.signal(DELIVER, moves(1, to=2))
        await standing(handle, "event:Pong#1", chapter=2, number=1)
        now = await shown(handle)
        assert (now[BRAND_SHOWN], now[JOURNEY], now[JOURNEY_VERSION]) == (BRAND, "moving", 2)
        await handle.terminate()


async def shown(handle: WorkflowHandle[JourneyRun, str]) -> TypedSearchAttributes:
    """What a run is found by in Temporal's lists."""
    return (await handle.describe()).typed_search_attributes
