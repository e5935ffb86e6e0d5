"""`wheel` and `sector`: a free spin whose draw anybody can recompute.

A day's seed is drawn before anybody spins, and its hash is shown; the seed itself when the day is over. What comes out
is a function of seed, player, the player's own word and the number of their spin: of nothing that the house knows.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from functools import cached_property
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from workflows.errors import LoyaltyDesignError
from workflows.field_types import Product
from workflows.local_time import zone
from workflows.loyalty.names_and_zones import NAME_NEEDED, is_zone, zone_needed
from workflows.loyalty.point_currencies import PointCurrency
from workflows.loyalty.shared_limits import LimitShare
from workflows.rewards import RewardBase
from workflows.rewards.base import has_known_cost, value_of

__all__ = ["after", "sector", "wheel"]

#: Sectors of a wheel, each of which stands in the record of every spin.
MOST_SECTORS: Final = 50
#: The least time between two spins of a player, unless the wheel says otherwise: a game of five seconds (GB, G6).
PAUSE: Final = timedelta(seconds=5)
LONGEST_PAUSE: Final = timedelta(days=1)
#: Why a spin within that time is refused.
TOO_SOON: Final = "too_soon"
#: Why something else was given than what the drawn sector says.
Instead = Literal["used_up", "guarantee"]


@dataclass(frozen=True)
class Sector:
    """A part of a wheel: `weight` of all weights, and how often a day it may be won; 0: as often as it comes."""

    weight: int
    #: None: a blank.
    gives: RewardBase | None
    stock: int = 0


def sector(weight: int, gives: RewardBase | None, *, stock: int = 0) -> Sector:
    """A part of a wheel, None for a blank; with `stock` it is won so often a day at most, then `otherwise` is given."""
    return Sector(weight, gives, stock)


@dataclass(frozen=True)
class Guarantee:
    """What the spin gives that would be one blank more after so many in a row."""

    blanks: int
    gives: RewardBase


def after(blanks: int, gives: RewardBase) -> Guarantee:
    """A wheel's promise: after so many blanks in a row the next blank gives this instead."""
    return Guarantee(blanks, gives)


@dataclass(frozen=True)
class Wheel:
    """A wheel as its designer declared it."""

    name: str
    sectors: tuple[Sector, ...]
    otherwise: RewardBase
    into: PointCurrency
    product: Product
    #: Free spins of a player, and points of all players together, on a day of the wheel's own zone.
    plays: int
    budget: int
    #: What its prizes of money may cost the house on such a day, in minor units.
    budget_minor: int
    guarantee: Guarantee | None
    #: Percent of the players who never see it.
    control: int
    timezone: str
    #: By language: what the player reads above it.
    words: Mapping[str, str] = field(default_factory=dict)
    #: The least time between two spins of a player.
    pause: timedelta = PAUSE

    @cached_property
    def weights(self) -> tuple[int, ...]:
        """Of the sectors, in their order."""
        return tuple(one.weight for one in self.sectors)

    @cached_property
    def prizes(self) -> tuple[RewardBase, ...]:
        """Everything it may give, each kind of thing once."""
        said = [one.gives for one in self.sectors if one.gives is not None]
        said += [self.otherwise, *([] if self.guarantee is None else [self.guarantee.gives])]
        return tuple(one for number, one in enumerate(said) if one not in said[:number])

    @cached_property
    def version(self) -> str:
        """What is drawn from, as a few letters: it is a part of every draw."""
        said = [[one.weight, _as_json(one.gives), one.stock] for one in self.sectors]
        more = [_as_json(self.otherwise), self.guarantee and [self.guarantee.blanks, _as_json(self.guarantee.gives)]]
        return hashlib.sha256(json.dumps([said, more], sort_keys=True).encode()).hexdigest()[:12]

    def day_of(self, now: datetime) -> str:
        """The wheel's own day, as "YYYY-MM-DD"."""
        return now.astimezone(self.zone).date().isoformat()

    def end_of_day(self, now: datetime) -> datetime:
        """Until when the free spins of the present day may be made."""
        tomorrow = now.astimezone(self.zone).date() + timedelta(days=1)
        return datetime.combine(tomorrow, time(), self.zone).astimezone(UTC)

    @cached_property
    def zone(self) -> ZoneInfo:
        """Where its day begins and ends."""
        return zone(self.timezone)

    def prize(self, drawn: int, blanks: int) -> tuple[RewardBase | None, Instead | None]:
        """What a sector gives to a player who had so many blanks in a row, and why it is not what the sector says."""
        gives = self.sectors[drawn].gives
        if gives is None and self.guarantee is not None and blanks >= self.guarantee.blanks:
            return self.guarantee.gives, "guarantee"
        return gives, None

    def share_of_spin(self, day: str) -> LimitShare:
        """What a spin takes of the day's points before it is drawn: with it `otherwise` can be given whatever comes.

        Who is refused is refused here. A refusal that hung on the draw would let who asks again choose the draw.
        """
        return LimitShare(f"wheel:{self.name}:{day}", self.otherwise.awarded_points, self.budget)

    def shares_of_prize(self, day: str, drawn: int, prize: RewardBase | None) -> list[LimitShare]:
        """What a prize takes beside `share_of_spin`, below 0 where that is more; and what of its own sector's stock.

        Budgets come first: everybody takes in one order, and nobody holds a stock while waiting for a budget.
        """
        points = (0 if prize is None else prize.awarded_points) - self.otherwise.awarded_points
        money = 0 if prize is None or prize.settled_here else (value_of(prize) or 0)
        found = [LimitShare(f"wheel:{self.name}:{day}", points, self.budget)] if points else []
        found += [LimitShare(f"wheel:{self.name}:{day}:minor", money, self.budget_minor)] if money else []
        stock = self.sectors[drawn].stock
        own = prize is not None and prize is self.sectors[drawn].gives and stock
        return [*found, LimitShare(f"wheel:{self.name}:{day}:{drawn}", 1, stock)] if own else found


