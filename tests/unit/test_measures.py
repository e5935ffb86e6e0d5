"""Counts, sums and distinct values over all time, windows and calendar periods."""

from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.player_events import NO_FAILURES
from workflows import (
    DepositApproved,
    PlayerRegistered,
    RoundCompleted,
    count,
    day,
    days,
    distinct,
    hours,
    month,
    total,
    week,
    weeks,
)
from workflows.errors import DesignError
from workflows.events import Event, Seconds
from workflows.rules.measures import Measure, Present
from workflows.rules.series import Series, changes_at, value

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
KYIV = "Europe/Kyiv"


def round_(at: datetime, stake: int = 100, game: str = "g") -> RoundCompleted:
    return RoundCompleted(
        event_id="e",
        event_source="/t",
        occurred_at=at,
        round_id="r",
        game_id=game,
        category="slot",
        stake_minor=stake,
        win_minor=0,
    )


def present(now: datetime = NOW, timezone: str = KYIV, player: str = "p-1") -> Present:
    return Present(now, timezone, player)


class Kept:
    """One series of one player."""

    def __init__(self, measure: Measure, periods: int = 2) -> None:
        self.measure = measure
        self.series = Series(measure, measure.last, periods)
        self.held: dict[str, int] = {}

    def take(self, *events: RoundCompleted, now: datetime = NOW) -> "Kept":
        for event in events:
            self.series.add(self.held, event, present(now), NO_FAILURES)
        return self

    def value(self, now: datetime = NOW) -> int:
        return value(self.held, self.measure, present(now))

    def changes(self, now: datetime = NOW) -> datetime | None:
        return changes_at(self.held, self.measure, present(now))


STAKE = total(RoundCompleted, "stake_minor")


def test_what_is_counted_for_ever_never_changes_by_itself() -> None:
    kept = Kept(STAKE).take(round_(NOW - days(900), 5), round_(NOW, 7))
    assert kept.value() == 12
    assert kept.changes() is None


def test_a_window_holds_an_event_for_its_length_and_at_most_a_slice_longer() -> None:
    kept = Kept(count(RoundCompleted, last=days(7))).take(round_(NOW))
    leaves = kept.changes()
    assert leaves is not None
    assert NOW + days(7) < leaves <= NOW + days(8)
    assert kept.value(leaves - timedelta(seconds=1)) == 1
    assert kept.value(leaves) == 0
    assert kept.changes(leaves) is None


def test_an_event_older_than_the_window_is_not_even_kept() -> None:
    kept = Kept(count(RoundCompleted, last=days(7))).take(round_(NOW - days(9)))
    assert kept.held == {}


def test_two_players_windows_end_at_different_moments() -> None:
    measure = count(RoundCompleted, last=days(7))
    ends = set()
    for number in range(50):
        there = present(player=f"p-{number}")
        held: dict[str, int] = {}
        Series(measure, measure.last).add(held, round_(NOW), there, NO_FAILURES)
        ends.add(changes_at(held, measure, there))
    assert len(ends) > 45


def test_a_calendar_month_is_the_players_own() -> None:
    kept = Kept(total(RoundCompleted, "stake_minor", per=month))
    late_in_utc = datetime(2026, 3, 31, 21, 30, tzinfo=UTC)
    kept.take(round_(late_in_utc, 5), now=late_in_utc)
    assert kept.held == {"2026-04-01": 5}
    assert kept.value(late_in_utc) == 5
    assert kept.changes(late_in_utc) == datetime(2026, 4, 30, 21, tzinfo=UTC)
    assert kept.value(datetime(2026, 4, 30, 21, tzinfo=UTC)) == 0


def test_a_week_begins_on_monday() -> None:
    kept = Kept(count(RoundCompleted, per=week))
    sunday = datetime(2026, 3, 8, 12, tzinfo=UTC)
    kept.take(round_(sunday), round_(sunday + days(1)), now=sunday + days(1))
    assert kept.held == {"2026-03-02": 1, "2026-03-09": 1}


