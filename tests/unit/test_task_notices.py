"""What people are told of a task, and when."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from workflows.task_notices import TaskClock, after_quiet, digest_day, move_due, next_look, occasions

AT = datetime(2026, 1, 15, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def clock(**changes: object) -> TaskClock:
    given: dict[str, object] = {"created_at": AT, "due_at": AT + 4 * HOUR}
    return TaskClock(**(given | changes))  # type: ignore[arg-type]  # a task for a test


def told(task: TaskClock, now: datetime, known: tuple[str, ...] = ()) -> list[str]:
    return [one.name for one in occasions(task, known, now)]


def test_a_task_that_nobody_takes_is_told_after_a_quarter_of_its_time_and_when_it_is_over() -> None:
    assert told(clock(), AT) == ["opened"]
    assert told(clock(), AT + HOUR) == ["opened", "unclaimed"]
    assert told(clock(), AT + 4 * HOUR) == ["opened", "unclaimed", "breached"]


def test_a_task_in_somebodys_hands_does_not_lie() -> None:
    assert told(clock(assignee="olena"), AT + HOUR) == ["opened", "given"]


def test_after_a_due_time_that_was_moved_the_new_one_can_be_missed_too() -> None:
    first = occasions(clock(), (), AT + 4 * HOUR)[-1]
    assert told(clock(due_at=AT + 5 * HOUR), AT + 5 * HOUR, (first.key,))[-1] == "breached"


def test_a_run_moves_its_own_task_and_nobody_else_does() -> None:
    assert move_due(clock(escalate_to="head"), AT + 9 * HOUR) is None
    assert next_look(clock(assignee="olena"), AT) == AT + 4 * HOUR


def test_a_task_without_a_run_is_reminded_of_at_half_and_passed_up_at_the_end() -> None:
    alone = clock(of_run=False, escalate_to="head", assignee="olena")
    assert next_look(alone, AT) == AT + 2 * HOUR
    assert move_due(alone, AT + HOUR) is None
    assert move_due(alone, AT + 2 * HOUR) == "remind"
    assert move_due(clock(of_run=False, escalate_to="head", reminded_at=AT + 2 * HOUR), AT + 3 * HOUR) is None
    assert move_due(alone, AT + 4 * HOUR) == "escalate"
    passed_up = clock(of_run=False, escalate_to="head", escalated_at=AT + 4 * HOUR, due_at=AT + 8 * HOUR)
    assert move_due(passed_up, AT + 9 * HOUR) is None
    assert told(passed_up, AT + 5 * HOUR)[-1] == "unclaimed"


@given(
    minutes=st.lists(st.integers(0, 600), min_size=1, max_size=20),
    of_run=st.booleans(),
    assignee=st.sampled_from([None, "olena"]),
)
@settings(max_examples=examples(100))
def test_however_often_it_is_looked_at_nothing_is_told_twice_and_nothing_is_forgotten(
    *, minutes: list[int], of_run: bool, assignee: str | None
) -> None:
    task = clock(of_run=of_run, assignee=assignee)
    known: list[str] = []
    for minute in sorted(minutes):
        found = occasions(task, known, AT + timedelta(minutes=minute))
        assert not {one.key for one in found} & set(known)
        known += [one.key for one in found]
    assert len(known) == len(set(known))
    assert {one.key for one in occasions(task, (), AT + timedelta(minutes=max(minutes)))} == set(known)


@given(minute=st.integers(0, 600), of_run=st.booleans(), assignee=st.sampled_from([None, "olena"]))
def test_between_two_looks_nothing_becomes_due(*, minute: int, of_run: bool, assignee: str | None) -> None:
    task, now = clock(of_run=of_run, assignee=assignee), AT + timedelta(minutes=minute)
    ahead = next_look(task, now)
    before = (ahead or now + 100 * HOUR) - timedelta(seconds=1)
    assert told(task, now) == told(task, max(before, now))
    if ahead is not None:
        assert ahead > now


@pytest.mark.parametrize(
    ("hour", "quiet", "until"),
    [
        (12, ("22:00", "08:00"), 12),
        (23, ("22:00", "08:00"), 32),
        (3, ("22:00", "08:00"), 8),
        (8, ("22:00", "08:00"), 8),
        (13, ("12:30", "14:00"), 14),
        (3, (None, "08:00"), 3),
        (3, ("08:00", "08:00"), 3),
    ],
)
def test_who_wants_quiet_is_told_when_it_is_over(hour: int, quiet: tuple[str | None, str], until: int) -> None:
    day = datetime(2026, 1, 15, tzinfo=UTC)
    assert after_quiet(day + hour * HOUR, "UTC", *quiet) == day + until * HOUR


def test_quiet_is_by_the_persons_own_clock() -> None:
    late_in_kyiv = datetime(2026, 1, 15, 21, tzinfo=UTC)
    assert after_quiet(late_in_kyiv, "Europe/Kyiv", "22:00", "08:00") == datetime(2026, 1, 16, 6, tzinfo=UTC)


def test_a_digest_is_due_in_the_morning_of_its_reader_and_not_at_noon() -> None:
    at = datetime(2026, 1, 15, 6, 31, tzinfo=UTC)
    assert digest_day(at, "Europe/Kyiv", "08:30") == "2026-01-15"
    assert digest_day(at - timedelta(minutes=2), "Europe/Kyiv", "08:30") is None
    assert digest_day(at + timedelta(hours=5), "Europe/Kyiv", "08:30") is None
