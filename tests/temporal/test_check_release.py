"""The release check on runs that are in flight on a real Temporal."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from stage.flow.check_release import ReleaseCheck, in_flight, replay
from tests.support.machine import within
from tests.support.outside_packages import released
from workflows import days
from workflows.declaration import Journey
from workflows.player_facts import PlayerFacts
from workflows.run_protocol import Position, RunInput
from workflows.source.registry import load

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

    async def checked(journeys: Mapping[str, Journey], most: int) -> ReleaseCheck:
        release = ReleaseCheck()
        return await replay(in_flight(temporal, queue, journeys, release, most=most), journeys, release)

    unchanged = await checked(same, 100)
    assert (unchanged.replayed, unchanged.broken, unchanged.left_out) == ({name: 3}, [], {})
    bounded = await checked(new, 2)
    assert {(one.how, one.step, one.now) for one in bounded.broken} == {
        ("stuck", "sleep#1", "the code now goes to refresh#1 there")
    }
    assert (bounded.replayed, bounded.left_out) == ({name: 2}, {name: 1})
    assert {one.how for one in (await checked(gone, 100)).broken} == {"gone"}


async def take_off(client: Client, name: str, queue: str, journey: Journey, runs: int) -> None:
    """Start runs, wait until each stands at its first wait and Temporal lists them all, and let the worker go."""
    now = datetime.now(UTC)
    assert journey.workflow_class is not None
    worker = Worker(
        client, task_queue=queue, workflows=[journey.workflow_class], workflow_runner=UnsandboxedWorkflowRunner()
    )
    async with within(30), worker:
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
    async with within(30):
        listed = 0
        while listed < runs:
            listed = (await client.count_workflows(f"TaskQueue = '{queue}' AND ExecutionStatus = 'Running'")).count
