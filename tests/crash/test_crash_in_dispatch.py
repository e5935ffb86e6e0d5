"""Deliveries over a line that fails anywhere, on a real server: every run hears everything, in order, once."""

import asyncio
import random
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from activities.intake.intake import Intake
from activities.loops.sweeper import Sweeper
from activities.run_delivery.dispatcher import Dispatcher
from activities.run_effects import RunEffects
from activities.runs import RunOver
from activities.tables import deliveries, runs
from local.ports import free_port
from local.postgres import Postgres
from local.temporal import TemporalServer
from tests.support.engine import BRAND, Casino, HeldClock, execute, rows, run_of
from tests.support.exact_players import Life, Sent, Stretch, lives, ways
from tests.support.exactness import (
    JOURNEYS,
    MANNERS,
    RULES,
    Crash,
    Faults,
    Line,
    When,
    faulty,
    heard_in_temporal,
    heard_one_by_one,
    patiently,
    survives,
    world,
)
from tests.support.examples import examples
from tests.support.servers import fresh_database, running
from workflows import DepositApproved, DepositFailed, ExclusionSet, SessionLogin, TierChanged, days
from workflows.effects import End, Refresh
from workflows.source.journey_loading import Registry

# Processes that die here leave their connections to the collector, which may come in any later test.
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in. <function BaseConnection.__del__")

WHENS: tuple[When, ...] = ("asked", "answered")
DUE = "UPDATE deliveries SET due_at = now()"


@dataclass
class Wire:
    """A dispatcher, the line it speaks over, and the database it reads from."""

    faults: Faults
    line: Line
    client: Client

    def dispatcher(self) -> Dispatcher:
        return Dispatcher(self.faults.database, self.client, Registry(JOURNEYS, (), {}))

    async def deliver(self) -> None:
        """Deliver until nothing waits, not even for another attempt."""
        while await rows(self.faults.database, deliveries):
            await execute(self.faults.database, DUE)
            await self.dispatcher().run_once()


@pytest.fixture(scope="module")
async def server(session_folder: Path) -> AsyncIterator[str]:
    """A Temporal without a worker, so that runs keep what they are told."""
    own = TemporalServer(port=free_port(), ui_port=None, database=None)
    async with running(own.service(), session_folder):
        yield own.address


@pytest.fixture(scope="module")
async def wire(postgres: Postgres, server: str) -> AsyncIterator[Wire]:
    line = Line()
    client = await Client.connect(server, data_converter=pydantic_data_converter, interceptors=[line])
    async with fresh_database(postgres) as url, faulty(url) as faults:
        yield Wire(faults, line, client)


@pytest.fixture(scope="module")
async def alone(postgres: Postgres) -> AsyncIterator[Faults]:
    async with fresh_database(postgres) as url, faulty(url) as faults:
        yield faults


# ---- one crash at every place -------------------------------------------------------------------


@dataclass
class Scene:
    """Some runs that each need something else of one pass; their players have new names each time."""

    wire: Wire
    mark: str = ""

    async def prepare(self) -> None:
        wire, database = self.wire, self.wire.faults.database
        wire.faults.clear()
        self.mark = secrets.token_hex(4)
        casino = Casino.of(database, JOURNEYS, HeldClock())
        begun, over, lost = self.player("begun"), self.player("over"), self.player("lost")
        for player in (begun, over, lost):
            await casino.happens(player, DepositApproved, payment_id="d-1")
        await wire.deliver()
        for player in (over, lost):
            for journey in ("exact_first", "exact_each"):
                run_id = await run_of(database, player, journey)
                await wire.client.get_workflow_handle(run_id).terminate()
        await execute(database, "UPDATE runs SET state = 'ended' WHERE player_id = :over", over=over)
        for player in (begun, over, lost):
            await casino.happens(player, SessionLogin, SessionLogin, TierChanged)
        await casino.happens(self.player("new"), DepositApproved, SessionLogin, payment_id="d-1")
        await casino.happens(begun, ExclusionSet, kind="self_exclusion", until=None)
        await execute(
            database,
            "INSERT INTO deliveries (run_id, seq, brand, kind, payload, created_at) "
            "SELECT :run, 0, brand, kind, payload || jsonb_build_object('journey', 'untold'), "
            "now() - interval '1 hour' FROM deliveries WHERE kind = 'start' LIMIT 1",
            run=f"untold:{BRAND}:{self.mark}:1",
        )

    def player(self, name: str) -> str:
        return f"{name}-{self.mark}"

    async def seen(self) -> object:
        """What Temporal and the tables hold, under the players' plain names."""
        left = await world(self.wire.faults.database, "deliveries", "dead_letters", "runs")
        told = {
            run_id: await heard_in_temporal(self.wire.client, run_id)
            for run_id in sorted(row["id"] for row in left["runs"] if row["journey"] in {"exact_first", "exact_each"})
        }
        assert len(told) == 8
        return repr((left, told)).replace(self.mark, "")


