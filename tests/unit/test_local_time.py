"""The player's own clock: every zone, every change of daylight saving, no moment in the past."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from workflows import days, hours, minutes
from workflows.local_time import WEEKDAYS, next_local, zone

ZONES = sorted(available_timezones() - {"localtime", "Factory"})
MINUTE = timedelta(minutes=1)
CLOCKS = st.times().map(lambda clock: f"{clock:%H:%M}")
NOW = st.datetimes(datetime(1990, 1, 1), datetime(2040, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC))  # noqa: DTZ001


def gap_at(moment: datetime, local: ZoneInfo) -> bool:
    """Whether the local clock jumped forward to get to `moment`."""
    before = (moment - timedelta(microseconds=1)).astimezone(local).replace(tzinfo=None)
    return moment.astimezone(local).replace(tzinfo=None) - before > timedelta(seconds=1)


def skipped(clock: str, day: date, local: ZoneInfo) -> bool:
    """Whether the clock of that day never shows this."""
    wall = datetime.combine(day, time.fromisoformat(clock))
    passes = (wall.replace(tzinfo=local, fold=fold).astimezone(UTC).astimezone(local) for fold in (0, 1))
    return all(passed.replace(tzinfo=None) != wall for passed in passes)


@given(st.sampled_from(ZONES), NOW, CLOCKS, st.none() | st.sampled_from(WEEKDAYS))
@settings(max_examples=examples(600, quick=200))
@example("Europe/Kyiv", datetime(2026, 3, 29, 0, 30, tzinfo=UTC), "03:30", None)
@example("Europe/Kyiv", datetime(2026, 10, 25, 0, 30, tzinfo=UTC), "03:30", None)
@example("America/Sao_Paulo", datetime(2018, 11, 4, 2, 59, tzinfo=UTC), "00:00", "sunday")
@example("Pacific/Apia", datetime(2011, 12, 29, 23, 0, tzinfo=UTC), "10:00", "friday")
@example("Australia/Lord_Howe", datetime(2026, 10, 3, 15, 0, tzinfo=UTC), "02:15", None)
@example("Africa/Monrovia", datetime(1990, 1, 1, tzinfo=UTC), "00:00", None)
def test_the_next_local_moment_lies_ahead_and_shows_the_clock(
    name: str, now: datetime, at: str, weekday: str | None
) -> None:
    local = ZoneInfo(name)
    moment = next_local(now, name, at, weekday=weekday)
    assert moment.tzinfo is UTC
    assert now < moment <= now + days(16)
    shown = moment.astimezone(local)
    if f"{shown:%H:%M:%S}" == f"{at}:00":
        assert weekday is None or WEEKDAYS[shown.weekday()] == weekday
    else:
        # The clock jumped over it, and this is where it went on.
        assert gap_at(moment, local)
        assert any(
            skipped(at, day, local) and (weekday is None or WEEKDAYS[day.weekday()] == weekday)
            for day in (shown.date(), shown.date() - timedelta(days=1))
        )


@given(st.sampled_from(ZONES), NOW, CLOCKS)
@settings(max_examples=examples(200, quick=70))
def test_no_earlier_day_shows_the_clock_again_before_it(name: str, now: datetime, at: str) -> None:
    local, moment = ZoneInfo(name), next_local(now, name, at)
    today = now.astimezone(local).date()
    for ahead in range((moment.astimezone(local).date() - today).days):
        wall = datetime.combine(today + timedelta(days=ahead), time.fromisoformat(at))
        if not skipped(at, wall.date(), local):
            assert wall.replace(tzinfo=local).astimezone(UTC) <= now


def transitions(name: str, year: int) -> list[datetime]:
    """The instants of one year at which the zone changes its offset, to the minute."""
    local, found = ZoneInfo(name), []
    hour = datetime(year, 1, 1, tzinfo=UTC)
    while hour.year == year:
        if hour.astimezone(local).utcoffset() != (hour + hours(1)).astimezone(local).utcoffset():
            ahead = (hour + MINUTE * n for n in range(1, 61))
            offset = hour.astimezone(local).utcoffset()
            found.append(next(m for m in ahead if m.astimezone(local).utcoffset() != offset))
        hour += hours(1)
    return found


@pytest.mark.parametrize(
    "name", ["Europe/Kyiv", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Africa/Casablanca"]
)
def test_around_every_change_of_the_clock_a_skipped_hour_is_its_end_and_a_double_one_its_first_pass(name: str) -> None:
    local = ZoneInfo(name)
    changes = transitions(name, 2026)
    assert changes
    for change in changes:
        before = (change - MINUTE).astimezone(local).replace(tzinfo=None) + MINUTE
        jump = change.astimezone(local).replace(tzinfo=None) - before
        start = change - hours(5)
        if jump > timedelta(0):
            inside = f"{before + jump / 2:%H:%M}"
            assert next_local(start, name, inside, weekday=WEEKDAYS[(before + jump / 2).weekday()]) == change
        else:
            twice = before + jump / 2
            first = next_local(start, name, f"{twice:%H:%M}")
            assert first == change + jump / 2
            assert first < change
            assert next_local(first, name, f"{twice:%H:%M}") > change + hours(20)


def test_a_clock_that_shows_it_right_now_means_tomorrow() -> None:
    ten = datetime(2026, 1, 15, 8, 0, tzinfo=UTC)
    assert next_local(ten, "Europe/Kyiv", "10:00") == ten + days(1)
    assert next_local(ten - timedelta(microseconds=1), "Europe/Kyiv", "10:00") == ten
    assert next_local(ten, "Europe/Kyiv", "10:00", weekday="thursday") == ten + days(7)


def test_a_weekday_is_the_players_not_ours() -> None:
    # Sunday evening in London is Monday morning in Auckland.
    now = datetime(2026, 6, 14, 20, 0, tzinfo=UTC)
    assert next_local(now, "Pacific/Auckland", "09:00", weekday="monday") == now + hours(1)


def test_a_date_is_taken_as_it_is_even_in_the_past() -> None:
    now = datetime(2026, 6, 14, 20, 0, tzinfo=UTC)
    assert next_local(now, "Europe/Kyiv", "09:00", on=date(2026, 6, 1)) == datetime(2026, 6, 1, 6, tzinfo=UTC)
    assert next_local(now, "Europe/Kyiv", "09:00", on=date(2026, 7, 1)) == datetime(2026, 7, 1, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    "name", [None, "", "Europe/Nowhere", "America", "../etc/passwd", "x" * 300, "a/" * 400, "a\0b"]
)
def test_a_zone_nobody_knows_is_utc(name: str | None) -> None:
    assert zone(name) == ZoneInfo("UTC")
    now = datetime(2026, 6, 14, 20, 0, tzinfo=UTC)
    assert next_local(now, name, "21:00") == now + hours(1)


def test_a_word_that_is_no_weekday_is_refused_with_the_seven_that_are() -> None:
    with pytest.raises(ValueError, match=r"'fri' is no weekday: write one of monday, .*, sunday\."):
        next_local(datetime(2026, 6, 14, tzinfo=UTC), "UTC", "09:00", weekday="fri")


def test_durations_are_of_24_hours_and_of_60_minutes() -> None:
    assert (days(1.5), hours(36), minutes(2160)) == (timedelta(hours=36),) * 3
