"""A provider that hangs keeps waiting what needs it, and nothing else."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from temporalio.client import Client

from activities.engine import WorkerEngine, worker_engine
from activities.settings import ProviderLimits, settings_from
from activities.tables import grants, messages, runs, tasks
from activities.temporal_client import connect
from tests.support.bulkheads.journeys import Mailed, Served
from tests.support.engine import run_of
from tests.support.machine import eventually
from tests.support.servers import LocalBonusEngine, LocalCatchAll
from tests.support.temporal_engine import BRAND, REACHABLE
from tests.support.workers import all_workers
from workflows import Event, PlayerRegistered
from workflows.effect_queues import Urgency

SLOTS = 2


@dataclass
class MuteServer:
    """It takes connections and never says a word."""

    listener: asyncio.Server
    connections: list[asyncio.StreamWriter] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.listener.sockets[0].getsockname()[1]}"

    def hang_up(self) -> None:
        """Nobody has to wait for it any more."""
        self.listener.close()
        for connection in self.connections:
            connection.close()


@asynccontextmanager
async def mute() -> AsyncIterator[MuteServer]:
    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections.append(writer)
        await reader.read()
        writer.close()

    listener = await asyncio.start_server(take, "127.0.0.1", 0)
    server = MuteServer(listener)
    yield server
    server.hang_up()


@dataclass
class House:
    """An engine whose mail server is mute, on a real Temporal, under a name of its own."""

    built: WorkerEngine
    client: Client
    name: str

    async def happens(self, kind: type[Event], *players: str) -> None:
        """Something happened to each of these players; their runs are in Temporal before this returns."""
        now = datetime.now(UTC)
        batch: list[tuple[str, Event]] = []
        for player in players:
            about: dict[str, Any] = {"event_source": "/test", "occurred_at": now}
            known: dict[str, Any] = REACHABLE | {"email": f"{player}@synthetic.example"}
            registered = PlayerRegistered(event_id=f"{player}-r", **about, **known)
            batch += [(player, registered), (player, kind(event_id=f"{player}-{kind.__name__}", **about))]
        await self.built.intake.ingest(BRAND, batch, now)
        dispatcher = self.built.dispatcher(self.client)
        while await dispatcher.run_once():
            pass

    async def effects(self, run_id: str) -> list[tuple[str, str, int, str]]:
        """The run's effects as Temporal was asked for them: name, queue beside the runs', priority, fairness key."""
        history = await self.client.get_workflow_handle(run_id).fetch_history()
        asked = [event.activity_task_scheduled_event_attributes for event in history.events]
        return [
            (
                effect.activity_type.name,
                effect.task_queue.name.removeprefix(self.name),
                effect.priority.priority_key,
                effect.priority.fairness_key,
            )
            for effect in asked
            if effect.activity_id
        ]

    async def column(self, column: sa.Column[Any], *where: sa.ColumnElement[bool]) -> list[Any]:
        async with self.built.database.reading() as connection:
            return list(await connection.scalars(sa.select(column).where(*where)))


@pytest.fixture
async def house(
    postgres_url: str,
    temporal_address: str,
    bonus_engine: LocalBonusEngine,
    catch_all: LocalCatchAll,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[tuple[House, MuteServer]]:
    name = f"t-{secrets.token_hex(4)}"
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal_address)
    variables = {
        **catch_all.environment,
        "DATABASE_URL": postgres_url,
        "BONUS_ENGINE_URL": bonus_engine.url,
        "JOURNEYS": "tests.support.bulkheads",
        "DEPLOYMENT_NAME": name,
    }
    limits = {"email": ProviderLimits(slots=SLOTS)}
    async with mute() as server:
        settings = settings_from({**variables, "SMTP_URL": server.url}).model_copy(update={"provider_limits": limits})
        async with worker_engine(settings) as built:
            client = await connect(settings)
            async with all_workers(client, built, max_concurrent_activities=SLOTS):
                yield House(built, client, name), server
                server.hang_up()


async def test_a_mail_server_that_hangs_delays_no_task_no_reward_and_no_end_of_a_run(
    house: tuple[House, MuteServer],
) -> None:
    casino, server = house
    await casino.happens(Mailed, *(f"m-{number}" for number in range(10)))
    await eventually(lambda: len(server.connections) >= SLOTS)
    await casino.happens(Served, "p-1")

    async def is_served() -> bool:
        done = await casino.column(runs.c.outcome, runs.c.journey == "rewarded")
        return done == ["completed"] and bool(await casino.column(tasks.c.id, tasks.c.player_id == "p-1"))

    assert await eventually(is_served)
    assert len(server.connections) == SLOTS, "no mail had given up by then, else the next would have called"
    assert await casino.column(grants.c.status) == ["confirmed"]
    assert set(await casino.column(messages.c.status, messages.c.channel == "email")) <= {"handed_over", "waiting"}
    assert await casino.column(runs.c.state, runs.c.journey == "mailed") == ["active"] * 10


async def test_every_effect_waits_where_its_provider_is_and_says_what_it_goes_before(
    house: tuple[House, MuteServer],
) -> None:
    casino, _ = house
    await casino.happens(Served, "p-1")
    await casino.happens(Mailed, "p-2")
    assert await eventually(lambda: casino.column(runs.c.id, runs.c.outcome == "completed"))
    assert await eventually(lambda: casino.column(messages.c.id, messages.c.player_id == "p-2"))
    found = [
        effect
        for player, journey in (("p-1", "rewarded"), ("p-1", "asked"), ("p-2", "mailed"))
        for effect in await casino.effects(await run_of(casino.built.database, player, journey))
    ]
    assert found == [
        ("grant", "-bonus-engine", Urgency.REWARD, BRAND),
        ("send", "", Urgency.SERVICE, BRAND),
        ("end", "", Urgency.PROTECTION, BRAND),
        ("open_task", "", Urgency.SERVICE, BRAND),
        ("send", "-email", Urgency.SERVICE, BRAND),
    ]