@pytest.fixture
def scene(wire: Wire) -> Scene:
    return Scene(wire)


async def test_a_pass_survives_a_crash_at_every_statement(scene: Scene) -> None:
    async def act() -> None:
        await scene.wire.dispatcher().run_once()

    places = await survives(scene.wire.faults, scene.prepare, act, scene.seen)
    told = "\n".join(places)
    for meant in ("u.priority = 0", "row_number()", "state = 'active'", "INTO dead_letters", "DELETE FROM deliveries"):
        assert meant in told, f"The pass was to reach {meant}."
    found = await world(scene.wire.faults.database, "deliveries", "dead_letters")
    assert found["deliveries"] == []
    assert {row["run_id"].split(":")[0] for row in found["dead_letters"]} == {"untold", "exact_first", "exact_each"}


@pytest.mark.parametrize("when", WHENS)
async def test_a_pass_survives_the_loss_of_every_call_and_of_every_answer(scene: Scene, when: When) -> None:
    line = scene.wire.line
    await scene.prepare()
    with line.crash_at(None, when, "cut"):
        await scene.wire.deliver()
        calls = list(line.calls)
    expected = await scene.seen()
    assert {"start", "signal", "describe"} == set(calls)
    for manner in MANNERS:
        for number in range(len(calls)):
            await scene.prepare()
            with line.crash_at(number, when, manner):
                if manner == "die":
                    with pytest.raises(Crash):
                        await scene.wire.dispatcher().run_once()
                await scene.wire.deliver()
            assert await scene.seen() == expected, f"{manner} when call {number} was {when}"


# ---- everything at once -------------------------------------------------------------------------


async def one_by_one(faults: Faults, life: Life) -> None:
    clock = HeldClock()
    intake = Intake(faults.database, RULES)
    for stretch in life.stretches:
        clock.now = stretch.now
        while await Sweeper(faults.database, intake, clock).run_once():
            pass
        for player in sorted(stretch.told):
            for event in stretch.told[player]:
                await intake.ingest(BRAND, [(player, event)], stretch.now, mode=stretch.mode)


async def all_at_once(wire: Wire, life: Life) -> None:
    """Two dispatchers deliver while batches come in side by side; statements, calls and answers are lost."""
    faults, line, chance, clock = wire.faults, wire.line, random.Random(life.seed), HeldClock()
    intake = Intake(faults.database, RULES)

    async def dispatch() -> None:
        for _ in range(2):
            await wire.dispatcher().run_once()

    before: list[Sent] = []
    for stretch in life.stretches:
        clock.now = stretch.now
        while await Sweeper(faults.database, intake, clock).run_once():
            pass
        for batches in ways(stretch, before, chance):
            acts: list[Callable[[], Awaitable[object]]] = [dispatch, dispatch]
            acts += [partial(intake.ingest, BRAND, batch, stretch.now, mode=stretch.mode) for batch in batches]
            with (
                faults.crash_at(chance.randrange(60), chance.choice(MANNERS)),
                line.crash_at(chance.randrange(8), chance.choice(WHENS), chance.choice(MANNERS)),
            ):
                await asyncio.gather(*(patiently(faults, act) for act in acts))
            await faults.freed()
            await execute(faults.database, DUE)
        before += [(player, event) for player, told in stretch.told.items() for event in told]
    await wire.deliver()


