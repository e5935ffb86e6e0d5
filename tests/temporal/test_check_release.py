"""The release check on runs that are in flight on a real Temporal."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from content.run_shapes import RunShape, Sample
from stage.flow.check_release import ReleaseCheck, bulk_jobs, histories_of, replay
from tests.support.machine import eventually, within
from tests.support.outside_packages import released
from workflows import days
from workflows.background.bulk_job import BulkJobInput, BulkJobWorkflow
from workflows.declaration import Journey
from workflows.player_facts import PlayerFacts
from workflows.run_protocol import Position, RunInput
from workflows.source.journey_loading import load

FLIGHT = '''
from workflows import Player, PlayerRegistered, SessionLogin, days, journey, on


@journey(on(PlayerRegistered), ends_after=days(30), control=10)
async def {name}(player: Player, registered: PlayerRegistered) -> None:
    """Wait for a day, then for a login."""
    {code}
'''


async def test_runs_in_flight_are_fetched_and_replayed(
    temporal: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    name, queue = f"flight_{token_hex(4)}", f"check-{token_hex(4)}"
    wait, login = "await player.sleep(days(1))", "await player.event(SessionLogin, within=days(9))"
    old = released(tmp_path, FLIGHT.format(name=name, code=wait))
    same = released(tmp_path, FLIGHT.format(name=name, code=f"{wait}\n    {login}"))
    new = released(tmp_path, FLIGHT.format(name=name, code=f"await player.refresh()\n    {wait}"))
    gone = {"welcome": load().journeys["welcome"]}
    await take_off(temporal, name, queue, old[name], 3)

    def run_of(number: int) -> str:
        return f"{name}:acme:p{number}:1"

    # The shape of two runs, one run of which Temporal has, and that of a hundred, of which it has both examples.
    rare = RunShape(0, ("mark:rare#1",), "mark:rare#1", {"acme": 1, "luna": 1}, (run_of(0), run_of(9)))
    common = RunShape(0, (), "", {"acme": 100}, (run_of(1), run_of(2)))
    lost = RunShape(0, ("mark:lost#1",), "mark:lost#1", {"acme": 3}, (run_of(8),))

    async def checked(journeys: Mapping[str, Journey], *shapes: RunShape, most: int = 9) -> ReleaseCheck:
        release = ReleaseCheck(samples={name: Sample.of(shapes, most)})
        run_ids = release.samples[name].run_ids
        return await replay(histories_of(temporal, run_ids, release.missing), journeys, release)

    unchanged = await checked(same, rare, common)
    assert (unchanged.replayed, unchanged.broken, unchanged.missing) == ({name: 3}, [], [run_of(9)])
    assert list(unchanged.uncovered(100)) == []
    stuck = await checked(new, rare, common)
    assert {(one.how, one.step, one.now) for one in stuck.broken} == {
        ("stuck", "sleep#1", "the code now goes to refresh#1 there")
    }
    [sentence] = stuck.sentences
    assert sentence.startswith(f"{name}: 102 of 102 runs in flight would stand still at sleep#1: the code now")
    bounded = await checked(same, rare, common, most=2)
    assert str(bounded.samples[name]) == "102 runs in flight of 2 shapes; 2 histories cover 98 %"
    assert list(bounded.uncovered(98)) == []
    [sentence] = bounded.uncovered(99)
    assert sentence == f"{name}: 100 of 102 runs in flight are spoken for, which is less than 99 %; raise --most."
    [sentence] = (await checked(same, common, lost)).uncovered(99)
    assert sentence.endswith("which is less than 99 %; Temporal does not have some of them.")
    assert {one.how for one in (await checked(gone, common)).broken} == {"gone"}


async def test_bulk_jobs_under_way_are_replayed_too(temporal: Client) -> None:
    queue = f"upkeep-{token_hex(4)}"
    given = BulkJobInput(job_id="enrolment-1", activity="enrol")
    handle = await temporal.start_workflow(BulkJobWorkflow.run, given, id=queue, task_queue=queue)
    async with Worker(temporal, task_queue=queue, workflows=[BulkJobWorkflow]):
        async for event in handle.fetch_history_events(wait_new_event=True):
            if event.HasField("activity_task_scheduled_event_attributes"):
                break

    async def listed() -> bool:
        return (await temporal.count_workflows(f"TaskQueue = '{queue}'")).count == 1

    await eventually(listed)
    release = await replay(bulk_jobs(temporal, queue), load().journeys, ReleaseCheck())
    assert (release.replayed.total(), release.broken) == (1, [])
    await handle.terminate()


async def take_off(client: Client, name: str, queue: str, journey: Journey, runs: int) -> None:
    """Start runs, wait until each stands at its first wait and Temporal lists them all, and let the worker go."""
    now = datetime.now(UTC)
    assert journey.workflow_class is not None
    worker = Worker(
        client, task_queue=queue, workflows=[journey.workflow_class], workflow_runner=UnsandboxedWorkflowRunner()
    )
    async with within(60), worker:
        for number in range(runs):
            run_id = f"{name}:acme:p{number}:1"
            given = RunInput(
                run_id=run_id,
                brand="acme",
                player_id=f"p{number}",
                journey=name,
                entered_at=now,
                ends_at=now + days(30),
                trigger=None,
                facts=PlayerFacts(player_id=f"p{number}"),
            )
            handle: Any = await client.start_workflow(name, given, id=run_id, task_queue=queue)
            position: Position = await handle.query("position", result_type=Position)
            assert position.step == "sleep#1"
    async with within(60):
        listed = 0
        while listed < runs:
            listed = (await client.count_workflows(f"TaskQueue = '{queue}' AND ExecutionStatus = 'Running'")).count