def _as_json(prize: RewardBase | None) -> Any:
    return None if prize is None else prize.model_dump(mode="json")


def wheel(
    name: str,
    *sectors: Sector,
    otherwise: RewardBase,
    into: PointCurrency,
    product: Product,
    plays: int = 1,
    budget: int,
    budget_minor: int = 0,
    guarantee: Guarantee | None = None,
    control: int = 0,
    timezone: str = "UTC",
    words: Mapping[str, str] | None = None,
    pause: timedelta = PAUSE,
) -> Wheel:
    """Declare a wheel: its sectors with their odds, and the points that are given where a sector is used up.

    `plays` are free spins a player has a day of the wheel's zone, 0 for a wheel that only journeys give spins of.
    `budget` are the points that all players together may get on such a day, `budget_minor` what prizes of money may
    cost on it. `guarantee=after(10, points(100))` ends a row of blanks. `words={"en": "…", "uk": "…"}` is what players
    read above it. `pause` is the least time between two spins of a player. Raises `LoyaltyDesignError`.
    """
    made = Wheel(
        name,
        sectors,
        otherwise,
        into,
        product,
        plays,
        budget,
        budget_minor,
        guarantee,
        control,
        timezone,
        dict(words or {}),
        pause,
    )
    mistake = next(_mistakes(made), None)
    if mistake is not None:
        raise LoyaltyDesignError(f"wheel({name!r}) {mistake}")
    return made


def _mistakes(made: Wheel) -> Iterator[str]:
    """A sentence for each thing about it that could not be fair or safe."""
    sectors, gives = made.sectors, [one.gives for one in made.sectors]
    if not made.name.isidentifier():
        yield NAME_NEEDED
    if not is_zone(made.timezone):
        yield zone_needed(made.timezone)
    if not 2 <= len(sectors) <= MOST_SECTORS or any(one.weight <= 0 or one.stock < 0 for one in sectors):
        yield f"needs 2 to {MOST_SECTORS} sectors with weights above 0."
    if not made.otherwise.awarded_points:
        yield "gives points otherwise: what is always there when a sector is used up; write otherwise=points(10)."
    if made.otherwise.awarded_points > min((one.awarded_points or 2**63 for one in gives if one), default=0):
        yield "gives more otherwise than by a sector; a wheel that is used up gives the least."
    blank = any(one is None for one in gives)
    if made.guarantee is not None and not (blank and 1 <= made.guarantee.blanks <= 1_000):
        yield "guarantees something after blanks: it needs a blank sector, and after(1 to 1000, points(…))."
    for prize in made.prizes:
        if prize.product not in {None, made.product}:
            yield f"is about {made.product} and gives a {prize.name}, which is for {prize.product}; give another prize."
        if not has_known_cost(prize):
            yield f"gives a {prize.name}, of which nobody can say here what it costs; give that by a journey."
    points = max(one.awarded_points for one in made.prizes)
    money = max((value_of(one) or 0 for one in made.prizes if not one.settled_here), default=0)
    if made.plays < 0 or made.budget < points or made.budget_minor < money:
        yield "needs plays= of 0 or more, a budget= that its largest prize fits into, and budget_minor= for money."
    if not timedelta(0) <= made.pause <= LONGEST_PAUSE:
        yield "has pause= from seconds(0) to days(1): the least time between two spins of a player."
    if not 0 <= made.control < 100:
        yield "has control= as a share of the players in percent, from 0 to 99."