@seed(2026)
@settings(
    database=None,
    deadline=None,
    max_examples=examples(8),
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(life=lives())
async def test_whatever_fails_on_the_way_every_run_hears_what_it_would_hear_one_event_at_a_time(
    alone: Faults, wire: Wire, life: Life
) -> None:
    alone.clear()
    wire.faults.clear()
    wire.line.crashes = 0
    mark = secrets.token_hex(4)
    mine = Life(
        [Stretch(s.now, s.mode, {f"{player}-{mark}": told for player, told in s.told.items()}) for s in life.stretches],
        life.seed,
    )
    await one_by_one(alone, mine)
    await all_at_once(wire, mine)
    expected = await world(alone.database)
    found = await world(wire.faults.database)
    assert found.pop("deliveries") == []
    told = expected.pop("deliveries")
    assert found == expected
    assert len(wire.faults.felt) == wire.faults.crashes + wire.line.crashes, "\n\n".join(wire.faults.felt)
    for run_id, heard in heard_one_by_one(told).items():
        assert await heard_in_temporal(wire.client, run_id) == heard, run_id


async def test_intakes_sweeps_effects_and_dispatchers_never_wait_for_each_other_in_a_circle(wire: Wire) -> None:
    """Postgres ends a circle with an error, and here nobody tries again."""
    wire.faults.clear()
    chance, database, clock = random.Random(7), wire.faults.database, HeldClock()
    casino = Casino.of(database, JOURNEYS, clock)
    effects = RunEffects(database, casino.intake, clock)
    names = [casino.player(f"p{number}") for number in range(24)]
    sent: Counter[str] = Counter()
    await casino.intake.ingest(BRAND, [(player, casino.event(DepositApproved)) for player in names[:12]], clock.now)
    sent.update(names[:12])
    entered = {player: await run_of(database, player, "exact_first") for player in names[:12]}

    async def take() -> None:
        batch = [
            (player, casino.event(chance.choice((DepositApproved, DepositFailed, SessionLogin))))
            for player in chance.sample(names, 16)
        ]
        sent.update(player for player, _ in batch)
        await casino.intake.ingest(BRAND, batch, clock.now)

    async def effect() -> None:
        player = chance.choice(names[:12])
        about: dict[str, Any] = {
            "brand": BRAND,
            "player_id": player,
            "journey": "exact_first",
            "run_id": entered[player],
        }
        with suppress(RunOver):  # a run is refused everything once another effect has ended it
            await effects.refresh(Refresh(**about, step=f"refresh#{chance.random()}"))
        if chance.random() < 0.1:
            await effects.end(End(**about, step="end", outcome="completed"))

    async def tick() -> None:
        await Sweeper(database, casino.intake, clock).run_once()

    async def dispatch() -> None:
        await wire.dispatcher().run_once()

    eight = asyncio.Semaphore(8)

    async def one(act: Callable[[], Awaitable[None]]) -> None:
        async with eight:
            await act()

    for _ in range(3):
        acts = [take] * 16 + [effect] * 12 + [tick] * 6 + [dispatch] * 4
        chance.shuffle(acts)
        await asyncio.gather(*map(one, acts))
        clock.later(days(2))
    await wire.deliver()
    kept = Counter(row["player_id"] for row in (await world(database, "events"))["events"])
    assert kept == sent
    for player in names[:12]:
        for run in await rows(database, runs, player_id=player, journey="exact_first"):
            heard = await heard_in_temporal(wire.client, run["id"])
            assert heard.last_seen == len(heard.events) + (heard.exit is not None)
