"""How a player plays from week to week: what is kept of it, and when it has changed."""

import random
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.player_events import Life, declared, journeys_entered
from workflows import (
    PlayerRegistered,
    RoundCompleted,
    SessionLogin,
    Statistics,
    choices,
    days,
    entered,
    level,
    segment,
    total,
    week_days,
)
from workflows.errors import DesignError
from workflows.player_state.joined_history import absorb
from workflows.rules.measures import Measure, Present
from workflows.rules.patterns import (
    KEPT,
    MOST_CHOICES,
    choices_changed,
    days_changed,
    level_changed,
    note_choice,
    note_level,
)
from workflows.rules.series import Series, change_of, changes_at

MONDAY = datetime(2026, 3, 9, 12, tzinfo=UTC)
DAYS, GAMES, STAKES = week_days(SessionLogin), choices(RoundCompleted, "category"), level(RoundCompleted, "stake_minor")


def kept(measure: Measure, told: Iterable[tuple[datetime, dict[str, Any]]]) -> dict[str, int]:
    held: dict[str, int] = {}
    for at, data in told:
        event = measure.kind.example().model_copy(update={"occurred_at": at, **data})
        Series(measure, None).add(held, event, Present.at(at, None, "p"), [])
    return held


def weeks(number: int, weekdays: Iterable[int], before: int = 0, **data: Any) -> list[tuple[datetime, dict[str, Any]]]:
    """Something on these weekdays of so many weeks, of which the last ended `before` weeks ago."""
    first = MONDAY - timedelta(weeks=number + before)
    return [(first + timedelta(weeks=week, days=day), data) for week in range(number) for day in sorted(weekdays)]


def changed(measure: Measure, *told: list[tuple[datetime, dict[str, Any]]]) -> Any:
    held = kept(measure, [one for part in told for one in part])
    return change_of(held, measure, Present.at(MONDAY, None, "p"))


# ---- what has changed ----------------------------------------------------------------------------


def test_who_played_at_weekends_and_plays_on_weekdays_has_changed() -> None:
    change = changed(DAYS, weeks(8, [5, 6], before=4), weeks(4, [0, 2]))
    assert (bool(change), change.to) == (True, "weekdays")
    assert change.why == (
        "0 of 8 days with SessionLogin were at the weekend in the last four weeks, "
        "against 16 of 16 in the eight before."
    )
    assert changed(DAYS, weeks(8, [0, 2], before=4), weeks(4, [5, 6])).to == "weekend"


def test_who_leaves_slots_for_live_games_has_changed_however_many_rounds_one_night_had() -> None:
    slots, live = weeks(8, [1, 4], before=4, category="slot"), weeks(4, [1, 4], category="live")
    one_night = [(MONDAY - timedelta(days=3), {"category": "slot"})] * 500
    change = changed(GAMES, slots, [*live, *one_night])
    assert (bool(change), change.to) == (True, "live")
    assert change.why is not None
    assert change.why.endswith("in the last four weeks, against 0 of 16 in the eight before.")


def test_who_stakes_twice_as_much_has_changed_and_one_wild_night_is_no_change() -> None:
    before = weeks(8, [1, 4], before=4, stake_minor=100)
    change = changed(STAKES, before, weeks(4, [1, 4], stake_minor=220))
    assert change.to == "higher"
    assert change.why == (
        "The stake_minor of RoundCompleted was 220 in the middle of the last four weeks, "
        "against 100 in the eight before."
    )
    wild = changed(STAKES, before, [*weeks(4, [1, 4], stake_minor=100), (MONDAY - days(3), {"stake_minor": 90_000})])
    assert (bool(wild), wild.known) == (False, True)
    assert changed(STAKES, before, weeks(4, [1, 4], stake_minor=40)).to == "lower"


def test_what_is_below_nothing_has_changed_by_as_much_as_what_is_above() -> None:
    before, today = [(week, -100) for week in range(2, 10)], date(2026, 3, 2)

    def level(lately: int) -> str | None:
        held: dict[str, int] = {}
        for back, amount in [*((back + 3, amount) for back, amount in before), *((n, lately) for n in range(1, 5))]:
            note_level(held, today - timedelta(weeks=back), today, amount)
        return level_changed(held, today, "It").to

    assert [level(amount) for amount in (-90, -140, -200, -50, 100)] == [None, None, "lower", "higher", "higher"]


@pytest.mark.parametrize("measure", [DAYS, GAMES, STAKES])
def test_too_little_is_silent(measure: Measure) -> None:
    few = weeks(5, [5, 6], before=4, category="slot", stake_minor=100)
    assert not changed(measure, few, weeks(4, [0, 1], category="live", stake_minor=900)).known
    absent = changed(measure, weeks(8, [5, 6], before=4), weeks(2, [0, 1], category="live", stake_minor=900))
    assert (absent.known, absent.why) == (False, None)