def test_a_late_event_counts_in_the_period_it_belongs_to_and_beyond_the_one_before_not_at_all() -> None:
    kept = Kept(count(RoundCompleted, per=day))
    kept.take(round_(NOW), round_(NOW - days(1)), round_(NOW - days(2)))
    assert kept.held == {"2026-03-10": 1, "2026-03-09": 1}
    assert kept.value() == 1


def test_distinct_values_are_counted_once_and_stay_unreadable() -> None:
    kept = Kept(distinct(RoundCompleted, "game_id", per=week))
    kept.take(*(round_(NOW, game=game) for game in ("a", "b", "a", "c")))
    assert kept.value() == 3
    assert not any(key.partition("/")[2] == "a" for key in kept.held)


def test_a_value_seen_again_stays_in_the_window_from_then_on() -> None:
    kept = Kept(distinct(RoundCompleted, "game_id", last=days(7)))
    kept.take(round_(NOW - days(6), game="a"), round_(NOW - days(6), game="b"), round_(NOW, game="a"))
    assert kept.value() == 2
    assert kept.value(NOW + days(3)) == 1


def test_distinct_values_stop_counting_at_most() -> None:
    for measure in (
        distinct(RoundCompleted, "game_id", most=5),
        distinct(RoundCompleted, "game_id", last=days(7), most=5),
        distinct(RoundCompleted, "game_id", per=week, most=5),
    ):
        kept = Kept(measure).take(*(round_(NOW, game=f"g{n}") for n in range(9)))
        assert kept.value() == 5
        assert len(kept.held) == 5


MEASURES = [
    count(RoundCompleted),
    count(RoundCompleted, last=hours(24)),
    count(RoundCompleted, last=days(30)),
    count(RoundCompleted, last=weeks(20)),
    total(RoundCompleted, "stake_minor", per=day),
    total(RoundCompleted, "stake_minor", per=month),
    total(RoundCompleted, lambda r: r.win_minor - r.stake_minor, per=week, name="net"),
    distinct(RoundCompleted, "game_id"),
    distinct(RoundCompleted, "game_id", last=days(7), most=3),
    distinct(RoundCompleted, "game_id", per=week, most=3),
]
ROUNDS = st.lists(
    st.builds(
        round_,
        st.integers(0, 200 * 24 * 60).map(lambda m: NOW - timedelta(minutes=m)),
        st.integers(0, 9),
        st.sampled_from("abcdef"),
    ),
    max_size=25,
)


@given(st.sampled_from(MEASURES), ROUNDS, st.randoms(use_true_random=False))
def test_no_order_of_arrival_changes_a_value_or_what_is_kept(
    measure: Measure, rounds: list[RoundCompleted], chance: Any
) -> None:
    one = Kept(measure).take(*rounds)
    other = Kept(measure).take(*chance.sample(rounds, len(rounds)))
    assert one.value() == other.value()
    assert one.changes() == other.changes()


