"""Points, tiers, missions, badges, tournaments (catalogue rows 27-29)."""

from typing import Annotated, Literal

from pydantic import Field

from workflows.events.base import Event
from workflows.field_types import MAX_INTEGER, BasisPoints, Count, Id, Instant, Label, Number, Whole

__all__ = [
    "BadgeAwarded",
    "MissionCompleted",
    "MissionProgress",
    "PointsChanged",
    "TierChanged",
    "TournamentResult",
]


class PointsChanged(
    Event,
    type="loyalty.points_changed",
    example={"delta": 50, "balance": 1250, "lifetime": 4000, "cause": "mission", "ref": "m-1"},
):
    """The points balance moved; whole points, `delta` may be negative. From the loyalty service."""

    delta: Annotated[int, Field(ge=-MAX_INTEGER, le=MAX_INTEGER), Whole]
    balance: Count | None = None
    lifetime: Count | None = None
    cause: Literal["wager", "mission", "journey", "shop", "manual", "tournament", "review", "survey", "expiry"]
    ref: Id | None = None


class TierChanged(
    Event,
    type="loyalty.tier_changed",
    example={"from": "silver", "to": "gold", "direction": "up", "basis": "deposits"},
):
    """The loyalty tier was decided; `from_tier` is `from` on the wire. From the loyalty service.

    A tier is not VIP status: the tier rises by itself, VIP status needs a person's sign-off.
    """

    from_tier: Annotated[Label | None, Field(alias="from")] = None
    to: Label
    direction: Literal["up", "down", "hold"]
    basis: Literal["points", "deposits", "wager", "manual"] | None = None
    valid_until: Instant | None = None


class MissionProgress(Event, type="loyalty.mission_progress", example={"entity_id": "m-1", "progress": 6600}):
    """A mission moved on; `progress` in basis points. From the loyalty service."""

    entity_id: Id
    progress: BasisPoints


class MissionCompleted(Event, type="loyalty.mission_completed", example={"entity_id": "m-1", "prize_grant_id": "g-1"}):
    """A mission is done. From the loyalty service."""

    entity_id: Id
    prize_grant_id: Id | None = None


class BadgeAwarded(Event, type="loyalty.badge_awarded", example={"entity_id": "profile-complete"}):
    """The player earned a badge. From the loyalty service."""

    entity_id: Id
    prize_grant_id: Id | None = None


class TournamentResult(
    Event, type="loyalty.tournament_result", example={"entity_id": "t-1", "rank": 3, "prize_grant_id": "g-2"}
):
    """A tournament ended; `rank` 1 is the winner. From the tournament service.

    Of a tournament that is declared here it is told to whoever had a prize, by its name; `instance` says which of them.
    """

    entity_id: Id
    rank: Number
    prize_grant_id: Id | None = None
    instance: Id | None = None
