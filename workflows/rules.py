"""What a journey declares about itself: what starts it, who may enter, what counts as success.

Pure values. `state.PlayerState.advance` reads them; nothing here decides by itself.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from workflows.errors import DesignError
from workflows.events import Event

Where = Callable[[Any], bool]


class RuleWarning(UserWarning):
    """A designer's `where` raised and was taken for no; the message names it and the error."""


def passes(where: Where | None, event: Event) -> bool:
    """Whether `where` takes the event.

    One that raises takes nothing and warns: it is a designer's mistake about one event, and must not keep
    a whole batch of other players' events out.
    """
    if where is None:
        return True
    try:
        return bool(where(event))
    except Exception as error:  # noqa: BLE001 - whatever a designer's function raises
        name = getattr(where, "__qualname__", repr(where))
        told = f"where={name} raised {type(error).__name__} on a {event.type} event ({error}); it was taken for no."
        warnings.warn(told, RuleWarning, stacklevel=2)
        return False


@dataclass(frozen=True)
class On:
    """Fires on every event of a kind that passes `where`."""

    kind: type[Event]
    where: Where | None = None

    @property
    def key(self) -> str:
        """The rule's name in a player's state."""
        return f"on:{self.kind.type}"

    def matches(self, event: Event) -> bool:
        """Whether `event` is meant."""
        return isinstance(event, self.kind) and passes(self.where, event)


@dataclass(frozen=True)
class MilestoneRule:
    """Fires on the event that brings the player's count of its kind to exactly `count`."""

    kind: type[Event]
    count: int

    @property
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
    def key(self) -> str:
        """The rule's name in a player's state."""
        return f"streak:{self.name or self.kind.type}:{self.length}"


@dataclass(frozen=True)
class InactiveRule:
    """Fires when nothing of a kind was seen for `duration` after the last one."""

    kind: type[Event]
    duration: timedelta

    @property
    def key(self) -> str:
        """The rule's name in a player's state."""
        return f"inactive:{self.kind.type}:{int(self.duration.total_seconds())}"


Trigger = On | MilestoneRule | Streak | InactiveRule


def on(kind: type[Event] | Trigger, where: Where | None = None) -> Trigger:
    """Start the journey on each event of `kind` that passes `where`.

    `where` must be a pure function of the event: it runs inside the transaction that takes the
    event in, and again whenever the same history is rehearsed.
    """
    if isinstance(kind, On | MilestoneRule | Streak | InactiveRule):
        if where is not None:
            raise DesignError(f"on({kind.key}, where=...) would drop its where=; give it to an event type.")
        return kind
    return On(_concrete(kind, "on"), where)


def milestone(kind: type[Event], count: int) -> MilestoneRule:
    """Start on the player's `count`-th event of `kind`, counted by us over all history.

    It fires once, on the event that makes the count; players beyond it when the journey is first
    deployed do not enter.
    """
    if count < 1:
        raise DesignError(f"A milestone counts from 1, not {count}.")
    return MilestoneRule(_concrete(kind, "milestone"), count)


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
        _concrete(broken_by, "streak")
    return Streak(_concrete(kind, "streak"), length, where, broken_by, within, name)


def inactive(kind: type[Event], duration: timedelta) -> InactiveRule:
    """Start when no event of `kind` came for `duration` after the player's last one.

    A player who never had such an event is not inactive but unknown, and does not enter. The wait
    is armed by the event itself: players whose last one came before the journey was deployed do
    not enter until they have had another.
    """
    if duration < timedelta(seconds=1):
        raise DesignError("inactive(...) needs a positive duration of at least one second.")
    return InactiveRule(_concrete(kind, "inactive"), duration)


@dataclass(frozen=True)
class Entry:
    """How often one player may enter one journey.

    A player is never in it twice at a time, except under `per(field)`, where it is never twice for
    one value of the field.
    """

    kind: str
    period: timedelta | None = None
    field: str | None = None


once = Entry("once")
"""One entry in a player's life."""

always = Entry("always")
"""Enter on every trigger, unless a run of the same journey is still under way."""


def every(period: timedelta) -> Entry:
    """At most one entry in any `period`, counted from the last entry."""
    if period <= timedelta(0):
        raise DesignError("every(...) needs a positive period; use always for no limit.")
    return Entry("every", period=period)


def per(field: str) -> Entry:
    """One entry for each value of the trigger's `field`, such as a withdrawal's payment id.

    The last 64 values are remembered; an older one could enter again.
    """
    return Entry("per", field=field)


@dataclass(frozen=True)
class Goal:
    """What success is, and how soon after entry it counts."""

    kind: type[Event]
    within: timedelta
    where: Where | None = None

    def matches(self, event: Event) -> bool:
        """Whether `event` is meant."""
        return isinstance(event, self.kind) and passes(self.where, event)


def goal(kind: type[Event], *, within: timedelta, where: Where | None = None) -> Goal:
    """Count the run as successful when `kind` happens `within` this time after entry.

    A goal measures and does not end the run; use `exit_on` for that. It is measured in the
    control arm too, and also after the run is over.
    """
    if within <= timedelta(0):
        raise DesignError("goal(...) needs a positive within=, such as within=days(7).")
    return Goal(_concrete(kind, "goal"), within, where)


def _concrete(kind: Any, word: str) -> type[Event]:
    """`kind`, if events of it can arrive at all."""
    if not (isinstance(kind, type) and issubclass(kind, Event)):
        raise DesignError(f"{word}(...) takes an event class of workflows, or one of your own, not {kind!r}.")
    if not kind.type:
        raise DesignError(f"{word}({kind.__name__}): no event has this type itself; name the events it stands for.")
    return kind
