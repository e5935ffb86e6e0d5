"""Events the engine computes from others; nobody may post them, a replay of the sources gives them again."""

from typing import ClassVar

from workflows.events.base import Event
from workflows.field_types import Count, Id, Instant, Label, Number
from workflows.rewards.kinds import Reward

__all__ = [
    "Anniversary",
    "Birthday",
    "DayStreak",
    "Inactive",
    "ItemPurchased",
    "LossStreak",
    "Scheduled",
    "SegmentEntered",
    "SegmentLeft",
    "TierAtRisk",
    "WinStreak",
]


class Derived(Event):
    """The base of computed events; intake refuses its subclasses from outside."""

    derived: ClassVar[bool] = True


class LossStreak(Derived, type="derived.loss_streak", example={"rounds": 3}):
    """That many rounds in a row paid back less than their stake. From `game.round_completed`."""

    rounds: Number


class WinStreak(Derived, type="derived.win_streak", example={"rounds": 3}):
    """That many rounds in a row paid back more than their stake. From `game.round_completed`."""

    rounds: Number


class Inactive(Derived, type="derived.inactive", example={"seconds": 1209600, "kind": "session.login"}):
    """No event of a kind came for that many seconds. From a tick of the clock, not from an event."""

    seconds: Count
    #: Short type of the event that did not come.
    kind: Label = ""


class DayStreak(Derived, type="derived.day_streak", example={"days": 3, "name": "losing"}):
    """So many of the player's days in a row were alike. From a tick of the clock, one hour after the last ended."""

    days: Number
    name: Label = ""


class SegmentEntered(Derived, type="derived.segment_entered", example={"segment": "high_roller"}):
    """The player is in a segment and was not before. From the event or the tick that changed it."""

    segment: Label


class SegmentLeft(Derived, type="derived.segment_left", example={"segment": "high_roller"}):
    """The player was in a segment and is no longer. From the event or the tick that changed it."""

    segment: Label


class TierAtRisk(
    Derived,
    type="derived.tier_at_risk",
    example={"tier": "gold", "falls_to": "silver", "falls_at": "2026-02-01T01:00:00Z"},
):
    """The player will go down a tier at the review unless they do what keeps it. From a tick of the clock."""

    tier: Label
    falls_to: Label
    falls_at: Instant


class ItemPurchased(
    Derived,
    type="derived.item_purchased",
    example={
        "purchase_id": "6f1e4a539d2b1f0c9a8e7d65",
        "item": "mug",
        "price": 2000,
        "currency": "points",
        "to_deliver": True,
        "gives": {"kind": "gift", "sku": "mug", "value_minor": 800},
    },
):
    """The player bought something in the shop; `to_deliver`: its journey has to bring it. From the purchase."""

    purchase_id: Id
    item: Id
    price: Number
    currency: Id
    to_deliver: bool = False
    #: What was bought, as it was sold in that moment; None for a badge or a piece.
    gives: Reward | None = None


class Birthday(Derived, type="derived.birthday", example={"at": "10:00"}):
    """It is the player's birthday, at the hour the journey named. From a tick of the clock."""

    at: Label


class Anniversary(Derived, type="derived.anniversary", example={"months": 12}):
    """The player registered so many months ago, or a multiple of them. From a tick of the clock."""

    months: Number


class Scheduled(Derived, type="derived.scheduled", example={"name": "monday:09:00"}):
    """A moment that a journey named has come on the player's clock. From a tick of the clock."""

    name: Label
