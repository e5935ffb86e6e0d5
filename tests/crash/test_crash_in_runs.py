"""Runs that really play: whatever way events reach them, they tell the story of one event at a time."""

import asyncio
import random
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Worker

from activities.intake.intake import Intake
from activities.run_delivery.dispatcher import Dispatcher
from activities.run_effects import RunEffects
from activities.settings import TASK_QUEUE
from activities.tables import deliveries, runs
from local.ports import free_port
from local.postgres import Postgres
from local.temporal import TemporalServer
from tests.support.engine import BRAND, NOON, Casino, HeldClock, execute, rows
from tests.support.exact_journeys import LAST, exact_first, exact_third
from tests.support.exact_players import Sent, Stretch, ways
from tests.support.exactness import JOURNEYS, Faults, faulty, patiently, world
from tests.support.machine import within
from tests.support.servers import fresh_database, running
from workflows import DepositApproved, Event, RoundCompleted, SessionLogin
from workflows.rules.index import RuleIndex
from workflows.source.journey_loading import Registry
from workflows.temporal_internals import runner

PLAYED = {name: JOURNEYS[name] for name in ("exact_first", "exact_third")}
KINDS: tuple[type[Event], ...] = (DepositApproved, SessionLogin, RoundCompleted)


@dataclass
class House:
    """A whole engine on a database and a namespace of its own, its worker at work."""

    faults: Faults
    client: Client

    @property
    def intake(self) -> Intake:
        return Intake(self.faults.database, RuleIndex(PLAYED))

    async def dispatch(self) -> None:
        await Dispatcher(self.faults.database, self.client, Registry(PLAYED, (), {})).run_once()

    async def deliver(self) -> None:
        while await rows(self.faults.database, deliveries):
            await execute(self.faults.database, "UPDATE deliveries SET due_at = now()")
            await self.dispatch()

    async def over(self) -> None:
        """Return when every run has recorded its end."""
        async with within(60):
            while any(run["state"] == "active" for run in await rows(self.faults.database, runs)):
                await self.deliver()
                await asyncio.sleep(0.05)

    async def stories(self) -> dict[str, list[tuple[object, ...]]]:
        """What each run told, line by line, with its own words for itself."""
        told: dict[str, list[tuple[object, ...]]] = {}
        for row in (await world(self.faults.database, "steps"))["steps"]:
            line = (row["step"], row["line"], row["outcome"], repr(row["detail"]))
            told.setdefault(row["run_id"], []).append(line)
        return {run_id: sorted(lines, key=repr) for run_id, lines in told.items()}


@asynccontextmanager
async def house(postgres: Postgres, address: str, namespace: str) -> AsyncIterator[House]:
    client = await Client.connect(address, namespace=namespace, data_converter=pydantic_data_converter)
    async with fresh_database(postgres) as url, faulty(url) as faults:
        effects = RunEffects(faults.database, Intake(faults.database, RuleIndex(PLAYED)), HeldClock())
        worker = Worker(
            client,
            task_queue=TASK_QUEUE,
            workflows=[exact_first, exact_third],
            activities=[effects.mark, effects.end],
            workflow_runner=runner(),
        )
        async with worker:
            yield House(faults, client)


@pytest.fixture(scope="module")
async def address(session_folder: Path) -> AsyncIterator[str]:
    own = TemporalServer(port=free_port(), ui_port=None, database=None)
    service = own.service()
    named = replace(service, command=(*service.command, "--namespace", "alone", "--namespace", "crowded"))
    async with running(named, session_folder):
        yield own.address


def an_evening(seed: int) -> tuple[list[Stretch], Stretch]:
    """Some players' stretches of time, and the word after which each of their runs is over."""
    chance, mark = random.Random(seed), secrets.token_hex(3)
    names = [f"p{number}-{mark}" for number in range(3)]
    casino = Casino.of(None, {})  # type: ignore[arg-type]  # only its events are wanted
    stretches = [
        Stretch(
            NOON,
            "live",
            {name: [casino.event(chance.choice(KINDS)) for _ in range(chance.randint(1, 5))] for name in names},
        )
        for _ in range(3)
    ]
    return stretches, Stretch(NOON, "live", {name: [casino.event(LAST)] for name in names})


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_run_tells_the_story_of_one_event_at_a_time(seed: int, postgres: Postgres, address: str) -> None:
    stretches, last = an_evening(seed)
    chance = random.Random(seed)
    async with house(postgres, address, "alone") as alone, house(postgres, address, "crowded") as crowded:
        for stretch in (*stretches, last):
            for player, told in stretch.told.items():
                for event in told:
                    await alone.intake.ingest(BRAND, [(player, event)], NOON)
                    await alone.deliver()
        before: list[Sent] = []
        for stretch in (*stretches, last):
            for batches in ways(stretch, before, chance):
                acts: list[Callable[[], Awaitable[object]]] = [crowded.dispatch, crowded.dispatch]
                acts += [partial(crowded.intake.ingest, BRAND, batch, NOON) for batch in batches]
                # Whoever reaches the place is cut off: intake, dispatch, or an effect of a run.
                with crowded.faults.crash_at(chance.randrange(40)):
                    await asyncio.gather(*(patiently(crowded.faults, act) for act in acts))
                await execute(crowded.faults.database, "UPDATE deliveries SET due_at = now()")
            before += [(player, event) for player, told in stretch.told.items() for event in told]
        await asyncio.gather(alone.over(), crowded.over())
        expected, found = await alone.stories(), await crowded.stories()
    assert found == expected
    assert {run_id.split(":")[0] for run_id in expected} == set(PLAYED)
    assert sum(len(story) for story in expected.values()) > 40
