"""Moments that come by the calendar: birthdays, anniversaries, Mondays at nine. Each on the player's own clock.

A rule names days. Each of them comes once, at the rule's hour where the player is then: a move puts it off or brings it
forward, and neither takes it away nor brings it twice. So the player's row keeps the day of the last one that came.
"""

import calendar
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final, Protocol

from workflows.errors import DesignError
from workflows.events import Anniversary, Birthday, Event, Scheduled
from workflows.local_time import WEEKDAYS, instant, zone
from workflows.rules.segments import Segment, require_segment

__all__ = ["anniversary", "birthday", "schedule"]

LEAP_DAY = "02-29"
#: More than the hours between any two zones: what a move has passed over is no older.
LONGEST_MOVE: Final = timedelta(days=2)
#: A single anniversary so long ago is noticed no more, however long nobody looked.
LONG_PAST: Final = timedelta(days=40)


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

    def days(self, player: Dated, today: date) -> Sequence[date]:
        """The days around `today` on which it comes; none while the birth date is unknown."""
        if player.born is None:
            return ()
        return [_birthday(player.born, year) for year in range(today.year - 1, today.year + 3)]

    def following(self, came: date) -> date:
        """The first day that is another birthday than the one which came: a corrected birth date brings no second."""
        return date(came.year + 1, 1, 1)

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

    def days(self, player: Dated, today: date) -> Sequence[date]:
        """The days around `today` on which it comes; none when it is long over or the registration is unknown."""
        registered_at = player.registered_at
        if registered_at is None:
            return ()
        if not self.repeats and today - registered_at.date() > timedelta(days=31 * self.months) + LONG_PAST:
            return ()
        joined = registered_at.astimezone(zone(player.timezone)).date()
        passed = max(0, (today.year - joined.year) * 12 + today.month - joined.month) // self.months
        turns = range(max(1, passed - 1), passed + 4) if self.repeats else range(1, 2)
        return [_months_later(joined, self.months * turn) for turn in turns]

    def following(self, came: date) -> date:
        """The first day that is another anniversary than the one which came: a move may shift that by a day."""
        return came + timedelta(days=2)

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

    def days(self, _player: Dated, today: date) -> Sequence[date]:
        """The days around `today` on which it comes."""
        if self.day is not None:
            first = today.replace(day=1)
            return [_on_day(_months_later(first, ahead), self.day) for ahead in range(-1, 4)]
        around = [today + timedelta(days=number) for number in range(-8, 18)]
        return [day for day in around if self.weekday is None or WEEKDAYS[day.weekday()] == self.weekday]

    def following(self, came: date) -> date:
        """The first day after the one which came."""
        return came + timedelta(days=1)

    def event(self, event_id: str, event_source: str, occurred_at: datetime) -> Event:
        """The event that journeys receive."""
        name = self.key.removeprefix("schedule:").rstrip(":")
        return Scheduled(event_id=event_id, event_source=event_source, occurred_at=occurred_at, name=name)


Occasion = BirthdayRule | AnniversaryRule | ScheduleRule


def upcoming(occasion: Occasion, player: Dated, after: datetime, came: date | None = None) -> datetime | None:
    """The next time it comes after a moment, on another day than the last one that `came`; None if it does not."""
    since = max(_first_left(occasion, came), after.date() - LONGEST_MOVE)
    return next((moment for _, moment in _moments(occasion, player, after, since) if moment > after), None)


def due(
    occasion: Occasion, player: Dated, at: datetime, now: datetime, came: date | None
) -> tuple[date, datetime] | None:
    """The day that has come, and when, of an occasion that was awaited at `at`; `came` is the last one before.

    Of several that passed while nobody looked it is the last, which may still be in time where the first is not. If a
    move puts off what was due already, it has come all the same, at `at`. None when the player has no such day now.
    """
    moments = list(_moments(occasion, player, now, _first_left(occasion, came)))
    passed = [(day, moment) for day, moment in moments if moment <= now]
    return passed[-1] if passed else next(((day, at) for day, _ in moments), None)


def last_before(occasion: Occasion, player: Dated, moment: datetime) -> date:
    """The last day on which it came before a moment, by what is known of the player; `date.min` if it never did."""
    return max((day for day, at in _moments(occasion, player, moment, date.min) if at < moment), default=date.min)


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


def _first_left(occasion: Occasion, came: date | None) -> date:
    return date.min if came is None else occasion.following(came)


def _moments(occasion: Occasion, player: Dated, around: datetime, since: date) -> Iterator[tuple[date, datetime]]:
    """The days of an occasion from `since` on, and the instant each has where the player is now; in order."""
    clock, local = time.fromisoformat(occasion.at), zone(player.timezone)
    for day in occasion.days(player, around.astimezone(local).date()):
        if day >= since:
            yield day, instant(day, clock, local)


def _birthday(born: str, year: int) -> date:
    if born == LEAP_DAY and not calendar.isleap(year):
        return date(year, 2, 28)
    return date.fromisoformat(f"{year:04}-{born}")


def _months_later(on: date, months: int) -> date:
    year, month = divmod(on.year * 12 + on.month - 1 + months, 12)
    return _on_day(date(year, month + 1, 1), on.day)


def _on_day(first: date, day: int) -> date:
    return first.replace(day=min(day, calendar.monthrange(first.year, first.month)[1]))
