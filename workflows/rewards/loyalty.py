"""What loyalty gives: points and their multiplier, tickets, missions, tiers, parcels."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from workflows.field_types import Id, Label
from workflows.rewards.base import (
    USUAL_VALIDITY,
    Amount,
    Boost,
    Cost,
    Deposits,
    Ids,
    RewardBase,
    RewardWithoutCost,
    Window,
    declare,
    several,
)

__all__ = ["gift", "mission", "multiplier", "points", "raffle_ticket", "tier_upgrade", "tournament_ticket"]


class Points(RewardWithoutCost):
    """Loyalty points."""

    earned: ClassVar[bool] = True
    settled_here: ClassVar[bool] = True
    kind: Literal["points"] = "points"
    points: Amount

    @property
    def awarded_points(self) -> int:
        """As many as it says."""
        return self.points


def points(count: int, *, terms: str = "", valid: timedelta = USUAL_VALIDITY) -> Points:
    """`count` loyalty points."""
    return declare(Points, points=count, terms=terms, valid=valid)


class Multiplier(RewardWithoutCost):
    """Points earned in a window count more; 200 is double."""

    settled_here: ClassVar[bool] = True
    kind: Literal["multiplier"] = "multiplier"
    factor_x100: Annotated[int, Field(gt=100, le=1000)]
    window: Window
    game_ids: Ids = ()

    @property
    def boost(self) -> Boost:
        """As it says."""
        return Boost(self.factor_x100, self.window, self.game_ids)


def multiplier(
    factor: float,
    window: timedelta,
    *,
    games: Iterable[str] = (),
    terms: str = "",
    valid: timedelta = USUAL_VALIDITY,
) -> Multiplier:
    """Points earned within `window` count `factor` times; `valid` is how long it may be switched on."""
    return declare(
        Multiplier,
        factor_x100=round(factor * 100),
        window=window,
        game_ids=several(games),
        terms=terms,
        valid=valid,
    )


class TournamentTicket(RewardWithoutCost):
    """A seat in a tournament."""

    kind: Literal["tournament_ticket"] = "tournament_ticket"
    entity_id: Id


def tournament_ticket(tournament: str, *, terms: str = "", valid: timedelta = USUAL_VALIDITY) -> TournamentTicket:
    """A seat in `tournament`."""
    return declare(TournamentTicket, entity_id=tournament, terms=terms, valid=valid)


class RaffleTicket(RewardWithoutCost):
    """Chances in a raffle."""

    settled_here: ClassVar[bool] = True
    kind: Literal["raffle_ticket"] = "raffle_ticket"
    entity_id: Id
    count: Annotated[int, Field(ge=1, le=1000)] = 1

    @property
    def tickets(self) -> tuple[str, int]:
        """As it says."""
        return self.entity_id, self.count


def raffle_ticket(raffle: str, count: int = 1, *, terms: str = "", valid: timedelta = USUAL_VALIDITY) -> RaffleTicket:
    """`count` chances in `raffle`."""
    return declare(RaffleTicket, entity_id=raffle, count=count, terms=terms, valid=valid)


class Mission(RewardWithoutCost):
    """A mission the player may now take."""

    settled_here: ClassVar[bool] = True
    kind: Literal["mission"] = "mission"
    entity_id: Id

    @property
    def opened_mission(self) -> str:
        """As it says."""
        return self.entity_id


def mission(mission_id: str, *, terms: str = "", valid: timedelta = USUAL_VALIDITY) -> Mission:
    """Open `mission_id` to the player; `valid` is the time to finish it."""
    return declare(Mission, entity_id=mission_id, terms=terms, valid=valid)


class TierUpgrade(RewardWithoutCost):
    """A loyalty tier. It never makes anyone a VIP: that is a person's decision."""

    earned: ClassVar[bool] = True
    settled_here: ClassVar[bool] = True
    kind: Literal["tier_upgrade"] = "tier_upgrade"
    tier: Annotated[Label, Field(min_length=1)]
    #: How long the tier is held; None: until the next regular review.
    lasts: Window | None = None

    @property
    def lifts_to(self) -> tuple[str, timedelta | None]:
        """As it says."""
        return self.tier, self.lasts


def tier_upgrade(
    tier: str, *, lasts: timedelta | None = None, terms: str = "", valid: timedelta = USUAL_VALIDITY
) -> TierUpgrade:
    """The loyalty tier `tier`, held for `lasts` or until the next regular review."""
    return declare(TierUpgrade, tier=tier, lasts=lasts, terms=terms, valid=valid)


class Gift(RewardBase):
    """A thing in a parcel. `value_minor` is what it may cost, `sku` what it is."""

    kind: Literal["gift"] = "gift"
    sku: Id
    value_minor: Amount
    ship_within: Window = timedelta(days=5)

    def cost(self, granted_at: datetime, deposits: Deposits) -> Cost:  # noqa: ARG002 - whenever, to whomever
        """The value of the parcel."""
        return Cost(self.value_minor, self.value_minor, "the value of the parcel")


def gift(
    sku: str,
    *,
    value: int,
    ship_within: timedelta = timedelta(days=5),
    terms: str = "",
    valid: timedelta = timedelta(days=30),
) -> Gift:
    """A parcel worth at most `value` minor units.

    It is granted through the bonus engine like any reward: nobody here approves or ships it.
    """
    return declare(Gift, sku=sku, value_minor=value, ship_within=ship_within, terms=terms, valid=valid)
