"""`journeys impact` on runs in flight: real histories, moved and played to their end on the stage."""

import asyncio
import logging
import time
from pathlib import Path

import pytest
from temporalio import activity
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.engine import worker_engine
from activities.settings import Settings
from activities.tables import steps
from stage.release_impact.impact import SILENCE, Impact
from tests.support.engine import BRAND, NOON, SECRET, Casino, connected, execute, rows, run_of
from tests.support.machine import eventually
from tests.support.outside_packages import Write
from tests.support.releases import journeys_command, release, reloaded
from tests.support.workers import all_workers
from workflows import ContentViewed, SessionLogin, days
from workflows.effects import MARK, Done, Mark
from workflows.player_facts import PlayerFacts
from workflows.run_protocol import DELIVER, ENGINE, POSITION, Delivery, DeliveryBatch, Position, RunInput

logger = logging.getLogger(__name__)

HEAD = """
from workflows import DepositApproved, Player, SessionLogin, always, days, journey, on


@journey(on(SessionLogin), entry=always, ends_after=days(90))
async def hello(player: Player, login: SessionLogin) -> None:
    '''Greet.'''
"""
WAITING = """
    await player.mark("began")
    if await player.event(DepositApproved, within=days(9)):
        return
    await player.send("other-channel", via=["push"])
"""


@pytest.fixture
def deployed(postgres_url: str, temporal_address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", postgres_url)
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal_address)


async def told(name: str, *options: str) -> str:
    return await asyncio.to_thread(journeys_command, name, "impact", "hello", *options)


@pytest.mark.usefixtures("deployed")
async def test_the_report_tells_what_moving_would_send_and_shorten(
    package: Write, tmp_path: Path, postgres_url: str, temporal: Client
) -> None:
    name = package(hello=HEAD + WAITING)
    release(name)
    settings = Settings(database_url=postgres_url, link_secrets=(SECRET,), webhook_secret=SECRET, journeys=(name,))
    async with worker_engine(settings) as engine, all_workers(temporal, engine):
        casino = Casino(engine.intake)
        players = [casino.player(f"p{number}") for number in range(3)]
        for player in players:
            await casino.registers(player)
            await casino.happens(player, SessionLogin)
        await engine.dispatcher(temporal).run_once()

        async def all_stand() -> bool:
            return len(await rows(engine.database, steps, step="mark:began#1")) == len(players)

        await eventually(all_stand)
        for player in players:
            run = temporal.get_workflow_handle(await run_of(engine.database, player, "hello"))

            async def waits(run: object = run) -> bool:
                position: Position = await run.query(POSITION, result_type=Position)  # type: ignore[attr-defined]
                return position.step == "event:DepositApproved#1"

            await eventually(waits)
    module = tmp_path / name / "hello.py"
    inserted = 'await player.send("content-news")\n    '
    edited = module.read_text().replace("within=days(9)", "within=days(2)")
    module.write_text(edited.replace('await player.send("other', inserted + 'await player.send("other'))
    report = Impact.model_validate_json(await told(name, "--json"))
    assert (report.before, report.version, report.runs, report.coverage) == (1, 0, 3, 100)
    assert [(one.change, one.step) for one in report.changes if one.change != "kept"] == [
        ("changed", "event:DepositApproved#1"),
        ("inserted", "send:content-news#1"),
    ]
    [place] = report.places
    assert (place.version, place.at, place.runs, place.brands) == (1, "event:DepositApproved#1", 3, {BRAND: 3})
    assert [(one.turn, one.words, one.runs) for one in place.differences] == [
        (SILENCE, "content-news is sent later", 3),
        # The gate lets one such message pass in so short a time.
        (SILENCE, "other-channel is not sent", 3),
        (SILENCE, "event:DepositApproved#1 is over 7.0 days sooner", 3),
    ]
    # The deposit ends the run on either version, and no history parts from the new code.
    assert place.breaks == {}
    assert "3 x content-news is sent later, if nothing happens" in await told(name)
    page = tmp_path / "impact.html"
    await told(name, "-o", str(page))
    assert page.read_text().count("<svg") == 2
    dry = await asyncio.to_thread(journeys_command, name, "release", "hello", "--dry-run")
    assert "3 stand at event:DepositApproved#1" in dry
    assert reloaded(name).journeys["hello"].version == 0


@pytest.mark.usefixtures("deployed")
async def test_the_report_plays_what_a_run_would_be_told_because_it_moves(
    package: Write, tmp_path: Path, postgres_url: str, temporal: Client
) -> None:
    name = package(hello=HEAD + WAITING)
    release(name)
    settings = Settings(database_url=postgres_url, link_secrets=(SECRET,), webhook_secret=SECRET, journeys=(name,))
    async with worker_engine(settings) as engine, all_workers(temporal, engine):
        casino = Casino(engine.intake)
        player = casino.player("p1")
        await casino.registers(player)
        await casino.happens(player, SessionLogin)
        await engine.dispatcher(temporal).run_once()

        async def stands() -> bool:
            return len(await rows(engine.database, steps, step="mark:began#1")) == 1

        await eventually(stands)
        run = temporal.get_workflow_handle(await run_of(engine.database, player, "hello"))

        async def waits() -> bool:
            position: Position = await run.query(POSITION, result_type=Position)
            return position.step == "event:DepositApproved#1"

        await eventually(waits)
        await casino.happens(player, ContentViewed)
    module = tmp_path / name / "hello.py"
    rest = 'await player.event(ContentViewed, within=days(9))\n    await player.send("other'
    edited = module.read_text().replace("import DepositApproved", "import ContentViewed, DepositApproved")
    module.write_text(edited.replace('await player.send("other', rest))
    [place] = Impact.model_validate_json(await told(name, "--json")).places
    # It has viewed content already: with that it waits for nothing behind the deposit that does not come.
    assert [(one.turn, one.words) for one in place.differences] == []