@given(st.sampled_from(MEASURES), ROUNDS)
def test_a_value_is_what_counting_the_events_themselves_gives(measure: Measure, rounds: list[RoundCompleted]) -> None:
    def counts(event: RoundCompleted) -> bool:
        if measure.last is not None:
            seconds = measure.slice.total_seconds()
            phase = present().phase(int(seconds))
            end = ((event.occurred_at.timestamp() - phase) // seconds + 1) * seconds + phase
            return datetime.fromtimestamp(end, UTC) + measure.last > NOW
        if measure.per is None:
            return True
        local = [moment.astimezone(present().zone).date() for moment in (event.occurred_at, NOW)]
        return measure.per.start(local[0]) == measure.per.start(local[1])

    meant = [event for event in rounds if counts(event)]
    expected = sum(measure.amount(event) for event in meant) if measure.how != "distinct" else 0
    if measure.how == "distinct":
        expected = min(measure.most, len({event.game_id for event in meant}))
    assert Kept(measure).take(*rounds).value() == expected


@given(st.sampled_from([m for m in MEASURES if m.last or m.per]), ROUNDS, st.integers(0, 90 * 24))
def test_between_now_and_the_next_change_the_value_stands(
    measure: Measure, rounds: list[RoundCompleted], later: int
) -> None:
    kept = Kept(measure).take(*rounds)
    changes = kept.changes()
    then = NOW + hours(later)
    if changes is None or then < changes:
        assert kept.value(then) == kept.value()


@pytest.mark.parametrize("measure", MEASURES, ids=lambda m: m.key)
def test_what_is_kept_is_bounded_however_much_happens(measure: Measure) -> None:
    kept = Kept(measure)
    for number in range(4_000):
        now = NOW + hours(number)
        kept.take(round_(now, 1, f"game-{number}"), now=now)
    assert len(kept.held) <= 200
    if measure.how != "distinct":
        assert len(kept.held) <= 94


@pytest.mark.parametrize(
    ("declare", "told"),
    [
        (lambda: count(RoundCompleted, last=days(7), per=week), "not at both"),
        (lambda: count(RoundCompleted, last=days(900)), "366 days"),
        (lambda: count(RoundCompleted, where=lambda _: True), "needs a name="),
        (lambda: count(RoundCompleted, where=lambda _: True, name=None), "needs a name="),  # type: ignore[arg-type]
        (lambda: total(RoundCompleted, lambda _: 1), "needs a name="),
        (lambda: total(RoundCompleted, "stakes"), "has no field stakes"),
        (lambda: distinct(PlayerRegistered, "email"), "personal data"),
        (lambda: distinct(RoundCompleted, "game_id", most=0), "most=1"),
        (lambda: count(DepositApproved, where=lambda _: True, name="a:b"), "leave out"),
        (lambda: total(DepositApproved, "amount_minor", per=days(30)), "takes day, week or month as per=; write last="),  # type: ignore[arg-type]
        (lambda: total(DepositApproved, "amount_minor", per="month"), "not 'month'; write per=month without quotes"),  # type: ignore[arg-type]
        (lambda: count(DepositApproved, per="year"), "not 'year'; import one of them from workflows"),  # type: ignore[arg-type]
        (
            lambda: total(DepositApproved, "amount_minor", last=30),  # type: ignore[arg-type]
            r"a duration as last=, such as last=days\(30\), not 30",
        ),
        (lambda: count(DepositApproved, last=month), "write per=month for a period"),  # type: ignore[arg-type]
        (lambda: distinct(RoundCompleted, 3), "name of a field, or a function of the event, not 3"),  # type: ignore[arg-type]
        (
            lambda: total(DepositApproved, "currency"),
            "currency is no number and has no total; total one of amount_minor",
        ),
        (lambda: total(DepositApproved, "occurred_at"), "occurred_at is no number"),
    ],
)
def test_a_measure_that_cannot_be_kept_is_refused_with_a_sentence(declare: Any, told: str) -> None:
    with pytest.raises(DesignError, match=told):
        declare()


def test_a_field_has_a_total_where_each_of_its_values_is_a_number() -> None:
    class Shift(Event, type="casino.shift", example={"length": 60, "mixed": 1}):
        """A shift at the tables. Only for this test."""

        length: Seconds
        bonus: int | None = None
        paid: bool | None = None
        level: Literal[1, 2] | None = None
        word: Literal["a"] | None = None
        mixed: int | str

    envelope: dict[str, Any] = {"event_id": "e", "event_source": "/t", "occurred_at": NOW}
    shift = Shift(**envelope, length=timedelta(minutes=1), paid=True, level=2, mixed=1)
    adds = {name: total(Shift, name).amount(shift) for name in ("length", "bonus", "paid", "level")}
    assert adds == {"length": 60, "bonus": 0, "paid": 1, "level": 2}
    for name in ("word", "mixed", "event_id"):
        with pytest.raises(DesignError, match=f"Shift.{name} is no number and has no total; total one of length, "):
            total(Shift, name)
