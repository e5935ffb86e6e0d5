"""A calendar day comes once, whatever zones the player moves through: a birthday, an anniversary, a schedule."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.player_events import Life, declared, only
from workflows import PlayerRegistered, ProfileUpdated, always, anniversary, birthday, days, hours, minutes, schedule
from workflows.player_state.decisions import Start
from workflows.rules.calendar_rules import AnniversaryRule, Occasion
from workflows.rules.triggers import Trigger

KYIV, NEW_YORK, HONOLULU, TOKYO = "Europe/Kyiv", "America/New_York", "Pacific/Honolulu", "Asia/Tokyo"
#: A birthday, an anniversary, a Sunday and a 17th.
THE_DAY = date(2026, 5, 17)
OCCASIONS: list[Occasion] = [
    birthday(at="10:00"),
    anniversary(years=1),
    anniversary(months=12),
    schedule("10:00", weekday="sunday"),
    schedule("10:00", day=17),
    schedule("10:00"),
]


def starts(life: Life, moment: datetime) -> list[datetime]:
    """When each occasion came that let the player in until then; the sweep looks moment after moment."""
    found: list[datetime] = []
    while (due := life.state.next_moment) is not None and due <= moment:
        # A move may have made something due that lies behind us.
        for start in only(Start, life.passes(max(due - life.now, timedelta(0)))):
            life.run_ends(start.run_id)
            found += [start.trigger.occurred_at] if start.trigger else []
    life.passes(moment - life.now)
    return found


def resident(rule: Trigger, timezone: str | None, at: datetime, *, hour: int = 12, **declarations: Any) -> Life:
    """A player who registered a year ago on the day, at this hour of UTC, looked at from `at` on."""
    life = Life(declared("j", rule, entry=always, ends_after=minutes(1), **declarations))
    life.now = at
    registered_ago = at - datetime(2025, 5, 17, hour, tzinfo=UTC)
    life.happens(PlayerRegistered, timezone=timezone, birth_date="1990-05-17", ago=registered_ago)
    return life


def moves(life: Life, timezone: str) -> None:
    life.happens(ProfileUpdated, changed={"timezone": timezone})


def local(moment: datetime, timezone: str) -> datetime:
    return moment.astimezone(ZoneInfo(timezone)).replace(tzinfo=None)


@pytest.mark.parametrize("rule", OCCASIONS, ids=lambda rule: rule.key)
def test_who_moves_west_after_it_came_does_not_get_it_again(rule: Occasion) -> None:
    life = resident(rule, NEW_YORK, datetime(2026, 5, 17, 6, tzinfo=UTC))
    (came,) = starts(life, datetime(2026, 5, 17, 15, tzinfo=UTC))
    assert local(came, NEW_YORK) == datetime(2026, 5, 17, 10)  # noqa: DTZ001 - on the player's clock
    moves(life, HONOLULU)
    assert starts(life, datetime(2026, 5, 18, 15, tzinfo=UTC)) == []


@pytest.mark.parametrize("rule", OCCASIONS, ids=lambda rule: rule.key)
def test_what_a_move_east_passes_over_is_caught_up_at_once(rule: Occasion) -> None:
    life = resident(rule, NEW_YORK, datetime(2026, 5, 17, 6, tzinfo=UTC))
    life.now = datetime(2026, 5, 17, 13, tzinfo=UTC)
    moves(life, KYIV)
    assert starts(life, life.now) == [datetime(2026, 5, 17, 7, tzinfo=UTC)]
    assert starts(life, datetime(2026, 5, 18, 6, tzinfo=UTC)) == []


def test_what_is_caught_up_too_late_for_the_journey_is_not_told_any_more() -> None:
    life = resident(birthday(at="10:00"), NEW_YORK, datetime(2026, 5, 17, 6, tzinfo=UTC), late_after=hours(2))
    life.now = datetime(2026, 5, 17, 13, tzinfo=UTC)
    moves(life, KYIV)
    assert starts(life, life.now + days(300)) == []
    assert starts(life, life.now + days(366)) == [datetime(2027, 5, 17, 7, tzinfo=UTC)]


def test_a_first_zone_told_late_neither_takes_nor_doubles_the_day() -> None:
    for hour, zone_told, expected in ((9, TOKYO, [1]), (11, HONOLULU, [10])):
        life = resident(birthday(at="10:00"), None, datetime(2026, 5, 17, 6, tzinfo=UTC))
        found = starts(life, datetime(2026, 5, 17, hour, tzinfo=UTC))
        moves(life, zone_told)
        found += starts(life, datetime(2026, 5, 19, tzinfo=UTC))
        assert [at.hour for at in found] == expected


def test_what_was_due_before_a_move_and_not_noticed_comes_once() -> None:
    life = resident(birthday(at="10:00"), NEW_YORK, datetime(2026, 5, 17, 6, tzinfo=UTC))
    life.now = datetime(2026, 5, 17, 14, 0, 30, tzinfo=UTC)
    for timezone in (HONOLULU, KYIV, HONOLULU):
        moves(life, timezone)
    assert starts(life, life.now) == [datetime(2026, 5, 17, 14, tzinfo=UTC)]
    assert starts(life, life.now + days(300)) == []


def test_a_birth_date_corrected_after_the_greeting_brings_no_second_one_that_year() -> None:
    life = resident(birthday(at="10:00"), "UTC", datetime(2026, 5, 17, 6, tzinfo=UTC))
    assert len(starts(life, datetime(2026, 6, 1, tzinfo=UTC))) == 1
    life.happens(ProfileUpdated, changed={"birth_date": "1990-06-20"})
    assert starts(life, datetime(2027, 6, 30, tzinfo=UTC)) == [datetime(2027, 6, 20, 10, tzinfo=UTC)]


def test_a_birth_date_corrected_to_a_day_long_past_is_not_made_up_for() -> None:
    life = resident(birthday(at="10:00"), "UTC", datetime(2026, 4, 1, tzinfo=UTC), late_after=days(90))
    life.happens(ProfileUpdated, changed={"birth_date": "1990-03-20"})
    assert starts(life, datetime(2027, 3, 30, tzinfo=UTC)) == [datetime(2027, 3, 20, 10, tzinfo=UTC)]


def as_of_before(life: Life) -> None:
    """Make the row one that a release wrote which did not keep what came last."""
    life.state.occasions = {}


@given(
    st.sampled_from(OCCASIONS),
    st.sampled_from(["UTC", KYIV, NEW_YORK, HONOLULU, TOKYO]),
    st.lists(
        st.tuples(st.floats(0, 40), st.sampled_from(["UTC", KYIV, NEW_YORK, HONOLULU, TOKYO]), st.booleans()),
        min_size=1,
        max_size=12,
    ),
)
@settings(max_examples=examples(150, quick=50))
def test_each_day_comes_once_whatever_the_player_moves_and_when(
    rule: Occasion, home: str, trip: list[tuple[float, str, bool]]
) -> None:
    life = resident(rule, home, datetime(2026, 5, 15, 12, tzinfo=UTC), hour=23, late_after=days(2))
    end, timezone = datetime(2026, 5, 23, tzinfo=UTC), home
    came: list[date] = []

    def lives(until: datetime) -> None:
        while (due := life.state.next_moment) is not None and due <= until:
            (start,) = only(Start, life.passes(max(due - life.now, timedelta(0))))
            life.run_ends(start.run_id)
            came.append(life.state.occasions[rule.key])
            assert start.trigger is not None
            assert timedelta(0) <= life.now - start.trigger.occurred_at < days(1)
            assert came[-1] == local(start.trigger.occurred_at, timezone).date()
            assert life.state.next_moment is None or life.state.next_moment > life.now
        life.passes(until - life.now)

    for pause, timezone_then, written_before in trip:
        moment = life.now + hours(pause)
        if moment >= end:
            break
        lives(moment)
        # The day of an anniversary changes with the zone, and a row that kept nothing cannot tell that it has come.
        if written_before and not (came and isinstance(rule, AnniversaryRule)):
            as_of_before(life)
        timezone = timezone_then
        moves(life, timezone)
        lives(moment)
    lives(end)
    if rule == OCCASIONS[-1]:
        assert came == [came[0] + days(number) for number in range(len(came))]
        assert len(came) >= 7
    else:
        assert len(came) == 1
        assert abs(came[0] - THE_DAY) <= days(1)
