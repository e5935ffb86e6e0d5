"""`raffle`: tickets that are given and never sold, and a draw at the end of each period that anybody can recompute."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import cached_property
from itertools import groupby
from typing import Final
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from workflows.errors import LoyaltyDesignError
from workflows.field_types import Product, Seconds
from workflows.json_object import JsonObject
from workflows.local_time import zone
from workflows.loyalty.names_and_zones import NAME_NEEDED, is_zone, zone_needed
from workflows.loyalty.point_currencies import PointCurrency
from workflows.rewards import RewardBase
from workflows.rewards.base import has_known_cost
from workflows.rules.measures import Period, week

__all__ = ["raffle"]

#: Prizes of one draw.
MOST_PRIZES: Final = 1_000


@dataclass(frozen=True)
class Raffle:
    """A raffle as its designer declared it: `prizes` by place, the first one first."""

    name: str
    prizes: tuple[RewardBase, ...]
    into: PointCurrency
    product: Product
    each: Period
    timezone: str

    @cached_property
    def zone(self) -> ZoneInfo:
        """Where its periods begin and end."""
        return zone(self.timezone)

    def period_of(self, now: datetime) -> str:
        """The period that tickets which are given now belong to, as its first day."""
        return self.each.start(now.astimezone(self.zone).date()).isoformat()

    def draws_at(self, period: str) -> datetime:
        """When a period is over and drawn."""
        return datetime.combine(self.each.after(date.fromisoformat(period)), time(), self.zone).astimezone(UTC)


def raffle(
    name: str,
    *prizes: tuple[int, RewardBase],
    into: PointCurrency,
    product: Product,
    each: Period = week,
    timezone: str = "UTC",
) -> Raffle:
    """Declare a raffle that is drawn at the end of each period: so many of each prize, the first places first.

    A player wins once a draw. Tickets come from journeys, wheels and missions: they are not for sale, so that nobody
    pays for a chance. Raises `LoyaltyDesignError`.
    """
    at = f"raffle({name!r})"
    by_place = tuple(reward for count, reward in prizes for _ in range(min(count, MOST_PRIZES + 1)))
    if not 1 <= len(by_place) <= MOST_PRIZES or any(count < 1 for count, _ in prizes):
        raise LoyaltyDesignError(f"{at} needs 1 to {MOST_PRIZES:,} prizes, such as (1, points(5_000)).")
    if not name.isidentifier():
        raise LoyaltyDesignError(f"{at} {NAME_NEEDED}")
    if not is_zone(timezone):
        raise LoyaltyDesignError(f"{at} {zone_needed(timezone)}")
    for _, prize in prizes:
        if prize.product not in {None, product}:
            raise LoyaltyDesignError(f"{at} is about {product} and gives a {prize.name} for {prize.product}.")
        if not has_known_cost(prize):
            raise LoyaltyDesignError(f"{at} gives a {prize.name}, of which nobody can say here what it costs.")
    return Raffle(name, by_place, into, product, each, timezone)


class RaffleTerms(BaseModel):
    """What was promised of a period when its first tickets came; kept with its draw, so that it hangs on no release."""

    #: By place, the first ones first: how many of each prize.
    prizes: list[tuple[int, JsonObject]]
    currency: str
    expires: Seconds | None = None
    product: Product
    draws_at: datetime
    #: Where tickets go that come after the draw.
    next_period: str

    @classmethod
    def of(cls, declared: Raffle, period: str) -> "RaffleTerms":
        """The terms of a declaration."""
        told = [one.model_dump(mode="json") for one in declared.prizes]
        return cls(
            prizes=[(len([*same]), prize) for prize, same in groupby(told)],
            currency=declared.into.name,
            expires=declared.into.expires,
            product=declared.product,
            draws_at=declared.draws_at(period),
            next_period=declared.each.after(date.fromisoformat(period)).isoformat(),
        )

    @property
    def by_place(self) -> list[JsonObject]:
        """The prize of each place."""
        return [prize for count, prize in self.prizes for _ in range(count)]

    @property
    def into(self) -> PointCurrency:
        """What its points are."""
        return PointCurrency(self.currency, self.expires)
