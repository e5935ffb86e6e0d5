"""What is counted about a player beyond how often: sums and distinct values, ever, lately, or by the calendar.

A measure is a declaration. What it needs to be kept is a *series*: a handful of small integers in the player's row,
bounded however many events come. Adding to a series commutes, so the order in which events arrive changes no value.
"""

import hashlib
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from workflows.conditions import Where, concrete, passes
from workflows.errors import DesignError
from workflows.events import Event
from workflows.moments import instant, zone

Amount = Callable[[Any], int]
Held = dict[str, int]

HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
WEEK: Final = timedelta(days=7)
#: How long one slice of a rolling window is, by how long the window may be: never more than 93 slices.
SLICES: Final = ((timedelta(hours=48), HOUR, "h"), (timedelta(days=92), DAY, "d"), (timedelta(days=366), WEEK, "w"))
EVER: Final = ""
#: A calendar period and the one before it are kept, so that what comes late still counts where it belongs.
PERIODS_KEPT: Final = 2
MOST_DISTINCT: Final = 100


@dataclass(frozen=True)
class Period:
    """A stretch of the player's own calendar."""

    name: Literal["day", "week", "month"]

    def start(self, on: date) -> date:
        """The first day of the period that holds `on`."""
        match self.name:
            case "day":
                return on
            case "week":
                return on - timedelta(days=on.weekday())
            case "month":
                return on.replace(day=1)

    def after(self, start: date) -> date:
        """The first day of the next period."""
        return self.start(start + {"day": DAY, "week": WEEK, "month": timedelta(days=31)}[self.name])

    def earliest(self, on: date, kept: int) -> date:
        """The first day of the oldest of `kept` periods, of which the last holds `on`."""
        start = self.start(on)
        for _ in range(kept - 1):
            start = self.start(start - DAY)
        return start


day = Period("day")
"""Midnight to midnight on the player's clock."""

week = Period("week")
"""Monday to Sunday on the player's calendar."""

month = Period("month")
"""A calendar month of the player's."""


@dataclass(frozen=True)
class Present:
    """The moment at which something is looked at, and whose clock and calendar count."""

    now: datetime
    timezone: str | None
    player_id: str

    @cached_property
    def zone(self) -> ZoneInfo:
        """The player's zone, UTC where nobody told it."""
        return zone(self.timezone)

    @cached_property
    def today(self) -> date:
        """The date on the player's calendar."""
        return self.now.astimezone(self.zone).date()

    def day_of(self, moment: datetime) -> date:
        """The player's date at `moment`."""
        return moment.astimezone(self.zone).date()

    def begin(self, on: date) -> datetime:
        """The instant at which a date begins for the player."""
        return instant(on, time(), self.zone)

    def phase(self, seconds: int) -> int:
        """Where this player's slices begin. Each has their own, or all windows would end at the same midnight."""
        return zlib.crc32(self.player_id.encode()) % seconds


