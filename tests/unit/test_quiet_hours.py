"""The gate at night: on the player's own clock, in every zone, across every change of it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.gate import DAY, FREE, HOUSE, KYIV, NOON, TICK, ZONES, contacts, message, reason
from workflows.gate.decide import may_send
from workflows.gate.decision import Allowed, Refusal, Wait
from workflows.gate.policy import Policy
from workflows.gate.quiet_hours import Night, quiet_until
from workflows.gate.reasons import Reason


@pytest.mark.parametrize(
    ("local", "until"),
    [
        ("2026-03-10 21:59:59", None),
        ("2026-03-10 22:00:00", "2026-03-11 08:00:00"),
        ("2026-03-11 00:00:00", "2026-03-11 08:00:00"),
        ("2026-03-11 07:59:59", "2026-03-11 08:00:00"),
        ("2026-03-11 08:00:00", None),
        ("2026-03-28 23:00:00", "2026-03-29 08:00:00"),
        ("2026-10-24 23:00:00", "2026-10-25 08:00:00"),
    ],
)
def test_the_night_begins_at_ten_and_ends_at_eight_on_the_players_clock(local: str, until: str | None) -> None:
    now = datetime.fromisoformat(local).replace(tzinfo=KYIV).astimezone(UTC)
    decision = may_send(replace(FREE, timezone="Europe/Kyiv"), message(), HOUSE, now)
    if until is None:
        assert isinstance(decision, Allowed)
    else:
        assert isinstance(decision, Wait)
        assert decision.until == datetime.fromisoformat(until).replace(tzinfo=KYIV)
        assert decision.until.tzinfo is UTC
        assert reason(decision) == Reason.QUIET_HOURS


def test_an_in_app_message_waits_on_the_site_and_not_for_the_morning() -> None:
    facts = replace(FREE, timezone=None)
    assert isinstance(may_send(facts, message("in_app"), HOUSE, NOON.replace(hour=23)), Allowed)


def test_what_waits_for_the_morning_is_judged_against_the_caps_of_the_morning() -> None:
    night = NOON.replace(hour=23)
    facts = replace(FREE, contacts=contacts(timedelta(hours=23), now=night))
    decision = may_send(facts, message(), HOUSE, night)
    assert isinstance(decision, Wait)
    assert isinstance(may_send(facts, message(), HOUSE, decision.until), Allowed)


def test_a_policy_without_quiet_hours_makes_nobody_wait() -> None:
    awake = Policy(nights=frozenset({Night(time(8), time(8))}))
    facts = replace(FREE, timezone=None)
    assert isinstance(may_send(facts, message(), awake, NOON.replace(hour=3)), Allowed)


@pytest.mark.parametrize(
    ("now", "until"),
    [
        # The clock jumps from 03:00 to 04:00 and 03:30 never comes: longer by the jump.
        ("2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z"),
        # The clock goes back from 04:00 to 03:00: the first 03:30 ends the night ...
        ("2026-10-25T00:10:00Z", "2026-10-25T00:30:00Z"),
        # ... and the second one ends the minutes that came again.
        ("2026-10-25T01:10:00Z", "2026-10-25T01:30:00Z"),
    ],
)
def test_a_night_that_ends_in_the_hour_the_clock_changes_ends_all_the_same(now: str, until: str) -> None:
    nights = [Night(time(22), time(3, 30))]
    assert quiet_until(KYIV, nights, datetime.fromisoformat(now)) == datetime.fromisoformat(until)


def test_a_morning_the_clock_jumps_over_into_the_next_night_is_no_morning() -> None:
    half_an_hour_awake = [Night(time(4), time(3, 30))]
    until = quiet_until(KYIV, half_an_hour_awake, datetime(2026, 3, 28, 5, tzinfo=KYIV).astimezone(UTC))
    assert until == datetime(2026, 3, 30, 3, 30, tzinfo=KYIV)


def test_a_zone_that_skips_a_whole_day_still_wakes_up() -> None:
    apia = ZoneInfo("Pacific/Apia")
    night = datetime(2011, 12, 29, 23, tzinfo=apia).astimezone(UTC)
    until = quiet_until(apia, HOUSE.nights, night)
    assert until is not None
    assert until.astimezone(apia).isoformat() == "2011-12-31T08:00:00+14:00"


@cache
def transitions(name: str, year: int) -> tuple[datetime, ...]:
    """The noons (UTC) after which the zone's offset is another one the next noon."""
    zone = ZoneInfo(name)
    noons = [datetime(year, 1, 1, 12, tzinfo=UTC) + n * DAY for n in range(366)]
    return tuple(a for a, b in pairwise(noons) if a.astimezone(zone).utcoffset() != b.astimezone(zone).utcoffset())


