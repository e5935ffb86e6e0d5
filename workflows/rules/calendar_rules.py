"""Moments that come by the calendar: birthdays, anniversaries, Mondays at nine. Each on the player's own clock."""

import calendar
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Protocol

from workflows.errors import DesignError
from workflows.events import Anniversary, Birthday, Event, Scheduled
from workflows.local_time import WEEKDAYS, instant, zone
from workflows.rules.segments import Segment, require_segment

__all__ = ["anniversary", "birthday", "schedule"]

LEAP_DAY = "02-29"


class Dated(Protocol):
    """What a calendar rule reads of a player."""

    #: Month and day of birth, "MM-DD"; None while it is unknown.
    born: str | None

    @property
    def registered_at(self) -> datetime | None:
        """When the player registered."""

    @property
    def timezone(self) -> str | None:
        """The player's IANA zone."""


@dataclass(frozen=True)
class BirthdayRule:
    """Comes every year on the day the player was born."""

    at: str

    @property
    def key(self) -> str:
        """The rule's name in a player's state."""
        return f"birthday:{self.at}"

    @property
    def words(self) -> str:
        """A few words that describe it."""
        return f"birthday, at {self.at}"

    enters = Birthday

    def after(self, player: Dated, now: datetime) -> datetime | None:
        """The next time it comes after `now`; None while the birth date is unknown."""
        if player.born is None:
            return None
        today = now.astimezone(zone(player.timezone)).date()
        years = range(today.year - 1, today.year + 3)
        return _next((_birthday(player.born, year) for year in years), self.at, player.timezone, now)

    def event(self, event_id: str, event_source: str, occurred_at: datetime) -> Event:
        """The event that journeys receive."""
        return Birthday(event_id=event_id, event_source=event_source, occurred_at=occurred_at, at=self.at)


@dataclass(frozen=True)
class AnniversaryRule:
    """Comes when so many months have passed since registration; every so many, if it repeats."""

    months: int
    at: str
    repeats: bool

    @property
    def key(self) -> str:
        """The rule's name in a player's state."""
        return f"anniversary:{self.months}{'+' if self.repeats else ''}:{self.at}"

    @property
    def words(self) -> str:
        """A few words that describe it."""
        years = f"every {self.months // 12} years" if self.months > 12 else "every year"
        when = years if self.repeats else f"{self.months} months"
        return f"{when} after registration, at {self.at}"

    enters = Anniversary

    def after(self, player: Dated, now: datetime) -> datetime | None:
        """The next time it comes after `now`; None when it is over or the registration is unknown."""
        if player.registered_at is None:
            return None
        if not self.repeats and (now - player.registered_at).days > 31 * self.months + 2:
            return None
        local = zone(player.timezone)
        joined, today = player.registered_at.astimezone(local).date(), now.astimezone(local).date()
        passed = max(0, (today.year - joined.year) * 12 + today.month - joined.month) // self.months
        turns = range(max(1, passed), passed + 3) if self.repeats else range(1, 2)
        return _next((_months_later(joined, self.months * turn) for turn in turns), self.at, player.timezone, now)

    def event(self, event_id: str, event_source: str, occurred_at: datetime) -> Event:
        """The event that journeys receive."""
        return Anniversary(event_id=event_id, event_source=event_source, occurred_at=occurred_at, months=self.months)


