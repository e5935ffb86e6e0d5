"""`raffle`: tickets that are given and never sold, and a draw at the end of each period that anybody can recompute."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import cached_property
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from workflows.errors import LoyaltyDesignError
from workflows.field_types import Product, Seconds
from workflows.json_object import JsonObject
from workflows.local_time import zone
from workflows.loyalty.point_currencies import PointCurrency
from workflows.loyalty.wheels import cost_of, drawn_number, seed_hash
from workflows.rewards import RewardBase
from workflows.rules.measures import Period, week

__all__ = ["raffle"]

#: Prizes of one draw.
MOST_PRIZES = 1_000


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
    for _, prize in prizes:
        if prize.product not in {None, product}:
            raise LoyaltyDesignError(f"{at} is about {product} and gives a {prize.name} for {prize.product}.")
        if prize.for_deposit or (not prize.settled_here and not cost_of(prize)):
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


@dataclass(frozen=True)
class Bundle:
    """Tickets that were given together, and whose they are."""

    ticket: int
    holder: str
    count: int


@dataclass(frozen=True)
class DrawnBundle:
    """A bundle that was drawn: it wins the place, 1 the first."""

    place: int
    bundle: Bundle


def raffle_words(name: str, period: str, place: int) -> str:
    """Which draw it is."""
    return f"raffle:{name}:{period}:{place}"


def drawn_bundles(seed: bytes, name: str, period: str, bundles: Sequence[Bundle], places: int) -> list[DrawnBundle]:
    """Who wins: each ticket with the same chance, and of one holder's tickets none after one has won."""
    left, found = TicketCounts([one.count for one in bundles]), list[DrawnBundle]()
    of_holder = defaultdict[str, list[int]](list)
    for number, one in enumerate(bundles):
        of_holder[one.holder].append(number)
    while of_holder and len(found) < places:
        place = len(found) + 1
        won = bundles[left.bundle_of(drawn_number(seed, raffle_words(name, period, place), left.total))]
        found.append(DrawnBundle(place, won))
        for number in of_holder.pop(won.holder):
            left.take_out(number, bundles[number].count)
    return found


class TicketCounts:
    """Tickets of the bundles that are still drawn from, as sums (a Fenwick tree): a step costs their logarithm."""

    def __init__(self, counts: Sequence[int]) -> None:
        if any(count < 0 for count in counts):
            raise ValueError("a bundle of fewer tickets than none")
        self.total = sum(counts)
        self._sums = [0, *counts]
        for place in range(1, len(self._sums)):
            if (above := place + (place & -place)) < len(self._sums):
                self._sums[above] += self._sums[place]

    def bundle_of(self, ticket: int) -> int:
        """The bundle that holds a ticket, counted from 0 through those that are left."""
        place, step = 0, 1 << len(self._sums).bit_length()
        while step := step >> 1:
            if place + step < len(self._sums) and self._sums[place + step] <= ticket:
                place += step
                ticket -= self._sums[place]
        return place

    def take_out(self, number: int, count: int) -> None:
        """Take a bundle of so many tickets out."""
        self.total -= count
        place = number + 1
        while place < len(self._sums):
            self._sums[place] -= count
            place += place & -place


def taking_part(bundles: Sequence[Bundle], protected: Collection[str]) -> list[Bundle]:
    """The bundles that are drawn from: those of players who are protected when the draw comes are not."""
    return [one for one in bundles if one.holder not in protected]


def fault_of_raffle(proof: dict[str, Any]) -> str | None:
    """What is wrong with the record of a draw; None where its winners follow from its seed."""
    try:
        if proof["seed"] is None:
            return "it is not drawn yet and the seed not told"
        seed = bytes.fromhex(proof["seed"])
        if seed_hash(seed) != proof["seed_hash"]:
            return "the seed is not the one whose hash was shown"
        bundles = [Bundle(int(ticket), str(holder), int(count)) for ticket, holder, count in proof["tickets"]]
        if len(bundles) != proof.get("bundles", len(bundles)):
            return f"it is {len(bundles):,} of {proof['bundles']:,} bundles; every page is needed"
        won = [[int(place), int(ticket)] for place, ticket in proof["winners"]]
        drawn = drawn_bundles(seed, str(proof["raffle"]), str(proof["period"]), bundles, int(proof["places"]))
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as wrong:
        return f"it is no proof ({type(wrong).__name__}: {wrong})"
    follows = [[one.place, one.bundle.ticket] for one in drawn]
    return None if follows == won else f"its winners are {follows}"