def nights(name: str) -> Iterator[datetime]:
    """Every half hour of a plain day, and of the two days around each change of the clock."""
    for start in (datetime(2026, 2, 1, tzinfo=UTC), *transitions(name, 2026)):
        yield from (start + n * timedelta(minutes=30) for n in range(96))


def test_in_every_zone_a_wait_ends_at_the_first_waking_moment() -> None:
    checked = 0
    for name in sorted(available_timezones()):
        zone = ZoneInfo(name)
        for now in nights(name):
            until = quiet_until(zone, HOUSE.nights, now)
            assert until is not None
            if until == now:
                assert 8 <= now.astimezone(zone).hour < 22
                continue
            checked += 1
            assert now < until <= now + timedelta(hours=12)
            assert until.astimezone(zone).time() == time(8)
            assert not 8 <= (until - TICK).astimezone(zone).hour < 22
    assert checked > 10_000


@pytest.mark.slow  # five million hours
@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", range(6))
def test_in_every_zone_every_hour_of_a_leap_year_waits_for_the_first_waking_moment(part: int) -> None:
    for name in sorted(available_timezones())[part::6]:
        zone = ZoneInfo(name)
        for hour in range(366 * 24):
            now = datetime(2028, 1, 1, tzinfo=UTC) + timedelta(hours=hour)
            until = quiet_until(zone, HOUSE.nights, now)
            assert until is not None
            is_day = 8 <= now.astimezone(zone).hour < 22
            assert is_day == (until == now), (name, now)
            if not is_day:
                assert now < until <= now + timedelta(hours=12), (name, now)
                assert until.astimezone(zone).time() == time(8), (name, now)
                assert not 8 <= (until - TICK).astimezone(zone).hour < 22, (name, now)


@given(
    name=ZONES,
    now=st.timedeltas(-55 * 365 * DAY, 60 * 365 * DAY).map(lambda ahead: NOON + ahead),
    quiet_from=st.times(),
    until=st.times(),
)
@settings(max_examples=examples(500, quick=150))
def test_a_wait_always_ends_later_and_outside_the_quiet_hours(
    name: str, now: datetime, quiet_from: time, until: time
) -> None:
    policy = Policy(nights=frozenset({Night(quiet_from, until)}))
    decision = may_send(replace(FREE, timezone=name), message(), policy, now)
    assert not isinstance(decision, Refusal)
    if isinstance(decision, Wait):
        assert now < decision.until <= now + timedelta(days=3)
        assert isinstance(may_send(replace(FREE, timezone=name), message(), policy, decision.until), Allowed)


@given(
    name=ZONES,
    now=st.timedeltas(-10 * 365 * DAY, 20 * 365 * DAY).map(lambda ahead: NOON + ahead),
    clocks=st.lists(st.tuples(st.times(), st.times()), min_size=1, max_size=3),
)
@settings(max_examples=examples(300))
def test_of_several_nights_a_wait_ends_where_none_of_them_holds(
    name: str, now: datetime, clocks: list[tuple[time, time]]
) -> None:
    nights = [Night(start, end) for start, end in clocks]
    until = quiet_until(ZoneInfo(name), nights, now)
    if until is not None:
        assert until >= now
        assert not any(night.covers(until.astimezone(ZoneInfo(name)).time()) for night in nights)
        assert quiet_until(ZoneInfo(name), nights, until) == until


def test_a_night_on_one_channel_leaves_the_others_alone() -> None:
    early = Policy(nights=HOUSE.nights | {Night(time(21), time(8), channels=frozenset({"sms"}))})
    evening = NOON.replace(hour=21)
    assert isinstance(may_send(FREE, message("email"), early, evening), Allowed)
    assert isinstance(may_send(FREE, message("sms"), early, evening), Wait)


def test_where_no_hour_is_awake_nothing_is_sent() -> None:
    never = Policy(nights=frozenset({Night(time(8), time(22)), Night(time(22), time(8))}))
    assert reason(may_send(FREE, message(), never, NOON)) == Reason.QUIET_HOURS
