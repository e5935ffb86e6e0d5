"""What is counted about a player beyond how often: sums and distinct values, ever, lately, or by the calendar.

A measure is a declaration. What it needs to be kept is a *series*: a handful of small integers in the player's row,
bounded however many events come. Adding to a series commutes, so the order in which events arrive changes no value.
"""

import hashlib
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property, lru_cache
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin
from zoneinfo import ZoneInfo

from workflows.errors import DesignError
from workflows.events import Event
from workflows.local_time import DAY, WEEK, instant, zone
from workflows.rules import usual_values
from workflows.rules.failures import RuleFailure
from workflows.rules.where import Where, passes, require_event_type

__all__ = ["count", "day", "distinct", "gap", "month", "total", "typical", "week"]

Amount = Callable[[Any], int]
Held = dict[str, int]

HOUR: Final = timedelta(hours=1)
#: How long one slice of a rolling window is, by how long the window may be: never more than 93 slices.
SLICES: Final = ((timedelta(hours=48), HOUR, "h"), (timedelta(days=92), DAY, "d"), (timedelta(days=366), WEEK, "w"))
EVER: Final = ""
#: A calendar period and the one before it are kept, so that what comes late still counts where it belongs.
PERIODS_KEPT: Final = 2
MOST_DISTINCT: Final = 100
PERIODS: Final = ("day", "week", "month")
_COUNTED: Final = {
    "count": "count",
    "total": "total",
    "distinct": "number of different",
    "typical": "usual",
    "gap": "usual gap between days",
}


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


@lru_cache(maxsize=4_096)
def _key(period: Period, on: date) -> str:
    """The bucket of the period that holds a date: its first day."""
    return period.start(on).isoformat()


@lru_cache(maxsize=4_096)
def _earliest(period: Period, on: date, kept: int) -> str:
    """The oldest bucket of `kept` periods, of which the last holds `on`."""
    start = period.start(on)
    for _ in range(kept - 1):
        start = period.start(start - DAY)
    return start.isoformat()


@lru_cache(maxsize=4_096)
def _end(period: Period, on: date, local: ZoneInfo) -> datetime:
    """The instant at which the period that holds a date is over for who lives in `local`."""
    return instant(period.after(period.start(on)), time(), local)


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

    @classmethod
    @lru_cache(maxsize=4_096)
    def at(cls, now: datetime, timezone: str | None, player_id: str) -> "Present":
        """The same moment of the same player, once: one event asks for it several times."""
        return cls(now, timezone, player_id)

    @cached_property
    def zone(self) -> ZoneInfo:
        """The player's zone, UTC where it is unknown."""
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

    how: Literal["count", "total", "distinct", "typical", "gap"]
    kind: type[Event]
    of: str | Amount | None = None
    where: Where | None = None
    last: timedelta | None = None
    per: Period | None = None
    name: str = ""
    most: int = MOST_DISTINCT

    @cached_property
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
        """A few words that describe it."""
        what = self.name or (self.of if isinstance(self.of, str) else "")
        counted = _COUNTED[self.how]
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
        if self.is_usual:
            return "newest"
        return "ever" if self.last is None else self._slice[1]

    @property
    def is_usual(self) -> bool:
        """Whether it says what is usual for the player, of their newest events."""
        return self.how in {"typical", "gap"}

    @cached_property
    def slice(self) -> timedelta:
        """The length of one slice of its window; only for a measure with `last`."""
        return self._slice[0]

    @cached_property
    def _slice(self) -> tuple[timedelta, str]:
        assert self.last is not None
        return next((length, name) for longest, length, name in SLICES if self.last <= longest)

    def amount(self, event: Event) -> int:
        """What one event adds."""
        if self.how in {"count", "gap"}:
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


def typical(kind: type[Event], of: str | Amount, *, where: Where | None = None, name: str = "") -> Measure:
    """The median of a field over the player's newest events of `kind`; 0 while there are fewer than five.

    `await player.usual(measure)` tells more than the median: the 95th percentile, and whether a value is unusual.
    """
    return _declared(Measure("typical", _concrete(kind), of, where, name=name))


def gap(kind: type[Event], *, where: Where | None = None, name: str = "") -> Measure:
    """The median number of seconds between the player's days with an event of `kind`; 0 while there are too few."""
    return _declared(Measure("gap", _concrete(kind), None, where, name=name))


