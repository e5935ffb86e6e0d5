"""Durations and local moments: the two ways a journey speaks of time.

Nothing here reads a clock. Every function that needs the present takes it as an argument.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from workflows.errors import DesignError

__all__ = ["LocalTime", "days", "hours", "local", "minutes", "seconds", "weekend", "weeks"]

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


def seconds(count: float) -> timedelta:
    """`count` seconds."""
    return timedelta(seconds=count)


#: No zone has a longer name.
LONGEST_ZONE: Final = 64

#: The most that a moment which comes for many at once is put off, unless a journey says otherwise.
JITTER: Final = timedelta(minutes=15)


def jitter(seed: str, most: timedelta) -> timedelta:
    """A share of `most`, in whole seconds, the same for one seed for ever: what comes for many comes one by one."""
    share = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big") / 2**64
    return timedelta(seconds=int(share * most.total_seconds()))


def known_zone(name: str | None) -> ZoneInfo | None:
    """The IANA zone called `name`; None where the name is missing or no zone's.

    A longer name than any zone has is not looked up: `ZoneInfo` imports a package for each of its parts, and a few
    hundred of them are a RecursionError.
    """
    if not name or len(name) > LONGEST_ZONE:
        return None
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError):
        return None


def zone(name: str | None) -> ZoneInfo:
    """The IANA zone called `name`, and UTC where the name is missing or unknown.

    Only for choosing a pleasant hour. The gate does not use it: there an unknown zone means no.
    """
    return known_zone(name) or ZoneInfo("UTC")


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


@dataclass(frozen=True)
class LocalTime:
    """Some hours of some weekdays on a player's own clock; made by `local(...)`.

    As a `where=` it asks when the event happened there. What an hour is that happens twice follows from the clock
    alone: both passes count.
    """

    #: Empty for every day.
    weekdays: tuple[str, ...] = ()
    #: From the first hour on and before the second one; None for the whole day.
    hours: tuple[int, int] | None = None

    def __call__(self, event: Any) -> bool:
        """Whether an event happened then."""
        return self.holds(event.local)

    def holds(self, moment: datetime) -> bool:
        """Whether it is then at a moment on the player's clock, such as `player.clock` or `event.local`."""
        if self.weekdays and WEEKDAYS[moment.weekday()] not in self.weekdays:
            return False
        if self.hours is None:
            return True
        begin, end = self.hours
        return begin <= moment.hour < end if begin < end else not end <= moment.hour < begin

    def changes_at(self, now: datetime, timezone: str | None) -> datetime:
        """The next moment at which the answer may be another one for who lives in this zone, as aware UTC."""
        on_clock = zone(timezone)
        shown = {0, *(hour % 24 for hour in self.hours or ())}
        first = now.astimezone(on_clock).date() - DAY
        for ahead in range(4):
            day = first + ahead * DAY
            found = [
                moment
                for hour in shown
                for moment in (*readings(day, time(hour), on_clock), instant(day, time(hour), on_clock))
                if moment > now
            ]
            # The clock may be turned back over midnight: only the day before is then sure to be over.
            if found and ahead:
                return min(found)
        raise AssertionError("every day has a midnight, or a moment at which the clock jumps over it")

    @property
    def words(self) -> str:
        """When that is, in words."""
        days_named = [day.capitalize() for day in self.weekdays]
        on = f"on {' or '.join(days_named)}" if days_named else ""
        span = "" if self.hours is None else "from {:02}:00 to {:02}:00".format(*self.hours)
        return f"{on} {span}".strip() + " on the player's clock"


def local(*weekdays: str, hours: tuple[int, int] | None = None) -> LocalTime:
    """A time of the player's week: `local("tuesday", hours=(0, 6))`, `local("monday", "friday")`.

    It is a `where=`: `on(DepositApproved, where=local("tuesday", hours=(0, 6)))`, or a part of one: `lambda deposit:
    weekend(deposit) and deposit.amount_minor > 100`. In a segment `player.locally(...)` asks it of now. `hours` are
    from the first on and before the second; over midnight each moment counts to the weekday that it shows.
    """
    for weekday in weekdays:
        if weekday not in WEEKDAYS:
            raise DesignError(f"local({weekday!r}): write one of {', '.join(WEEKDAYS)}.")
    if hours is not None:
        begin, end = hours
        if not (0 <= begin <= 23 and 0 <= end <= 24) or begin == end:
            raise DesignError(
                f"local(hours={hours!r}): give two hours such as (0, 6) or (22, 6), the second not counted."
            )
    if not weekdays and hours is None:
        raise DesignError("local() is always; name weekdays or hours, such as local('tuesday', hours=(0, 6)).")
    return LocalTime(tuple(sorted(set(weekdays), key=WEEKDAYS.index)), hours)


weekend = local("saturday", "sunday")
"""Saturday and Sunday on the player's calendar."""
