"""What can start a journey: the nine kinds of trigger, and the words that declare them.

Pure values. `state.PlayerState.advance` reads them; nothing here decides by itself.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any, Literal, get_args

from workflows.errors import DesignError
from workflows.events import DayStreak, Event, Inactive, SegmentEntered, SegmentLeft
from workflows.rules.calendar_rules import AnniversaryRule, BirthdayRule, ScheduleRule
from workflows.rules.failures import RuleFailure
from workflows.rules.measures import Measure, Present, day, gap
from workflows.rules.segments import Segment, require_segment
from workflows.rules.series import value
from workflows.rules.tied_to_run import require_same
from workflows.rules.where import Where, passes, require_event_type

__all__ = ["entered", "inactive", "left", "milestone", "on", "streak", "streak_of_days", "threshold"]


@dataclass(frozen=True)
class On:
    """Fires on every event of a kind that passes `where`."""

    kind: type[Event]
    where: Where | None = None
    #: Of an exit: the field in which the event says the same as the one that started the run.
    same: str | None = None

    @property
    def enters(self) -> type[Event]:
        """The event a journey is entered with."""
        return self.kind

    @cached_property
    def key(self) -> str:
        """The rule's name in a player's state."""
        return f"on:{self.kind.type}"

    def matches(self, event: Event, failures: list[RuleFailure]) -> bool:
        """Whether `event` is meant; a `where` that raises says no."""
        return isinstance(event, self.kind) and passes(self.where, event, failures)


@dataclass(frozen=True)
class MilestoneRule:
    """Fires on the event that brings the player's count of its kind to exactly `count`."""

    kind: type[Event]
    count: int

    @property
    def enters(self) -> type[Event]:
        """The event a journey is entered with."""
        return self.kind

    @cached_property
    def key(self) -> str:
        """The rule's name in a player's state."""
        return f"milestone:{self.kind.type}:{self.count}"


@dataclass(frozen=True)
class Streak:
    """Fires on the event that makes it `length` in a row, and again at every multiple."""

    kind: type[Event]
    length: int
    where: Where | None = None
    broken_by: type[Event] | None = None
    within: timedelta | None = None
    name: str = ""

    @property
    def enters(self) -> type[Event]:
        """The event a journey is entered with."""
        return self.kind

    @cached_property
    def key(self) -> str:
        """The rule's name in a player's state."""
        return f"streak:{self.name or self.kind.type}:{self.length}"


@dataclass(frozen=True)
class OwnPace:
    """A silence in terms of the player's own usual gap."""

    gap: Measure
    times: int
    least: timedelta


@dataclass(frozen=True)
class InactiveRule:
    """Fires when nothing of a kind was seen for `duration` after the last one, or sooner at the player's own pace."""

    kind: type[Event]
    #: Of a rule at the player's own pace the longest, which holds while that is unknown.
    duration: timedelta
    pace: "OwnPace | None" = None

    enters = Inactive

    @cached_property
    def key(self) -> str:
        """The rule's name in a player's state."""
        own = "" if self.pace is None else f":{self.pace.times}x{int(self.pace.least.total_seconds())}"
        return f"inactive:{self.kind.type}:{int(self.duration.total_seconds())}{own}"

    def length(self, known: Mapping[str, dict[str, int]], present: Present) -> timedelta:
        """How long a silence is for this player; `known` are the series in their row."""
        if self.pace is None:
            return self.duration
        seconds = value(known.get(self.pace.gap.series, {}), self.pace.gap, present)
        own = timedelta(seconds=seconds) * self.pace.times
        return min(max(own, self.pace.least), self.duration) if seconds else self.duration


@dataclass(frozen=True)
class ThresholdRule:
    """Fires on the event that lifts a measure from below a number to it or beyond."""

    measure: Measure
    at_least: int

    @cached_property
    def key(self) -> str:
        """The rule's name in a player's state."""
        return f"threshold:{self.measure.key}:{self.at_least}"

    @property
    def words(self) -> str:
        """A few words that describe it."""
        return f"{self.measure.words} reaches {self.at_least:,}"

    @property
    def enters(self) -> type[Event]:
        """The event a journey is entered with."""
        return self.measure.kind


@dataclass(frozen=True)
class DayStreakRule:
    """Fires at the end of the day that makes it `length` in a row, and again at every multiple."""

    measure: Measure
    length: int
    where: Callable[[int], bool]
    idle: Literal["skips", "breaks"] = "skips"
    name: str = ""

    @cached_property
    def key(self) -> str:
        """The rule's name in a player's state."""
        return f"days:{self.name or self.measure.series}:{self.length}"

    @property
    def words(self) -> str:
        """A few words that describe it."""
        return f"{self.length} days in a row by {self.measure.words}"

    enters = DayStreak


Trigger = (
    On
    | MilestoneRule
    | Streak
    | InactiveRule
    | ThresholdRule
    | DayStreakRule
    | BirthdayRule
    | AnniversaryRule
    | ScheduleRule
)