SHAPES, RUNS_OF_EACH = 50, 2_000
STEP = """
    await player.event(SessionLogin, within=days(30))
    await player.mark("m{}")
"""


@pytest.mark.slow
@pytest.mark.timeout(900)  # to put the runs there takes longer than the report
@pytest.mark.usefixtures("deployed")
async def test_a_hundred_thousand_runs_of_fifty_shapes_take_less_than_two_minutes(
    package: Write, tmp_path: Path, postgres_url: str, temporal: Client
) -> None:
    name = package(hello=HEAD + "".join(STEP.format(number) for number in range(SHAPES)))
    registry = release(name)
    async with connected(postgres_url) as database:
        await execute(database, MANY_RUNS, shapes=SHAPES, runs=RUNS_OF_EACH, brand=BRAND)
        await execute(database, THEIR_STEPS)
        await execute(database, "ANALYZE runs, steps")
    worker = Worker(
        temporal,
        task_queue=name,
        workflows=registry.workflows,
        activities=[mark],
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    async with worker:
        await asyncio.gather(*(begin(temporal, name, shape, run) for shape in range(SHAPES) for run in EXAMPLES))
        # To ask each of them where it stands would be a replay each time.
        await eventually(lambda: len(MARKED) >= len(EXAMPLES) * sum(range(SHAPES)), within=300)
    module = tmp_path / name / "hello.py"
    module.write_text(module.read_text().replace('player.mark("m49")', 'player.mark("m50")'))
    began = time.monotonic()
    report = Impact.model_validate_json(await told(name, "--json"))
    took = time.monotonic() - began
    logger.info("Impact of %s runs of %s shapes: %.1f s", f"{report.runs:,}", report.shapes, took)
    assert (report.runs, report.shapes, report.coverage) == (SHAPES * RUNS_OF_EACH, SHAPES, 100)
    # Of the runs that have done nothing yet none is the longest.
    assert report.histories == SHAPES * len(EXAMPLES) - 1
    assert {place.runs for place in report.places} == {RUNS_OF_EACH}
    assert took < 120, f"{report.runs:,} runs, {report.shapes} shapes, {report.histories} histories: {took:.1f} s"


#: The oldest, the newest, and the one of which most lines are kept.
EXAMPLES = (0, RUNS_OF_EACH - 1, RUNS_OF_EACH // 2)
MANY_RUNS = """
    INSERT INTO runs (id, brand, player_id, journey, arm, state, entered_at, ends_at, version)
    SELECT 'hello:' || :brand || '\\:p-' || shape || '-' || lpad(run::text, 5, '0') || '\\:1', :brand,
           'p-' || shape || '-' || lpad(run::text, 5, '0'), 'hello', 'treated', 'active',
           timestamptz '2026-03-01' + run * interval '1 minute', '2027-01-01', 1
    FROM generate_series(0, CAST(:shapes AS integer) - 1) shape, generate_series(0, CAST(:runs AS integer) - 1) run
"""
THEIR_STEPS = """
    INSERT INTO steps (run_id, step, outcome, brand, player_id, at)
    SELECT id, 'mark:m' || step || '#1', 'marked', brand, player_id, entered_at
    FROM runs, generate_series(0, CAST(split_part(player_id, '-', 2) AS integer) - 1) step
    UNION ALL
    SELECT id, 'mark:m' || CAST(split_part(player_id, '-', 2) AS integer) - 1 || '#1', 'again', brand, player_id,
           entered_at
    FROM runs WHERE player_id LIKE 'p-%-01000' AND player_id NOT LIKE 'p-0-%'
"""


MARKED: list[str] = []


@activity.defn(name=MARK.name)
async def mark(request: Mark) -> Done:
    MARKED.append(request.step)
    return Done()


async def begin(client: Client, queue: str, shape: int, run: int) -> None:
    """Start a run that has heard as many logins as its shape has marks."""
    player = f"p-{shape}-{run:05}"
    given = RunInput(
        run_id=f"hello:{BRAND}:{player}:1",
        brand=BRAND,
        player_id=player,
        journey="hello",
        entered_at=NOON,
        ends_at=NOON + days(900),
        trigger=None,
        facts=PlayerFacts(player_id=player),
        version=1,
        engine=ENGINE,
    )
    logins = [SessionLogin.example().model_copy(update={"event_id": str(number)}) for number in range(shape)]
    batch = DeliveryBatch(
        items=[Delivery(seq=number, kind="event", event=one.to_wire()) for number, one in enumerate(logins, 1)]
    )
    await client.start_workflow(
        "hello", given, id=given.run_id, task_queue=queue, start_signal=DELIVER, start_signal_args=[batch]
    )