@dataclass(frozen=True)
class Measure:
    """A number about a player. Declare it once, in a module of journeys; read it in a segment as `player[measure]`.

    It is kept from the moment a segment, a threshold or a streak of days uses it. For what happened before that,
    run `journeys derive`.
    """

    how: Literal["count", "total", "distinct"]
    kind: type[Event]
    of: str | Amount | None = None
    where: Where | None = None
    last: timedelta | None = None
    per: Period | None = None
    name: str = ""
    most: int = MOST_DISTINCT

    @property
    def series(self) -> str:
        """The key of what is kept for it; measures that differ only in how far they look back share it."""
        what = self.name or (self.of if isinstance(self.of, str) else "")
        return f"{self.how}:{self.kind.type}:{what}:{self.grain}"

    @property
    def key(self) -> str:
        """What `journeys derive` and the API call it."""
        return self.series if self.last is None else f"{self.series}:{int(self.last.total_seconds())}"

    @property
    def words(self) -> str:
        """It in a few words."""
        what = self.name or (self.of if isinstance(self.of, str) else "")
        counted = {"count": "count", "total": "total", "distinct": "number of different"}[self.how]
        words = f"{counted} {what} of {self.kind.__name__}".replace("  ", " ")
        if self.last is not None:
            return (
                f"{words} in the last {self.last.days} days" if self.last.days else f"{words} in the last {self.last}"
            )
        return f"{words} per {self.per.name}" if self.per is not None else words

    @property
    def grain(self) -> str:
        """In what pieces it is kept: `ever`, a period of the calendar, or the slices of a window."""
        if self.per is not None:
            return self.per.name
        return "ever" if self.last is None else self._slice[1]

    @property
    def slice(self) -> timedelta:
        """The length of one slice of its window; only for a measure with `last`."""
        return self._slice[0]

    @property
    def _slice(self) -> tuple[timedelta, str]:
        assert self.last is not None
        return next((length, name) for longest, length, name in SLICES if self.last <= longest)

    def amount(self, event: Event) -> int:
        """What one event adds."""
        if self.how == "count":
            return 1
        value = self.of(event) if callable(self.of) else getattr(event, str(self.of))
        if isinstance(value, timedelta):
            return int(value.total_seconds())
        return 0 if value is None else int(value)

    def mark(self, event: Event) -> str | None:
        """What stands for the value of one event among the distinct ones: short, and nobody can read it back."""
        value = self.of(event) if callable(self.of) else getattr(event, str(self.of))
        return None if value is None else hashlib.blake2b(str(value).encode(), digest_size=5).hexdigest()


def count(
    kind: type[Event],
    *,
    where: Where | None = None,
    last: timedelta | None = None,
    per: Period | None = None,
    name: str = "",
) -> Measure:
    """How many events of `kind` passed `where`: ever, in the `last` so many days, or `per` day, week or month.

    A window is rolling and leaves in slices: an event counts for `last` and up to one slice longer, which is an hour
    for windows up to 48 hours, a day up to 92 days and a week up to 366. A measure with `where` needs a `name`.
    """
    return _declared(Measure("count", _concrete(kind), None, where, last, per, name))


def total(
    kind: type[Event],
    of: str | Amount,
    *,
    where: Where | None = None,
    last: timedelta | None = None,
    per: Period | None = None,
    name: str = "",
) -> Measure:
    """The sum of a field, or of what a function makes of each event; windows and periods as in `count`.

    Money is minor units of whatever currency the events carry: they are added, never converted. A function as `of`
    needs a `name`.
    """
    return _declared(Measure("total", _concrete(kind), of, where, last, per, name))


def distinct(
    kind: type[Event],
    of: str | Amount,
    *,
    where: Where | None = None,
    last: timedelta | None = None,
    per: Period | None = None,
    name: str = "",
    most: int = MOST_DISTINCT,
) -> Measure:
    """How many different values a field had, counted exactly up to `most`; windows and periods as in `count`.

    Beyond `most` it stays at `most`, because every value costs bytes in the player's row.
    """
    if not 1 <= most <= 1_000:
        raise DesignError(f"distinct(...) counts up to most=1 to 1000 values, not {most}.")
    return _declared(Measure("distinct", _concrete(kind), of, where, last, per, name, most))


def _concrete(kind: type[Event]) -> type[Event]:
    return concrete(kind, "a measure")


def _declared(measure: Measure) -> Measure:
    word = f"{measure.how}({measure.kind.__name__}, ...)"
    if measure.last is not None and measure.per is not None:
        raise DesignError(f"{word} looks at the last= so many days or at a period per=, not at both.")
    if measure.last is not None and not HOUR <= measure.last <= SLICES[-1][0]:
        raise DesignError(f"{word} can look back on last= an hour to 366 days; without last= it counts for ever.")
    if (measure.where is not None or callable(measure.of)) and not measure.name:
        raise DesignError(f"{word} with a function needs a name=, under which it is kept.")
    if ":" in measure.name or "/" in measure.name:
        raise DesignError(f"{word} has the name {measure.name!r}; leave out : and /.")
    if isinstance(measure.of, str):
        if measure.of not in measure.kind.model_fields:
            known = ", ".join(sorted(measure.kind.model_fields))
            raise DesignError(f"{measure.kind.__name__} has no field {measure.of}; it has {known}.")
        if measure.of in measure.kind.pii:
            raise DesignError(f"{measure.kind.__name__}.{measure.of} is personal data and cannot be measured.")
    return measure


