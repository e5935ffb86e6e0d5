"""Runs in flight carried on from their histories: as they are, and moved to other code."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory

from content.settings import ContentSettings
from content.templates import read_template_facts
from stage.release_impact.examination import Examination, Examiner
from stage.release_impact.impact import SILENCE, course_differences
from stage.release_impact.play_to_end import player_of
from tests.support.first_releases import first_source, is_of_first
from tests.support.history_recording import SHIPPED
from tests.support.outside_packages import Write
from tests.support.releases import freeze, reloaded
from workflows import days
from workflows.player_facts import PlayerFacts
from workflows.player_state.decisions import Arm
from workflows.player_state.journey_facts import journey_facts

SOURCE = first_source("win_back")


def in_the_first_wait() -> list[WorkflowHistory]:
    """The stored histories of the journey as they were while the run stood in its first wait."""
    found = []
    for path in sorted(SHIPPED.glob("win_back.*.json")):
        if not is_of_first(path.read_text()):
            continue
        events = WorkflowHistory.from_json(path.stem, path.read_text()).events
        [given] = events[0].workflow_execution_started_event_attributes.input.payloads
        given.data = json.dumps({**json.loads(given.data), "version": 1}).encode()
        began = next(n for n, one in enumerate(events) if one.HasField("timer_started_event_attributes"))
        found.append(WorkflowHistory(path.stem, list(events)[: began + 1]))
    return found


@pytest.mark.parametrize("wallet", ["GBP", "EUR", None])
def test_a_run_reads_again_of_its_player_what_it_knew(wallet: str | None) -> None:
    facts = PlayerFacts(
        player_id="p",
        language="uk",
        currency=wallet or "EUR",
        wallet=wallet,
        tier="gold",
        deposits=3,
        deposited_minor=5000,
        registered_at=datetime(2026, 1, 1, tzinfo=UTC),
        last_login=datetime(2026, 2, 1, tzinfo=UTC),
        favourite_category="slot",
        harm="weak",
        last_viewed="lucky",
        liked={"lucky": True, "plain": False},
    )
    # Whoever plays on is reachable everywhere, and neither its hours nor its checks are carried along.
    other = {"consents", "kyc", "usual_hours"}
    again = journey_facts(player_of(facts, "acme", datetime(2026, 3, 1, tzinfo=UTC)))
    assert again.model_dump(exclude=other) == facts.model_dump(exclude=other)


async def each(histories: list[WorkflowHistory]) -> AsyncIterator[WorkflowHistory]:
    for history in histories:
        yield history


async def examined(package: Write, tmp_path: Path, *edits: tuple[str, str], arm: Arm = "treated") -> Examination:
    """Runs of version 1, which is the shipped code, looked at with code that was edited since."""
    name = package(win_back=SOURCE)
    freeze(name)
    module, source = tmp_path / name / "win_back.py", SOURCE
    for old, new in edits:
        assert old in source
        source = source.replace(old, new)
    module.write_text(source)
    registry = reloaded(name)
    templates = read_template_facts(ContentSettings().template_folders)
    histories = in_the_first_wait()
    # A day into the wait.
    now = max(history.events[-1].event_time.ToDatetime(UTC) for history in histories) + days(1)
    arms = dict.fromkeys((history.workflow_id for history in histories), arm)
    examination = await Examiner("win_back", 0, registry, templates, now, arms=arms).examine(each(histories))
    assert len(examination.examples) + len(examination.failures) == len(histories) == 2
    return examination


def differences(examination: Examination, turn: str) -> set[tuple[str, ...]]:
    """What moving would change for each of the runs, in that turn of events."""
    courses = [one.courses[turn] for one in examination.examples.values()]
    return {tuple(words for _, words in course_differences(*of_one)) for of_one in courses}


async def test_a_move_to_the_same_code_changes_nothing(package: Write, tmp_path: Path) -> None:
    examination = await examined(package, tmp_path)
    assert {(one.at, one.follows) for one in examination.examples.values()} == {("event:SessionLogin#1", None)}
    for turn in (SILENCE, "SessionLogin comes"):
        assert differences(examination, turn) == {()}
    for one in examination.examples.values():
        silent, _ = one.courses[SILENCE]
        # It goes on for weeks, with all that it knows of its player, and never again does what it has done.
        assert [template for _, template in silent.messages] == ["spins-offer", "other-channel", "final-offer"]
        assert [reward.partition(" ")[0] for _, reward in silent.rewards] == ["free_spins", "free_spins"]
        came, _ = one.courses["SessionLogin comes"]
        assert (came.messages, came.end) == ((), "completed")


async def test_a_run_of_the_control_group_is_offered_nothing_on_either_version(package: Write, tmp_path: Path) -> None:
    sends = 'await player.send("final-offer"'
    edit = (sends, f'await player.send("content-news")\n        {sends}')
    examination = await examined(package, tmp_path, edit, arm="control")
    assert differences(examination, SILENCE) == {()}
    for one in examination.examples.values():
        for course in one.courses[SILENCE]:
            assert (course.messages, course.rewards, course.broken) == ((), (), "")
            assert course.waits


async def test_a_moved_run_waits_as_the_new_code_says_counted_from_when_the_wait_began(
    package: Write, tmp_path: Path
) -> None:
    examination = await examined(package, tmp_path, ("within=days(7)", "within=days(3)"))
    # What comes after it is carried along and not told again.
    assert differences(examination, SILENCE) == {("event:SessionLogin#1 is over 4.0 days sooner",)}
    assert differences(examination, "SessionLogin comes") == {()}


async def test_steps_before_the_place_of_a_run_are_not_done_and_would_break_it_without_a_move(
    package: Write, tmp_path: Path
) -> None:
    sends = 'await player.send("content-news", via=["email"], fallback=["push"])'
    examination = await examined(package, tmp_path, (sends, f'await player.send("tier-gold")\n    {sends}'))
    assert differences(examination, SILENCE) == {()}
    assert {one.follows for one in examination.examples.values()} == {
        "stand still at send:content-news#1: the code now goes to send:tier-gold#1 there"
    }


async def test_code_that_fails_further_on_is_told_and_stops_no_report(package: Write, tmp_path: Path) -> None:
    examination = await examined(package, tmp_path, ("    await offer_spins(player)", "    await offer_spins(None)"))
    assert differences(examination, "SessionLogin comes") == {()}
    for one in examination.examples.values():
        own, moved = one.courses[SILENCE]
        assert (own.broken, own.end) == ("", "completed")
        assert "NoneType" in moved.broken
