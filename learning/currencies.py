"""Amounts of several currencies beside each other, where no rate between them is declared."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from statistics import median
from typing import NamedTuple


class UsualDeposit(NamedTuple):
    """How many deposits above zero there are of a currency, and their median, in minor units."""

    deposits: int
    amount: float


def yardsticks(amounts: Iterable[tuple[str, int]], known: Mapping[str, float] | None = None) -> dict[str, float]:
    """For each currency, what its amounts are multiplied by to be held against those of the others.

    `amounts` are by currency in minor units; those above zero count. With `known` those of a model, as in `sticks_of`.
    """
    found: defaultdict[str, list[int]] = defaultdict(list)
    for currency, amount in amounts:
        if amount > 0:
            found[currency].append(amount)
    return sticks_of({currency: UsualDeposit(len(every), median(every)) for currency, every in found.items()}, known)


def sticks_of(usual: Mapping[str, UsualDeposit], known: Mapping[str, float] | None = None) -> dict[str, float]:
    """What amounts of each currency are multiplied by, from what is usual in each; of one currency it is 1.

    A usual deposit, the median, of each is taken to be worth a usual one of the currency with the most deposits. That
    is no rate of exchange and nothing is paid or told by it: it keeps ten thousand yen from outweighing a hundred euros
    where players are ranked.

    With `known`, the yardsticks that a model was learned with, these stay: were another currency the one with the most
    deposits by now, every amount would else be told in another unit than the model knows.
    """
    if not usual:
        return {}
    sticks = known or {}
    main = min(usual, key=lambda currency: (currency not in sticks, -usual[currency].deposits, currency))
    yard = usual[main].amount * sticks.get(main, 1.0)
    return {currency: sticks.get(currency, yard / one.amount) for currency, one in usual.items()}
