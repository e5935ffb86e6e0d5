"""Stored histories of every journey replay on today's code, so that a release breaks no run in flight.

What the shipped journeys do not do, a next chapter, a move to another release, a cancellation, a failure, is stored of
the designs of the tests.

To store new ones after a change that is meant to break them:
RECORD_HISTORIES=1 pytest -m recorded tests/temporal
"""

from functools import cache
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from tests.support.history_recording import DESIGNS, SHIPPED
from workflows.source.journey_loading import SHIPPED as PACKAGE
from workflows.source.journey_loading import Registry, load
from workflows.temporal_internals import runner

HISTORIES = [*sorted(SHIPPED.glob("*.json")), *sorted(DESIGNS.glob("*.json"))]


def test_every_journey_has_a_stored_history() -> None:
    stored = {path.name.partition(".")[0] for path in HISTORIES}
    assert set(load().journeys) <= stored


@pytest.mark.parametrize(
    ("journey", "event"),
    [
        ("chaptered", "EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW"),
        ("moving", "EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW"),
        ("resting", "EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED"),
        ("resting", "EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED"),
        ("failing", "EVENT_TYPE_WORKFLOW_EXECUTION_FAILED"),
    ],
)
def test_every_way_out_of_a_run_is_stored(journey: str, event: str) -> None:
    assert any(f'"{event}"' in path.read_text() for path in HISTORIES if path.name.startswith(f"{journey}."))


def test_a_run_that_only_a_shadow_played_is_stored() -> None:
    assert any('"name":"withhold"' in path.read_text() for path in HISTORIES)


@cache
def registry() -> Registry:
    return load((PACKAGE, "tests.support.designs"))


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
async def test_a_stored_history_replays(path: Path) -> None:
    history = WorkflowHistory.from_json(path.stem, path.read_text())
    # Each class that a replayer knows it imports into a sandbox of its own, which takes longer than the replay.
    played = registry().journeys[path.name.partition(".")[0]].workflow_class
    assert played is not None
    replayer = Replayer(workflows=[played], data_converter=pydantic_data_converter, workflow_runner=runner())
    await replayer.replay_workflow(history, raise_on_replay_failure=True)


async def test_a_changed_order_of_steps_is_noticed() -> None:
    """The check can fail: a history whose first step was another does not replay."""
    path = next(path for path in HISTORIES if path.name.startswith("tier_up."))
    history = WorkflowHistory.from_json(path.stem, path.read_text().replace('"name":"grant"', '"name":"send"', 1))
    replayer = Replayer(workflows=load().workflows, data_converter=pydantic_data_converter, workflow_runner=runner())
    result = await replayer.replay_workflow(history, raise_on_replay_failure=False)
    assert result.replay_failure is not None
