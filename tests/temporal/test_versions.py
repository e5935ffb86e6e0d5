"""Runs of several versions of one journey, side by side on one worker and inside its sandbox."""

from pathlib import Path

from temporalio.client import Client, WorkflowHandle
from temporalio.worker import Worker

from tests.support.outside_packages import Write
from tests.support.player_events import BRAND, NOON
from tests.support.releases import release, reloaded
from workflows.journey_versions import publish
from workflows.player_facts import PlayerFacts
from workflows.run_protocol import POSITION, Position, RunInput
from workflows.source.journey_loading import Registry
from workflows.temporal_internals import runner

HELLO = """
from workflows import DepositApproved, Player, SessionLogin, always, days, journey, on
from PACKAGE.notes import NOTES, note


@journey(on(SessionLogin), entry=always, ends_after=days(90))
async def hello(player: Player, login: SessionLogin) -> None:
    '''Greet.'''
    note("began")
    await player.FIRST
"""
NOTES = """
NOTES: list[str] = []


def note(what: str) -> None:
    NOTES.append(what)
"""
SLEEP, LOGIN, MORNING = "sleep(days(len(NOTES)))", "event(SessionLogin, within=days(9))", 'until("09:00")'


def two_releases(package: Write, folder: Path) -> Registry:
    """A package with two releases of one journey; its present code is neither."""
    name = package(hello=HELLO.replace("FIRST", SLEEP), notes=NOTES)
    release(name)
    path = folder / name / "hello.py"
    path.write_text(path.read_text().replace(SLEEP, LOGIN))
    release(name)
    path.write_text(path.read_text().replace(LOGIN, MORNING))
    return reloaded(name)


async def started(client: Client, queue: str, entry: int, version: int) -> WorkflowHandle[object, str]:
    run_id = f"hello:{BRAND}:{queue}:{entry}"
    facts = PlayerFacts(player_id=queue)
    given = RunInput(
        run_id=run_id,
        brand=BRAND,
        player_id=queue,
        journey="hello",
        entered_at=NOON,
        ends_at=NOON.replace(year=9000),
        trigger=None,
        facts=facts,
        version=version,
    )
    return await client.start_workflow("hello", given, id=run_id, task_queue=queue)


async def step_of(handle: WorkflowHandle[object, str]) -> Position:
    position: Position = await handle.query(POSITION, result_type=Position)
    return position


async def test_one_worker_plays_every_version_and_a_replay_stays_on_its_own(
    package: Write, tmp_path: Path, temporal: Client
) -> None:
    registry = two_releases(package, tmp_path)
    queue = registry.journeys["hello"].function.__module__.partition(".")[0]
    steps = {0: "until#1", 1: "sleep#1", 2: "event:SessionLogin#1"}
    # Nothing is kept in memory, so every question is answered by a replay.
    async with Worker(
        temporal,
        task_queue=queue,
        workflows=registry.workflows,
        workflow_runner=runner(),
        max_cached_workflows=0,
    ):
        runs = {
            (version, entry): await started(temporal, queue, 10 * entry + version, version)
            for version in steps
            for entry in (1, 2)
        }
        for (version, _), handle in runs.items():
            position = await step_of(handle)
            assert position.step == steps[version]
            if version == 1 and position.waiting_until is not None:
                # What frozen code keeps in its modules is a run's own: each has noted one thing.
                description = await handle.describe()
                # The wait begins with the first task of the run, which a busy worker takes up late.
                assert (position.waiting_until - description.start_time).days == 1
        for handle in runs.values():
            await handle.terminate()


async def test_a_worker_that_does_not_know_a_version_leaves_the_run_to_another(
    package: Write, tmp_path: Path, temporal: Client
) -> None:
    registry = two_releases(package, tmp_path)
    journey = registry.journeys["hello"]
    module = journey.function.__module__
    queue = module.partition(".")[0]
    known: dict[int, str | None] = {number: one.function.__module__ for number, one in journey.versions.items()}
    publish(module, "hello", {1: known[1]})
    worker = Worker(temporal, task_queue=queue, workflows=registry.workflows, workflow_runner=runner())
    async with worker:
        handle = await started(temporal, queue, 1, 2)
        async for event in handle.fetch_history_events(wait_new_event=True):
            if event.HasField("workflow_task_failed_event_attributes"):
                failure = event.workflow_task_failed_event_attributes.failure
                assert "Version 2 of hello is not deployed here" in failure.message
                break
        # The release has rolled.
        publish(module, "hello", known)
        async for event in handle.fetch_history_events(wait_new_event=True):
            if event.HasField("timer_started_event_attributes"):
                break
        assert (await step_of(handle)).step == "event:SessionLogin#1"
        await handle.terminate()
