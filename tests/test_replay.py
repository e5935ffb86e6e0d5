"""Stored histories of every journey replay on today's code, so that a release breaks no run in flight.

To store new ones after a change that is meant to break them: RECORD_HISTORIES=1 pytest tests/test_journeys.py
"""

from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from workflows.registry import load
from workflows.sandbox import runner

HISTORIES = sorted((Path(__file__).parent / "histories").glob("*.json"))


def test_every_journey_has_a_stored_history() -> None:
    stored = {path.name.partition(".")[0] for path in HISTORIES}
    assert set(load().journeys) <= stored


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
async def test_a_stored_history_replays(path: Path) -> None:
    replayer = Replayer(workflows=load().workflows, data_converter=pydantic_data_converter, workflow_runner=runner())
    history = WorkflowHistory.from_json(path.stem, path.read_text())
    await replayer.replay_workflow(history, raise_on_replay_failure=True)


async def test_a_changed_order_of_steps_is_noticed() -> None:
    """The check can fail: a history whose first step was another does not replay."""
    path = next(path for path in HISTORIES if path.name.startswith("tier_up."))
    history = WorkflowHistory.from_json(path.stem, path.read_text().replace('"name":"grant"', '"name":"send"', 1))
    replayer = Replayer(workflows=load().workflows, data_converter=pydantic_data_converter, workflow_runner=runner())
    result = await replayer.replay_workflow(history, raise_on_replay_failure=False)
    assert result.replay_failure is not None