@pytest.mark.parametrize(("later", "again"), [(0, 1), (12, 1), (13, None), (500, None)])
def test_who_is_away_for_good_is_looked_at_no_more(later: int, again: int | None) -> None:
    held: dict[str, int] = {}
    present = Present.at(MONDAY, None, "p")
    visit = SessionLogin.example().model_copy(update={"occurred_at": MONDAY})
    Series(DAYS, None).add(held, visit, present, [])
    now = MONDAY + timedelta(weeks=later)
    moment = changes_at(held, DAYS, Present.at(now, None, "p"))
    assert moment == (None if again is None else now.replace(hour=0) + timedelta(weeks=again))


def test_the_week_under_way_does_not_count() -> None:
    # On a Thursday nobody has had their weekend yet.
    held = kept(DAYS, weeks(12, [5, 6]) + [(MONDAY + timedelta(days=day), {}) for day in range(4)])
    assert not days_changed(held, date(2026, 3, 12), "SessionLogin")


def test_of_three_hundred_who_play_as_ever_hardly_one_is_told() -> None:
    chance, told = random.Random(1), 0
    for _ in range(300):
        days_played = [back for back in range(84, 0, -1) if chance.random() < 0.5]
        history: list[tuple[datetime, dict[str, Any]]] = [
            (MONDAY - timedelta(days=back), {"category": chance.choice(["slot", "live"]), "stake_minor": stake})
            for back in days_played
            for stake in (int(chance.lognormvariate(5, 0.5)),)
        ]
        told += sum(bool(changed(measure, history)) for measure in (DAYS, GAMES, STAKES))
    assert told <= 9, f"{told} of 900 patterns"


# ---- what is kept --------------------------------------------------------------------------------

TOLD = st.lists(
    st.tuples(st.integers(0, 120), st.sampled_from("abcdefghijklmn"), st.integers(0, 900)), max_size=60
).flatmap(lambda told: st.tuples(st.just(told), st.permutations(told)))


@settings(max_examples=examples(50))
@given(TOLD)
def test_the_order_in_which_events_come_changes_nothing_and_little_is_kept(told: Any) -> None:
    for measure in (DAYS, GAMES, STAKES):
        by_order: list[dict[str, int]] = []
        for part in told:
            held: dict[str, int] = {}
            for back, category, stake in part:
                update = {"occurred_at": MONDAY - timedelta(days=back), "category": category, "stake_minor": stake}
                event = measure.kind.example().model_copy(update=update)
                Series(measure, None).add(held, event, Present.at(MONDAY, None, "p"), [])
            by_order.append(held)
        assert by_order[0] == by_order[1]
        assert len(by_order[0]) <= KEPT * MOST_CHOICES


def test_a_long_choice_is_cut_and_what_is_too_old_is_not_kept() -> None:
    held: dict[str, int] = {}
    assert note_choice(held, date(2025, 1, 1), date(2026, 1, 1), "slot") is None
    note_choice(held, date(2026, 1, 1), date(2026, 1, 1), "x" * 500)
    assert [len(key) < 60 for key in held] == [True]
    assert not choices_changed(held, date(2026, 1, 1), "RoundCompleted").known
    assert not level_changed({}, date(2026, 1, 1), "It").known


# ---- rules that ask ------------------------------------------------------------------------------


@segment
def weekend_player_no_more(player: Statistics) -> bool:
    """Plays on other days than before."""
    return player.changed(DAYS)


@segment
def asks_a_number(player: Statistics) -> bool:
    """A mistake."""
    return player.changed(total(SessionLogin, "event_id", name="x")) if player.deposits else False


def test_a_segment_moves_when_a_week_of_the_players_is_over() -> None:
    life = Life(declared("new_ways", entered(weekend_player_no_more)), segments=[weekend_player_no_more])
    life.now = MONDAY - timedelta(weeks=12)
    life.happens(PlayerRegistered, timezone="Asia/Tokyo")
    entries: list[tuple[datetime, list[str]]] = []
    for at, _ in [*weeks(8, [5, 6], before=4), *weeks(4, [0, 2])]:
        while (moment := life.state.next_moment) is not None and moment <= at:
            life.now = moment
            entries.append((moment, journeys_entered(life.passes(timedelta(0)))))
        life.now = at
        assert journeys_entered(life.happens(SessionLogin)) == []
    (at,) = [moment for moment, names in entries if names == ["new_ways"]]
    # Midnight on a Monday in Tokyo.
    assert (at.weekday(), at.hour, sorted(life.state.segments)) == (6, 15, ["weekend_player_no_more"])


def test_a_journey_and_a_segment_take_no_number_for_a_pattern() -> None:
    with pytest.raises(DesignError, match="week_days"):
        Statistics(Life().state, MONDAY).changed(total(RoundCompleted, "stake_minor"))


def test_two_accounts_of_one_person_have_one_pattern() -> None:
    stays, goes = Life(segments=[weekend_player_no_more]), Life(segments=[weekend_player_no_more], player_id="p-2")
    for life, weekdays in ((stays, [5]), (goes, [6])):
        for at, _ in weeks(12, weekdays):
            life.now = at
            life.happens(SessionLogin)
    absorb(stays.state, goes.state, stays.rules, MONDAY, stays.failures, live=True)
    assert set(stays.state.series[DAYS.series].values()) == {0b1100000}
