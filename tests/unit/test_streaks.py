"""In a row means in a row as it happened, not as it was heard."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.support.player_events import NOON, Life, declared, journeys_entered, started
from workflows import DepositApproved, DepositFailed, RoundCompleted, hours, minutes, streak
from workflows.rules.streak_state import REMEMBERED, StreakState

SECOND = timedelta(seconds=1)
MARKS = st.lists(st.booleans(), max_size=REMEMBERED)


def at(second: int) -> datetime:
    return datetime(2026, 3, 10, tzinfo=UTC) + second * SECOND


def length(row: StreakState) -> int:
    return row.older + len(row.hits)


def tail(marks: list[bool]) -> int:
    """How many hits stand after the last miss."""
    found = 0
    for hit in marks:
        found = found + 1 if hit else 0
    return found


def heard(marks: list[tuple[int, bool]], within: timedelta | None = None) -> StreakState:
    row = StreakState()
    for second, hit in marks:
        if hit:
            row.hit(at(second), within)
        else:
            row.miss(at(second))
    return row


@given(MARKS, st.randoms(use_true_random=False))
def test_whatever_order_they_are_heard_in_the_length_is_that_of_their_own_time(marks: list[bool], chance: Any) -> None:
    told = list(enumerate(marks))
    chance.shuffle(told)
    assert length(heard(told)) == tail(marks)


@given(st.lists(st.booleans(), max_size=80))
def test_in_order_a_streak_of_any_length_is_exact(marks: list[bool]) -> None:
    assert length(heard(list(enumerate(marks)))) == tail(marks)


@given(st.lists(st.integers(0, 300), min_size=1, max_size=60, unique=True), st.integers(0, 60))
def test_a_streak_within_a_time_starts_anew_with_the_hit_that_is_too_late(moments: list[int], within: int) -> None:
    began, expected = None, 0
    row = StreakState()
    for moment in sorted(moments):
        if began is None or moment - began > within:
            began, expected = moment, 0
        expected += 1
        assert row.hit(at(moment), within * SECOND) == expected


@given(st.lists(st.booleans(), max_size=200))
def test_what_is_kept_of_a_streak_is_bounded(marks: list[bool]) -> None:
    assert len(heard(list(enumerate(marks))).hits) <= REMEMBERED


def test_a_miss_that_comes_later_than_all_remembered_hits_changes_nothing() -> None:
    row = heard([(second, True) for second in range(10, 10 + 2 * REMEMBERED)])
    row.miss(at(10 + REMEMBERED // 2))
    assert length(row) == 2 * REMEMBERED


def test_at_one_instant_the_order_of_arrival_decides() -> None:
    assert length(heard([(1, True), (1, False)])) == 0
    assert length(heard([(1, False), (1, True)])) == 1


FAILED = streak(DepositFailed, 3, broken_by=DepositApproved)


def test_a_late_event_completes_a_streak_where_it_belongs() -> None:
    life = Life(declared("help", FAILED))
    life.happens(DepositFailed, ago=minutes(3))
    life.happens(DepositFailed, ago=minutes(1))
    assert journeys_entered(life.happens(DepositFailed, ago=minutes(2))) == ["help"]


def test_a_late_event_breaks_a_streak_only_before_itself() -> None:
    life = Life(declared("help", FAILED))
    life.happens(DepositFailed, ago=minutes(9))
    life.happens(DepositFailed, ago=minutes(5))
    life.happens(DepositApproved, ago=minutes(7))
    assert started(life.happens(DepositFailed, ago=minutes(4))) == []
    assert journeys_entered(life.happens(DepositFailed, ago=minutes(3))) == ["help"]


def test_a_hit_from_before_the_last_miss_fires_nothing() -> None:
    life = Life(declared("help", streak(DepositFailed, 2, broken_by=DepositApproved)))
    life.happens(DepositFailed, ago=minutes(9))
    life.happens(DepositApproved, ago=minutes(5))
    assert started(life.happens(DepositFailed, ago=minutes(8))) == []


@given(MARKS, st.randoms(use_true_random=False))
def test_losing_rounds_are_counted_by_their_own_time_in_a_players_life(marks: list[bool], chance: Any) -> None:
    lives = Life(), Life()
    shuffled = list(enumerate(marks))
    chance.shuffle(shuffled)
    for life, told in zip(lives, (list(enumerate(marks)), shuffled), strict=True):
        for minute, lost in told:
            moment = NOON - hours(2) + minutes(minute)
            life.happens(RoundCompleted, occurred_at=moment, stake_minor=100, win_minor=0 if lost else 500)
    one, other = (life.state for life in lives)
    assert one.streaks == other.streaks
    assert (one.first, one.last, one.counts) == (other.first, other.last, other.counts)
