"""What is kept of a player for a measure: a series, a handful of small integers in their row.

It is bounded however many events come. Adding to it commutes, so the order in which events arrive changes no value.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

from workflows.events import Event
from workflows.rules import patterns, usual_values
from workflows.rules.failures import RuleFailure
from workflows.rules.measures import (
    EVER,
    PERIODS_KEPT,
    Held,
    Measure,
    Present,
    end_of_period,
    key_of_earliest,
    key_of_period,
    week,
)
from workflows.rules.where import passes


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
        if measure.is_pattern:
            return self._note(held, event, present)
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

    def _note(self, held: Held, event: Event, present: Present) -> str | None:
        """Keep what an event says of a pattern, in the week of the player's that it lies in."""
        on, today, measure = present.day_of(event.occurred_at), present.today, self.measure
        match measure.how:
            case "level":
                return patterns.note_level(held, on, today, measure.amount(event))
            case "choices":
                chosen = measure.chosen(event)
                return None if chosen is None else patterns.note_choice(held, on, today, chosen)
            case _:
                return patterns.note_day(held, on, today)

    def _bucket(self, event: Event, present: Present) -> str | None:
        measure = self.measure
        if measure.per is not None:
            bucket = key_of_period(measure.per, present.day_of(event.occurred_at))
            return bucket if bucket >= key_of_earliest(measure.per, present.today, self.periods) else None
        if self.reach is None:
            return EVER
        index = _slice(event.occurred_at, measure, present)
        return str(index) if index >= _oldest(measure, self.reach, present) else None

    def _forget(self, held: Held, bucket: str, present: Present) -> None:
        """Drop what no measure can see any more, and what is too much."""
        measure = self.measure
        if measure.per is not None:
            earliest = key_of_earliest(measure.per, present.today, self.periods)
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
    if measure.is_pattern:
        return int(bool(change_of(held, measure, present)))
    if measure.last is not None:
        oldest = _oldest(measure, measure.last, present)
        if measure.how == "distinct":
            return sum([index >= oldest for index in held.values()])
        return sum(number for key, number in held.items() if int(key) >= oldest)
    if bucket is None:
        bucket = EVER if measure.per is None else key_of_period(measure.per, present.today)
    if measure.how == "distinct":
        begins = f"{bucket}/"
        return sum([key.startswith(begins) for key in held])
    return held.get(bucket, 0)


def value_before(held: Held, measure: Measure, present: Present) -> int:
    """The value of a measure per day, week or month in the period that ended last."""
    assert measure.per is not None
    return value(held, measure, present, key_of_earliest(measure.per, present.today, 2))


def usual_of(held: Held, measure: Measure, present: Present) -> usual_values.Usual:
    """What is usual for the player, of a measure that says so."""
    values = usual_values.gaps(held, present.zone) if measure.how == "gap" else [*held.values()]
    return usual_values.usual(values)


def change_of(held: Mapping[str, int], measure: Measure, present: Present) -> patterns.Change:
    """Whether the player's way has changed, of a measure that says how that is."""
    what = measure.name or (measure.of if isinstance(measure.of, str) else "")
    match measure.how:
        case "level":
            return patterns.level_changed(held, present.today, f"The {what} of {measure.kind.__name__}")
        case "choices":
            return patterns.choices_changed(held, present.today, measure.kind.__name__)
        case _:
            return patterns.days_changed(held, present.today, measure.kind.__name__)


def changes_at(held: Held, measure: Measure, present: Present) -> datetime | None:
    """When the value may change although nothing happens; None when it will not."""
    if measure.last is not None:
        oldest = _oldest(measure, measure.last, present)
        indexes = held.values() if measure.how == "distinct" else map(int, held)
        first = min((index for index in indexes if index >= oldest), default=None)
        return None if first is None else _leaves(first, measure, present)
    if measure.is_pattern:
        # Only weeks that are over count, so nothing else can change the answer but what comes late.
        return end_of_period(week, present.today, present.zone) if patterns.may_change(held, present.today) else None
    if measure.per is None:
        return None
    bucket = key_of_period(measure.per, present.today)
    if bucket in held or (measure.how == "distinct" and any(key.startswith(bucket) for key in held)):
        return end_of_period(measure.per, present.today, present.zone)
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
