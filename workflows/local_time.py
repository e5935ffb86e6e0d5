"""Durations and local moments: the two ways a journey speaks of time.

Nothing here reads a clock. Every function that needs the present takes it as an argument.
"""

import hashlib
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

__all__ = ["days", "hours", "minutes", "weeks"]

#: As durations: 24 hours, and seven times that, whatever the clock does in between.
DAY: Final = timedelta(days=1)
WEEK: Final = timedelta(days=7)
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def days(count: float) -> timedelta:
    """`count` days of 24 hours.

    A day here is a duration, not a calendar day: across a change of daylight saving the local
    time moves by an hour. Use `player.until` for a moment on the player's own clock.
    """
    return timedelta(days=count)


def hours(count: float) -> timedelta:
    """`count` hours."""
    return timedelta(hours=count)


def weeks(count: float) -> timedelta:
    """`count` times seven days of 24 hours."""
    return timedelta(weeks=count)


def minutes(count: float) -> timedelta:
    """`count` minutes."""
    return timedelta(minutes=count)


#: The most that a moment which comes for many at once is put off, unless a journey says otherwise.
JITTER: Final = timedelta(minutes=15)


def jitter(seed: str, most: timedelta) -> timedelta:
    """A share of `most`, in whole seconds, the same for one seed for ever: what comes for many comes one by one."""
    share = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big") / 2**64
    return timedelta(seconds=int(share * most.total_seconds()))


def zone(name: str | None) -> ZoneInfo:
    """The IANA zone called `name`, and UTC where the name is missing or unknown.

    Only for choosing a pleasant hour. The gate does not use it: there an unknown zone means no.
    """
    try:
        return ZoneInfo(name or "UTC")
    except (OSError, ValueError, ZoneInfoNotFoundError):
        return ZoneInfo("UTC")


def next_local(
    now: datetime,
    timezone: str | None,
    at: str,
    *,
    weekday: str | None = None,
    on: date | None = None,
) -> datetime:
    """The next instant at which the player's clock shows `at` ("HH:MM"), as aware UTC.

    With `weekday` the next such day, with `on` that very date. An hour that daylight saving skips
    is taken as the first instant after the gap; an hour that happens twice is its first pass. A
    date in the past gives an instant in the past, so that a wait for it ends at once.
    """
    clock = time.fromisoformat(at)
    local = zone(timezone)
    today = now.astimezone(local).date()
    if on is not None:
        return instant(on, clock, local)
    if weekday is not None and weekday not in WEEKDAYS:
        raise ValueError(f"{weekday!r} is no weekday: write one of {', '.join(WEEKDAYS)}.")
    for ahead in range(9):
        day = today + timedelta(days=ahead)
        if weekday is not None and WEEKDAYS[day.weekday()] != weekday:
            continue
        moment = instant(day, clock, local)
        if moment > now:
            return moment
    raise AssertionError("nine consecutive days hold every weekday twice or once ahead of now")


def readings(day: date, clock: time, local: ZoneInfo) -> tuple[datetime, datetime]:
    """What `clock` on `day` means by the zone's offset before a change of the clock and by the one after, as aware UTC.

    Both are the same but on the day of a change. An hour that happens twice has its two passes here; one that daylight
    saving skips is late by the jump in the first and early by it in the second.
    """
    before, after = (datetime.combine(day, clock, local).replace(fold=fold).astimezone(UTC) for fold in (0, 1))
    return before, after


def instant(day: date, clock: time, local: ZoneInfo) -> datetime:
    """The instant at which a clock in `local` shows `clock` on `day`, as aware UTC.

    An hour that daylight saving skips is the first instant after the gap, one that happens twice its first pass.
    """
    before, after_change = readings(day, clock, local)
    if before.astimezone(local).replace(tzinfo=None) == datetime.combine(day, clock):
        return before
    # The clock jumps over this hour. Read by the offset after the jump it lies before the gap, read
    # by the one before the jump it lies after: the jump itself is between the two.
    early, late = after_change, before
    after = late.astimezone(local).utcoffset()
    while late - early > timedelta(seconds=1):
        middle = early + timedelta(seconds=(late - early) // timedelta(seconds=2))
        if middle.astimezone(local).utcoffset() == after:
            late = middle
        else:
            early = middle
    return late
