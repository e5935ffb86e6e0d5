"""The nine small edits that used to strand, move or end runs in flight: what each does to the stored histories now.

They were recorded before there were releases and a number of the engine, so they are the hardest runs to keep. The same
rows for runs of today are in `test_frozen_facts.py`.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory

from stage.flow.check_release import Broken, ReleaseCheck, replay
from tests.support.first_releases import first_source, is_of_first
from tests.support.history_recording import SHIPPED
from tests.support.outside_packages import released
from workflows.declaration import Journey

Edit = Callable[..., dict[str, Journey]]


@pytest.fixture
def edit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Edit:
    """The journeys after a shipped one was edited."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def edited(name: str, old: str, new: str) -> dict[str, Journey]:
        source = first_source(name)
        assert old in source
        return released(tmp_path, source.replace(old, new))

    return edited


async def each_in_flight(name: str) -> AsyncIterator[WorkflowHistory]:
    """Every stored history of a journey as it was after each of its workflow tasks, and whole."""
    for path in sorted(SHIPPED.glob(f"{name}.*.json")):
        if not is_of_first(path.read_text()):
            continue
        events = list(WorkflowHistory.from_json(path.stem, path.read_text()).events)
        done = [n for n, one in enumerate(events, start=1) if one.HasField("workflow_task_completed_event_attributes")]
        # With what the task commanded: up to the next thing that was told.
        ends = {next((n for n, one in enumerate(events[at:], start=at) if _is_told(one)), len(events)) for at in done}
        for upto in sorted(ends):
            yield WorkflowHistory(f"{path.stem}@{upto}", events[:upto])


def _is_told(event: object) -> bool:
    told = ("workflow_task_scheduled", "timer_fired", "workflow_execution_signaled", "activity_task_started")
    return any(event.HasField(f"{name}_event_attributes") for name in told)  # type: ignore[attr-defined]


async def broken(name: str, journeys: Mapping[str, Journey]) -> list[Broken]:
    return (await replay(each_in_flight(name), journeys, ReleaseCheck())).broken


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        pytest.param(
            "welcome", "within=days(2)", "within=days(20)", id="a wait longer than the journey, in it or past it"
        ),
        pytest.param("welcome", "within=days(10)", "within=days(13)", id="a longer last wait"),
        pytest.param("welcome", "within=hours(1)", "within=days(15)", id="an hour that became two weeks"),
        pytest.param(
            "vip_onboarding", "approved: bool", "approved: bool\n    why: str", id="a form with one more field"
        ),
        pytest.param("vip_onboarding", '["reached", ', '["talked", ', id="another word in a form"),
        pytest.param("tier_up", "free_spins(20, max_win=10000)", "free_spins(25, max_win=5000)", id="another amount"),
        pytest.param("win_back", "spins=spins, max_win=10000", "spins=spins, max_win=9000", id="another variable"),
        pytest.param("tier_up", '["in_app", "push", "email"]', '["email"]', id="other channels"),
    ],
)
async def test_an_edit_strands_moves_and_ends_no_run_in_flight(edit: Edit, name: str, old: str, new: str) -> None:
    assert await broken(name, edit(name, old, new)) == []


async def test_a_task_from_before_its_times_were_kept_has_those_of_the_code(edit: Edit) -> None:
    """The ninth edit; a task of today keeps its times, as a row of `test_frozen_facts.py` shows."""
    found = await broken("tier_up", edit("tier_up", "due=days(5)", "due=days(1)"))
    assert {one.step for one in found} == {"ask:PersonalNote#1"}