def on(kind: type[Event] | Trigger, where: Where | None = None, *, same: str | None = None) -> Trigger:
    """Start the journey on each event of `kind` that passes `where`, or end a run in `exit_on=[...]`.

    An exit may be tied to its run: `on(WithdrawalCompleted, same="payment_id")` ends the run that a withdrawal of the
    same payment started, and no other.

    `where` must be a pure function of the event: it runs inside the transaction that takes the
    event in, and again whenever the same history is rehearsed.
    """
    if isinstance(kind, get_args(Trigger)):
        trigger: Trigger = kind
        if where is not None or same is not None:
            raise DesignError(f"on({trigger.key}, where=...) would drop its where=; give it to an event type.")
        return trigger
    event_type = require_event_type(kind, "on")
    return On(event_type, where, require_same(event_type, same, "on"))


def milestone(kind: type[Event], count: int) -> MilestoneRule:
    """Start on the player's `count`-th event of `kind`, counted by us over all history.

    It fires once, on the event that makes the count; players beyond it when the journey is first
    deployed do not enter.
    """
    if count < 1:
        raise DesignError(f"A milestone counts from 1, not {count}.")
    return MilestoneRule(require_event_type(kind, "milestone"), count)


def streak(
    kind: type[Event],
    length: int,
    *,
    where: Where | None = None,
    broken_by: type[Event] | None = None,
    within: timedelta | None = None,
    name: str = "",
) -> Streak:
    """Start on the `length`-th event of `kind` in a row, and again at every multiple of it.

    A streak ends with an event of `broken_by`, with one of `kind` that fails `where`, or when more
    than `within` passed since it began. Two streaks over one kind with different `where` need a
    `name` each: their progress is kept under it.
    """
    if length < 2:
        raise DesignError("A streak has at least two events; use on(...) for one.")
    if broken_by is not None:
        require_event_type(broken_by, "streak")
    return Streak(require_event_type(kind, "streak"), length, where, broken_by, within, name)


def inactive(
    kind: type[Event],
    duration: timedelta | None = None,
    *,
    times_usual: int | None = None,
    least: timedelta = timedelta(days=2),
    most: timedelta | None = None,
) -> InactiveRule:
    """Start when no event of `kind` came for `duration` after the player's last one.

    `inactive(SessionLogin, times_usual=2, most=days(7))` goes by the player's own pace instead: twice their usual gap
    between days with such an event, from `least` to `most`; `most` while there are too few days to call anything usual.

    A player who never had such an event is not inactive but unknown, and does not enter. The wait
    is armed by the event itself: players whose last one came before the journey was deployed do
    not enter until they have had another.
    """
    if (duration is None) == (times_usual is None) or (times_usual is None) != (most is None):
        raise DesignError("inactive(...) takes a duration, or times_usual= with most= for the player's own pace.")
    longest = most if duration is None else duration
    assert longest is not None
    if longest < timedelta(seconds=1):
        raise DesignError("inactive(...) needs a positive duration of at least one second.")
    kind = require_event_type(kind, "inactive")
    if times_usual is None:
        return InactiveRule(kind, longest)
    if times_usual < 1 or not timedelta(0) < least <= longest:
        raise DesignError("inactive(...) at the player's own pace needs times_usual= of 1 or more, and least <= most.")
    return InactiveRule(kind, longest, OwnPace(gap(kind), times_usual, least))


def threshold(measure: Measure, at_least: int) -> ThresholdRule:
    """Start on the event that lifts `measure` from below `at_least` to it or beyond.

    A measure per week or month starts from nothing in each, so this fires once in each. A rolling one fires again
    when it has fallen below in between. It is counted from the deployment on: `journeys derive` adds the past, and
    then players who are beyond it already do not enter.
    """
    _require_measure(measure, "threshold")
    if at_least < 1:
        raise DesignError(f"threshold(...) is a number of at least 1, not {at_least}.")
    return ThresholdRule(measure, at_least)


def streak_of_days(
    measure: Measure,
    length: int,
    *,
    where: Callable[[int], bool],
    idle: Literal["skips", "breaks"] = "skips",
    name: str = "",
) -> DayStreakRule:
    """Start when `where` held for a measure `per=day` on `length` of the player's days in a row.

    A day is judged one hour after it ended on the player's clock, and what comes later does not change the verdict.
    Days without any event are left out, or break the streak with `idle="breaks"`. Two streaks over one measure with
    different `where` need a `name` each.
    """
    _require_measure(measure, "streak_of_days")
    if measure.per != day:
        raise DesignError("streak_of_days(...) judges a measure per=day.")
    if length < 2:
        raise DesignError("A streak has at least two days.")
    return DayStreakRule(measure, length, where, idle, name)


def _require_measure(measure: Any, word: str) -> None:
    if not isinstance(measure, Measure):
        described = getattr(measure, "__name__", None) or repr(measure)
        raise DesignError(f"{word}(...) takes a measure, such as count(DepositApproved, per=day), not {described}.")


def entered(segment: Segment) -> On:
    """Start when a player comes into `segment`. It is decided with the event, or at the moment, that caused it."""
    return On(SegmentEntered, OfSegment(require_segment(segment, "entered(...)").name))


def left(segment: Segment) -> On:
    """Start when a player is no longer in `segment`."""
    return On(SegmentLeft, OfSegment(require_segment(segment, "left(...)").name))


@dataclass(frozen=True)
class OfSegment:
    """The `where` of `entered` and `left`: which segment is meant."""

    segment: str

    def __call__(self, change: SegmentEntered | SegmentLeft) -> bool:
        """Whether the change is about this segment."""
        return change.segment == self.segment