@dataclass(frozen=True)
class Series:
    """What is kept for the measures that share a key: the first of them, how far back, and how many periods."""

    measure: Measure
    reach: timedelta | None
    periods: int = PERIODS_KEPT

    @property
    def key(self) -> str:
        """Its name in a player's state."""
        return self.measure.series

    def take(self, held: Held, event: Event, present: Present) -> str | None:
        """Add an event that passes `where`; the bucket it went into, None when it is too old to count."""
        measure = self.measure
        if not passes(measure.where, event):
            return None
        bucket = self._bucket(event, present)
        if bucket is None:
            return None
        before = len(held)
        if measure.how != "distinct":
            held[bucket] = held.get(bucket, 0) + measure.amount(event)
        elif (mark := measure.mark(event)) is not None:
            if measure.last is not None:
                held[mark] = max(held.get(mark, int(bucket)), int(bucket))
            else:
                held[f"{bucket}/{mark}"] = 1
        if len(held) > before:
            self._forget(held, bucket, present)
        return bucket

    def _bucket(self, event: Event, present: Present) -> str | None:
        measure = self.measure
        if measure.per is not None:
            start = measure.per.start(present.day_of(event.occurred_at))
            kept = start >= measure.per.earliest(present.today, self.periods)
            return start.isoformat() if kept else None
        if self.reach is None:
            return EVER
        index = _index(event.occurred_at, measure, present)
        return str(index) if _leaves(index, measure, self.reach, present) > present.now else None

    def _forget(self, held: Held, bucket: str, present: Present) -> None:
        """Drop what no measure can see any more, and what is too much."""
        measure = self.measure
        if measure.per is not None:
            earliest = measure.per.earliest(present.today, self.periods).isoformat()
            for key in [key for key in held if key < earliest]:
                del held[key]
        elif self.reach is not None:
            by_value = measure.how == "distinct"
            for key in [*held]:
                index = held[key] if by_value else int(key)
                if _leaves(index, measure, self.reach, present) <= present.now:
                    del held[key]
        if measure.how != "distinct":
            return
        # Which values go when there are too many follows from the values alone, not from their order of arrival.
        if measure.last is not None:
            for key in sorted(held, key=lambda mark: (-held[mark], mark))[measure.most :]:
                del held[key]
        else:
            for key in sorted(key for key in held if key.startswith(f"{bucket}/"))[measure.most :]:
                del held[key]


def value(held: Held, measure: Measure, present: Present, bucket: str | None = None) -> int:
    """The measure's value now, or in the given bucket of `Series.take`."""
    if measure.last is not None:
        return sum(1 if measure.how == "distinct" else held[key] for key, _ in _live(held, measure, present))
    if bucket is None:
        bucket = EVER if measure.per is None else measure.per.start(present.today).isoformat()
    if measure.how == "distinct":
        return sum(key.startswith(f"{bucket}/") for key in held)
    return held.get(bucket, 0)


def changes_at(held: Held, measure: Measure, present: Present) -> datetime | None:
    """When the value will change although nothing happens; None when it will not."""
    if measure.last is not None:
        return min((leaves for _, leaves in _live(held, measure, present)), default=None)
    if measure.per is not None and value(held, measure, present):
        return present.begin(measure.per.after(measure.per.start(present.today)))
    return None


def _live(held: Held, measure: Measure, present: Present) -> list[tuple[str, datetime]]:
    assert measure.last is not None
    found = []
    for key, number in held.items():
        leaves = _leaves(number if measure.how == "distinct" else int(key), measure, measure.last, present)
        if leaves > present.now:
            found.append((key, leaves))
    return found


def _index(at: datetime, measure: Measure, present: Present) -> int:
    seconds = int(measure.slice.total_seconds())
    return int((at.timestamp() - present.phase(seconds)) // seconds)


def _leaves(index: int, measure: Measure, reach: timedelta, present: Present) -> datetime:
    seconds = int(measure.slice.total_seconds())
    end = (index + 1) * seconds + present.phase(seconds)
    return datetime.fromtimestamp(end, UTC) + reach
