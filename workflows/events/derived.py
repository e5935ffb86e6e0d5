"""Events the engine computes from others; nobody may post them, a replay of the sources gives them again."""

from typing import ClassVar

from workflows.events.base import Count, Event, Label, Number


class Derived(Event):
    """The base of computed events; intake refuses its subclasses from outside."""

    derived: ClassVar[bool] = True


class LossStreak(Derived, type="derived.loss_streak", example={"rounds": 3}):
    """That many rounds in a row paid back less than their stake. From ``game.round_completed``."""

    rounds: Number


class WinStreak(Derived, type="derived.win_streak", example={"rounds": 3}):
    """That many rounds in a row paid back more than their stake. From ``game.round_completed``."""

    rounds: Number


class Inactive(Derived, type="derived.inactive", example={"seconds": 1209600, "kind": "session.login"}):
    """No event of a kind came for that many seconds. From a tick of the clock, not from an event."""

    seconds: Count
    #: Short type of the event that did not come.
    kind: Label = ""
