"""How large an offer is: declared for each currency, or fitted to what the player usually moves.

All amounts are minor units of the currency in question.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final

from workflows.errors import RewardDesignError
from workflows.minor_units import is_currency, minor_units

__all__ = ["Amounts", "amounts"]

#: What people round to, in whole units; of two steps that fit the larger is the rounder.
STEPS: Final = (1, 5, 10, 25, 50)
#: Within one unit: halves and tenths.
PARTS: Final = (10, 2)
#: From here on steps grow by tens: 100, 250, 500, 1,000, …
MOST_TENS: Final = 10


@dataclass(frozen=True)
class Amounts:
    """One amount as it is declared in each currency that the house's players have."""

    by_currency: Mapping[str, int]

    def in_currency(self, currency: str | None) -> int | None:
        """The amount in a wallet's currency; None where none is declared: it is never converted."""
        return None if currency is None else self.by_currency.get(currency)


def amounts(**by_currency: int) -> Amounts:
    """An amount in minor units of each currency: `amounts(EUR=500, GBP=400, UAH=20_000)`.

    Raises RewardDesignError for what is no currency and for what is no amount.
    """
    for currency, minor in by_currency.items():
        if not is_currency(currency):
            raise RewardDesignError(f"amounts({currency}=...): {currency} is no currency of ISO 4217.")
        if type(minor) is not int or minor < 1:
            raise RewardDesignError(f"amounts({currency}={minor!r}): give whole minor units, 500 for 5.00.")
    if not by_currency:
        raise RewardDesignError("amounts() declares nothing; write amounts(EUR=500, ...).")
    return Amounts(dict(by_currency))


#: A floor or a ceiling: one for everybody, or by tier, with "" for who has none of those.
Limit = Amounts | Mapping[str, Amounts]


@dataclass(frozen=True)
class Fitted:
    """What an offer comes to; where `minor` is None, `why` there is none."""

    minor: int | None
    why: str


def declared(amount: Limit, currency: str | None, tier: str | None) -> Fitted:
    """A declared amount in the wallet's currency, of the player's tier."""
    if currency is None:
        return Fitted(None, "no_currency")
    chosen = amount if isinstance(amount, Amounts) else amount.get(tier or "", amount.get(""))
    minor = None if chosen is None else chosen.in_currency(currency)
    return Fitted(minor, "declared" if minor is not None else "no_amount")


def fitted(
    band: tuple[float, float],
    of: int,
    currency: str | None,
    tier: str | None,
    floor: Limit | None,
    ceiling: Limit | None,
) -> Fitted:
    """The roundest amount between so many percent and so many percent of a sum, the largest of those.

    It is never more than the band or the ceiling: whose band lies above the ceiling gets the ceiling. It is never less
    than the floor: whose band lies below it gets no offer.
    """
    if currency is None:
        return Fitted(None, "no_currency")
    if of <= 0:
        return Fitted(None, "nothing_known")
    least, most = (Decimal(of) * Decimal(str(percent)) / 100 for percent in band)
    lowest, highest = int(least.to_integral_value(ROUND_CEILING)), int(most.to_integral_value(ROUND_FLOOR))
    for limit, is_floor in ((ceiling, False), (floor, True)):
        if limit is None:
            continue
        bound = declared(limit, currency, tier)
        if bound.minor is None:
            return bound
        lowest = max(lowest, bound.minor) if is_floor else min(lowest, bound.minor)
        highest = highest if is_floor else min(highest, bound.minor)
    if lowest > highest:
        return Fitted(None, "outside_band")
    minor = roundest(max(lowest, 1), highest, 10 ** minor_units(currency))
    return Fitted(minor, "fitted" if minor is not None else "outside_band")


def roundest(lowest: int, highest: int, unit: int) -> int | None:
    """The largest multiple in the band of the largest step that has one there, as people round: 5, 10, 25, 50, 100."""
    for step in _steps(unit):
        if (largest := highest // step * step) >= lowest:
            return largest
    return None


def _steps(unit: int) -> list[int]:
    """The steps, the largest first. A currency without decimals has no parts."""
    whole = {step * 10**tens * unit for tens in range(MOST_TENS) for step in STEPS}
    return sorted(whole | {unit // part for part in PARTS if unit % part == 0}, reverse=True)