@dataclass(frozen=True)
class ScheduleRule:
    """Comes every day, on one weekday, or on one day of the month; for everybody or for a segment."""

    at: str
    weekday: str | None = None
    day: int | None = None
    segment: Segment | None = None

    @property
    def key(self) -> str:
        """The rule's name in a player's state."""
        when = self.weekday or (f"day {self.day}" if self.day else "daily")
        return f"schedule:{when}:{self.at}:{self.segment.name if self.segment else ''}"

    @property
    def words(self) -> str:
        """A few words that describe it."""
        when = self.weekday or (f"day {self.day} of the month" if self.day else "every day")
        return f"{when} at {self.at}" + (f", for {self.segment.name}" if self.segment else "")

    enters = Scheduled

    def after(self, player: Dated, now: datetime) -> datetime | None:
        """The next time it comes after `now`."""
        today = now.astimezone(zone(player.timezone)).date()
        if self.day is not None:
            first = today.replace(day=1)
            dates = [_on_day(_months_later(first, ahead), self.day) for ahead in range(3)]
        else:
            ahead = [today + timedelta(days=number) for number in range(-1, 10)]
            dates = [day for day in ahead if self.weekday is None or WEEKDAYS[day.weekday()] == self.weekday]
        return _next(dates, self.at, player.timezone, now)

    def event(self, event_id: str, event_source: str, occurred_at: datetime) -> Event:
        """The event that journeys receive."""
        name = self.key.removeprefix("schedule:").rstrip(":")
        return Scheduled(event_id=event_id, event_source=event_source, occurred_at=occurred_at, name=name)


Occasion = BirthdayRule | AnniversaryRule | ScheduleRule


def newest(occasion: Occasion, player: Dated, at: datetime, now: datetime) -> datetime:
    """The last time it came until `now`, given that it was awaited at `at` and nobody looked since."""
    while (later := occasion.after(player, at)) is not None and later <= now:
        at = later
    return at


def birthday(*, at: str) -> BirthdayRule:
    """Start on the player's birthday, when their own clock shows `at` ("10:00").

    Who was born on a 29th of February is greeted on the 28th in other years. A player without a birth date never
    enters; one who tells it later enters on the next birthday.
    """
    return BirthdayRule(_clock(at))


def anniversary(*, months: int = 0, years: int = 0, at: str = "10:00") -> AnniversaryRule:
    """Start when a player has been registered for so many `months`, once, or for every so many `years`.

    `anniversary(months=6)` comes once, half a year after registration; `anniversary(years=1)` comes every year. A
    player registered on a 31st has the anniversary on the last day of a shorter month.
    """
    if (months > 0) == (years > 0) or min(months, years) < 0:
        raise DesignError("anniversary(...) takes either months= or years=, a positive number of them.")
    return AnniversaryRule(months or 12 * years, _clock(at), repeats=years > 0)


def schedule(
    at: str, *, weekday: str | None = None, day: int | None = None, segment: Segment | None = None
) -> ScheduleRule:
    """Start when the player's clock shows `at`: daily, on a `weekday`, or on a `day` of the month.

    With `segment` only players who are in it at that moment enter. Without one it is every player there is; think
    of what that costs before you deploy it. Day 31 is the last day of a shorter month.
    """
    if weekday is not None and day is not None:
        raise DesignError("schedule(...) takes weekday= or day=, not both.")
    if weekday is not None and weekday not in WEEKDAYS:
        raise DesignError(f"{weekday!r} is no weekday: write one of {', '.join(WEEKDAYS)}.")
    if day is not None and not 1 <= day <= 31:
        raise DesignError(f"A month has the days 1 to 31, not {day}.")
    if segment is not None:
        require_segment(segment, "schedule(..., segment=...)")
    return ScheduleRule(_clock(at), weekday, day, segment)


def _clock(at: str) -> str:
    try:
        return f"{time.fromisoformat(at):%H:%M}"
    except ValueError:
        raise DesignError(f"{at!r} is no time of day; write it as HH:MM, such as 10:00.") from None


def _next(dates: Iterable[date], at: str, timezone: str | None, now: datetime) -> datetime | None:
    clock, local = time.fromisoformat(at), zone(timezone)
    moments = (instant(day, clock, local) for day in dates)
    return next((moment for moment in moments if moment > now), None)


def _birthday(born: str, year: int) -> date:
    if born == LEAP_DAY and not calendar.isleap(year):
        return date(year, 2, 28)
    return date.fromisoformat(f"{year:04}-{born}")


def _months_later(on: date, months: int) -> date:
    year, month = divmod(on.year * 12 + on.month - 1 + months, 12)
    return _on_day(date(year, month + 1, 1), on.day)


def _on_day(first: date, day: int) -> date:
    return first.replace(day=min(day, calendar.monthrange(first.year, first.month)[1]))
