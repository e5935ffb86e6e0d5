"""`currency` and `earn`: which points there are, and what a player does to get them.

Declarations, pure values beside the journeys. `accrual.py` counts by them, `program.py` holds all of a deployment.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any, Final

from workflows.errors import LoyaltyDesignError
from workflows.events import Event
from workflows.field_types import Product
from workflows.rules.failures import RuleFailure
from workflows.rules.measures import Period, day
from workflows.rules.where import Where, passes, require_event_type

__all__ = ["currency", "earn"]

#: Points of one rule that one player can get on one day, whatever its designer writes: sums stay small integers.
MOST_A_DAY: Final = 10_000_000
#: Why nothing more is given on a day.
HOUSE_GIVES_NO_MORE: Final = "house_gives_no_more"
#: Weights and factors are whole percent.
WHOLE: Final = 100
#: A weight, and a rate's numbers, stay below it.
MOST_IN_A_RATE: Final = 1_000_000


@dataclass(frozen=True)
class PointCurrency:
    """A kind of points. `expires` is how long what was earned together may be spent; None: for ever."""

    name: str
    expires: timedelta | None = None
    #: Points that the house means to give to all players together on a day of UTC; 0: as many as it comes to.
    given_a_day: int = 0

    @property
    def most_given_a_day(self) -> int:
        """Nothing is given that would make it more than 120 % of what was meant."""
        return self.given_a_day * 6 // 5


def currency(name: str, *, expires: timedelta | None = None, given_a_day: int = 0) -> PointCurrency:
    """Declare a kind of points that players earn and spend.

    `given_a_day` is what the house means to give away to all players together on a day of UTC: awards of journeys,
    prizes of missions, points that a shop sells. What would make it more than 120 % of that is not given; what players
    earn by playing is theirs by the terms, and wheels, raffles and tournaments have limits of their own.

    Points that were earned on one day of the player's expire together: at the end of the day `expires` later, of its
    week where that is longer than 92 days, of its month beyond 366. Raises `LoyaltyDesignError`.
    """
    if not name.isidentifier():
        raise LoyaltyDesignError(f"currency({name!r}) needs a name of letters, digits and underscores.")
    if expires is not None and expires < timedelta(days=1):
        raise LoyaltyDesignError(f"currency({name!r}) expires within a day; give players at least days(1) to spend it.")
    if given_a_day < 0:
        raise LoyaltyDesignError(f"currency({name!r}) gives {given_a_day} points a day; name a number above 0.")
    return PointCurrency(name, expires, given_a_day)


@dataclass(frozen=True)
class EarnRule:
    """What brings points: an amount of an event, at a rate, at most so many a day."""

    currency: PointCurrency
    kind: type[Event]
    amount: str | Callable[[Any], int]
    #: So many points for so many minor units.
    rate: tuple[int, int]
    most: int
    product: Product | None
    #: By game category, in percent; empty: everything counts whole.
    weights: Mapping[str, int]
    where: Where | None
    #: Whether rounds that a grant paid for count.
    granted: bool
    name: str

    @cached_property
    def terms(self) -> str:
        """What a day is counted by, as a few letters: another rate is another bucket."""
        said = f"{self.rate}{self.most}{self.product}{sorted(self.weights.items())}{self.granted}"
        return hashlib.sha256(said.encode()).hexdigest()[:6]

    @cached_property
    def key(self) -> str:
        """The rule's name in a player's row."""
        return f"{self.name}~{self.terms}"

    @cached_property
    def enough(self) -> int:
        """So many weighted units reach the cap at the factor 1: of one event no more is counted."""
        points, units = self.rate
        return (self.most + 1) * units * WHOLE // points + 1

    def units(self, event: Event, failures: list[RuleFailure]) -> int:
        """The weighted minor units of an event; 0 for one that earns nothing."""
        if self.where is not None and not passes(self.where, event, failures):
            return 0
        if not self.granted and getattr(event, "grant_id", None) is not None:
            return 0
        weight = WHOLE if not self.weights else self.weights.get(str(getattr(event, "category", "")), 0)
        try:
            amount = getattr(event, self.amount) if isinstance(self.amount, str) else int(self.amount(event))
        except Exception as error:  # noqa: BLE001 - whatever a designer's function raises
            failures.append(RuleFailure(self.name, "measure", error, event.type))
            return 0
        return 0 if amount is None else min(max(0, amount) * weight, self.enough)

    def points(self, units: Mapping[str, int]) -> int:
        """The points of a day: the sum over all factors, rounded down once, at most the cap and never below 0."""
        points, each = self.rate
        weighted = 0
        for factor, number in units.items():
            weighted += number * int(factor)
        return min(self.most, max(0, weighted * points // (each * WHOLE * WHOLE)))


def earn(
    into: PointCurrency,
    kind: type[Event],
    amount: str | Callable[[Any], int],
    *,
    rate: tuple[int, int],
    most: int = 0,
    per: Period = day,
    product: Product | None = None,
    weights: Mapping[str, int] | None = None,
    where: Where | None = None,
    granted: bool = False,
    name: str = "",
) -> EarnRule:
    """Give points for an amount of each event of `kind`: `rate=(1, 1_000)` is one point for ten whole units of money.

    Amounts are added up for a day of the player's and rounded down once; `most` is the cap of that day, multipliers
    included. `weights` are percent by game category, and a category that is not named earns nothing. Rounds that a
    grant paid for earn nothing unless `granted`. Give the rule a name in its module, or nobody finds it.

    Raises `LoyaltyDesignError`: without a cap the rule would print points for whoever finds a loop.
    """
    require_event_type(kind, "earn")
    called = name or (f"{kind.type}:{amount}" if isinstance(amount, str) else "")
    if not called:
        raise LoyaltyDesignError(f"earn(..., {kind.__name__}, a function) needs a name=, such as name='profit'.")
    at = f"earn(..., {kind.__name__}, name={called!r})"
    if isinstance(amount, str) and amount not in kind.model_fields:
        raise LoyaltyDesignError(f"{at} counts {amount}, and {kind.__name__} has no such field.")
    if isinstance(amount, str) and amount.startswith("bonus_"):
        raise LoyaltyDesignError(f"{at} counts bonus money, which is not the player's own; count {amount[6:]} instead.")
    if not 0 < most <= MOST_A_DAY:
        raise LoyaltyDesignError(f"{at} has no cap; say how many points a day at most, such as most=5_000.")
    if per != day:
        raise LoyaltyDesignError(f"{at} is capped per {per.name}; a bucket is a day: write per=day.")
    if [*map(type, rate)] != [int, int] or not all(0 < part <= MOST_IN_A_RATE for part in rate):
        raise LoyaltyDesignError(f"{at} has the rate {rate!r}; write points and minor units, such as rate=(1, 1_000).")
    if any(not 0 <= weight <= WHOLE * WHOLE for weight in (weights or {}).values()):
        raise LoyaltyDesignError(f"{at} has a weight below 0; weights are percent, such as {{'slot': 100}}.")
    return EarnRule(into, kind, amount, rate, most, product, dict(weights or {}), where, granted, called)