def _concrete(kind: type[Event]) -> type[Event]:
    return require_event_type(kind, "a measure")


def _declared(measure: Measure) -> Measure:
    """The measure; raises a `DesignError` with the first mistake in it."""
    for mistake in _wrong_types(measure) or _wrong_values(measure):
        raise DesignError(f"{measure.how}({measure.kind.__name__}, ...) {mistake}.")
    for mistake in _wrong_field(measure):
        raise DesignError(f"{mistake}.")
    return measure


def _wrong_values(measure: Measure) -> list[str]:
    last, of_function = measure.last, measure.where is not None or callable(measure.of)
    name = measure.name or ""  # a designer without a type checker may write None
    refusals = (
        (
            last is not None and measure.per is not None,
            "looks at the last= so many days or at a period per=, not at both",
        ),
        (
            last is not None and not HOUR <= last <= SLICES[-1][0],
            "can look back on last= an hour to 366 days; without last= it counts for ever",
        ),
        (last is not None and bool(last % timedelta(seconds=1)), "looks back on last= whole seconds"),
        (of_function and not name, "with a function needs a name=, under which it is kept"),
        (":" in name or "/" in name, f"has the name {name!r}; leave out : and /"),
    )
    return [sentence for is_wrong, sentence in refusals if is_wrong]


def _wrong_field(measure: Measure) -> Iterator[str]:
    of, kind = measure.of, measure.kind
    if not isinstance(of, str):
        return
    if of not in kind.model_fields:
        yield f"{kind.__name__} has no field {of}; it has {', '.join(sorted(kind.model_fields))}"
    elif of in kind.pii:
        yield f"{kind.__name__}.{of} is personal data and cannot be measured"
    elif measure.how in {"total", "typical"} and not _is_number(kind.model_fields[of].annotation):
        numbers = ", ".join(name for name, field in kind.model_fields.items() if _is_number(field.annotation))
        mend = f"total one of {numbers}" if numbers else f"use count({kind.__name__})"
        yield f"{kind.__name__}.{of} is no number and has no total; {mend}"


def _wrong_types(measure: Measure) -> list[str]:
    """What stands where something of another kind belongs, as a designer without a type checker may write it."""
    last: Any = measure.last
    per: Any = measure.per
    of: Any = measure.of
    mistakes: list[str] = []
    if isinstance(last, Period):
        mistakes.append(f"takes a duration as last=; write per={last.name} for a period of the calendar")
    elif not isinstance(last, timedelta | None):
        mistakes.append(f"takes a duration as last=, such as last=days(30), not {last!r}")
    if isinstance(per, timedelta):
        mistakes.append("takes day, week or month as per=; write last= for a rolling window of that length")
    elif not isinstance(per, Period | None):
        mend = f"write per={per} without quotes" if per in PERIODS else "import one of them from workflows"
        mistakes.append(f"takes day, week or month as per=, not {per!r}; {mend}")
    if measure.how not in {"count", "gap"} and not isinstance(of, str) and not callable(of):
        mistakes.append(f"takes the name of a field, or a function of the event, not {of!r}")
    return mistakes


def _is_number(annotation: Any) -> bool:
    """Whether `Measure.amount` can add every value of a field so annotated; None adds nothing."""
    parts = get_args(annotation)
    match get_origin(annotation):
        case None:
            return isinstance(annotation, type) and issubclass(annotation, int | timedelta)
        case origin if origin is Annotated:
            return _is_number(parts[0])
        case origin if origin is Union or origin is UnionType:
            rest = [part for part in parts if part is not type(None)]
            return all(_is_number(part) for part in rest)
        case origin if origin is Literal:
            return all(isinstance(part, int | None) for part in parts)
        case _:
            return False


