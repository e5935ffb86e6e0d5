"""What is counted about a player beyond how often: sums and distinct values, ever, lately, or by the calendar.

A measure is a declaration. What is kept for it is a series, `series.py`.
"""

import hashlib
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cached_property, lru_cache
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin
from zoneinfo import ZoneInfo

from workflows.errors import DesignError
from workflows.events import Event
from workflows.local_time import DAY, WEEK, instant, zone
from workflows.rules.where import Where, require_event_type

__all__ = ["choices", "count", "day", "distinct", "gap", "level", "month", "total", "typical", "week", "week_days"]

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
    "week_days": "pattern of days",
    "choices": "pattern of",
    "level": "pattern of",
}
#: What is counted of an event without looking into it.
_OF_NOTHING: Final = frozenset({"count", "gap", "week_days"})
_OF_A_NUMBER: Final = frozenset({"total", "typical", "level"})


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
def key_of_period(period: Period, on: date) -> str:
    """The bucket of the period that holds a date: its first day."""
    return period.start(on).isoformat()


@lru_cache(maxsize=4_096)
def key_of_earliest(period: Period, on: date, kept: int) -> str:
    """The oldest bucket of `kept` periods, of which the last holds `on`."""
    start = period.start(on)
    for _ in range(kept - 1):
        start = period.start(start - DAY)
    return start.isoformat()


@lru_cache(maxsize=4_096)
def end_of_period(period: Period, on: date, local: ZoneInfo) -> datetime:
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

    how: Literal["count", "total", "distinct", "typical", "gap", "week_days", "choices", "level"]
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
        if self.is_pattern:
            return "weeks"
        return "ever" if self.last is None else self._slice[1]

    @property
    def is_usual(self) -> bool:
        """Whether it says what is usual for the player, of their newest events."""
        return self.how in {"typical", "gap"}

    @property
    def is_pattern(self) -> bool:
        """Whether it says how the player plays, week by week, and `changed` when that is another way than before."""
        return self.how in {"week_days", "choices", "level"}

    @property
    def is_counted(self) -> bool:
        """Whether it is a number that events add to."""
        return not (self.is_usual or self.is_pattern)

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
        if self.how in _OF_NOTHING:
            return 1
        value = self.of(event) if callable(self.of) else getattr(event, str(self.of))
        if isinstance(value, timedelta):
            return int(value.total_seconds())
        return 0 if value is None else int(value)

    def chosen(self, event: Event) -> str | None:
        """What was chosen in one event, as text."""
        value = self.of(event) if callable(self.of) else getattr(event, str(self.of))
        return None if value is None else str(value)

    def mark(self, event: Event) -> str | None:
        """What stands for the value of one event among the distinct ones: short, and nobody can read it back."""
        value = self.chosen(event)
        return None if value is None else hashlib.blake2b(value.encode(), digest_size=5).hexdigest()


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


def week_days(kind: type[Event], *, where: Where | None = None, name: str = "") -> Measure:
    """On which days of the week the player has events of `kind`: whether weekend became weekday, or the other way.

    Ask `changed` of it: in a segment `player.changed(pattern)`, in a journey `await player.changed(pattern)`.
    """
    return _declared(Measure("week_days", _concrete(kind), None, where, name=name))


def choices(kind: type[Event], of: str | Amount, *, where: Where | None = None, name: str = "") -> Measure:
    """What the player chooses, such as the `category` of rounds, by the days on which they do: ask `changed` of it.

    For fields of few values: of each week eight are kept, the first by their names.
    """
    return _declared(Measure("choices", _concrete(kind), of, where, name=name))


def level(kind: type[Event], of: str | Amount, *, where: Where | None = None, name: str = "") -> Measure:
    """How high a field is from week to week, such as the `stake_minor` of rounds: ask `changed` of it.

    Of each week the mean is taken, of several weeks the middle one: one wild night changes one week.
    """
    return _declared(Measure("level", _concrete(kind), of, where, name=name))


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
    elif measure.how in _OF_A_NUMBER and not _is_number(kind.model_fields[of].annotation):
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
    if measure.how not in _OF_NOTHING and not isinstance(of, str) and not callable(of):
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