@dataclass(frozen=True)
class Series:
    """What is kept for the measures that share a key: the first of them, how far back, and how many periods."""

    measure: Measure
    reach: timedelta | None
    periods: int = PERIODS_KEPT

    @cached_property
    def key(self) -> str:
        """Its name in a player's state."""
        return self.measure.series

    def add(self, held: Held, event: Event, present: Present, failures: list[RuleFailure]) -> str | None:
        """Add an event that passes `where`; the bucket it went into, None when it is too old to count.

        Raises whatever the designer's function of the event raises.
        """
        measure = self.measure
        if not passes(measure.where, event, failures):
            return None
        bucket = self._bucket(event, present)
        if bucket is None:
            return None
        before = len(held)
        if measure.is_usual:
            return usual_values.keep(held, event.occurred_at, measure.amount(event))
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
            bucket = _key(measure.per, present.day_of(event.occurred_at))
            return bucket if bucket >= _earliest(measure.per, present.today, self.periods) else None
        if self.reach is None:
            return EVER
        index = _slice(event.occurred_at, measure, present)
        return str(index) if index >= _oldest(measure, self.reach, present) else None

    def _forget(self, held: Held, bucket: str, present: Present) -> None:
        """Drop what no measure can see any more, and what is too much."""
        measure = self.measure
        if measure.per is not None:
            earliest = _earliest(measure.per, present.today, self.periods)
            for key in [key for key in held if key < earliest]:
                del held[key]
        elif self.reach is not None:
            oldest, by_value = _oldest(measure, self.reach, present), measure.how == "distinct"
            for key in [*held]:
                if (held[key] if by_value else int(key)) < oldest:
                    del held[key]
        if measure.how != "distinct":
            return
        # Which values go when there are too many follows from the values alone, not from their order of arrival.
        if measure.last is not None:
            if len(held) <= measure.most:
                return
            for key in sorted(held, key=lambda mark: (-held[mark], mark))[measure.most :]:
                del held[key]
        elif len(held) > measure.most:
            for key in sorted(key for key in held if key.startswith(f"{bucket}/"))[measure.most :]:
                del held[key]


def value(held: Held, measure: Measure, present: Present, bucket: str | None = None) -> int:
    """The measure's value now, or in the given bucket of `Series.add`."""
    if measure.is_usual:
        found = usual_of(held, measure, present)
        return found.median if found.known else 0
    if measure.last is not None:
        oldest = _oldest(measure, measure.last, present)
        if measure.how == "distinct":
            return sum([index >= oldest for index in held.values()])
        return sum(number for key, number in held.items() if int(key) >= oldest)
    if bucket is None:
        bucket = EVER if measure.per is None else _key(measure.per, present.today)
    if measure.how == "distinct":
        begins = f"{bucket}/"
        return sum([key.startswith(begins) for key in held])
    return held.get(bucket, 0)


def value_before(held: Held, measure: Measure, present: Present) -> int:
    """The value of a measure per day, week or month in the period that ended last."""
    assert measure.per is not None
    return value(held, measure, present, _earliest(measure.per, present.today, 2))


def usual_of(held: Held, measure: Measure, present: Present) -> usual_values.Usual:
    """What is usual for the player, of a measure that says so."""
    values = usual_values.gaps(held, present.zone) if measure.how == "gap" else [*held.values()]
    return usual_values.usual(values)


def changes_at(held: Held, measure: Measure, present: Present) -> datetime | None:
    """When the value may change although nothing happens; None when it will not."""
    if measure.last is not None:
        oldest = _oldest(measure, measure.last, present)
        indexes = held.values() if measure.how == "distinct" else map(int, held)
        first = min((index for index in indexes if index >= oldest), default=None)
        return None if first is None else _leaves(first, measure, present)
    if measure.per is None:
        return None
    bucket = _key(measure.per, present.today)
    if bucket in held or (measure.how == "distinct" and any(key.startswith(bucket) for key in held)):
        return _end(measure.per, present.today, present.zone)
    return None


def _slice(at: datetime, measure: Measure, present: Present) -> int:
    """The number of the slice an instant lies in."""
    seconds = int(measure.slice.total_seconds())
    return (int(at.timestamp()) - present.phase(seconds)) // seconds


def _oldest(measure: Measure, reach: timedelta, present: Present) -> int:
    """The number of the oldest slice that still counts: it ended less than `reach` ago."""
    seconds = int(measure.slice.total_seconds())
    return (int(present.now.timestamp()) - int(reach.total_seconds()) - present.phase(seconds)) // seconds


def _leaves(index: int, measure: Measure, present: Present) -> datetime:
    """When a slice has left the measure's window."""
    assert measure.last is not None
    seconds = int(measure.slice.total_seconds())
    return datetime.fromtimestamp((index + 1) * seconds + present.phase(seconds), UTC) + measure.last
