"""Amounts of several currencies beside each other, where no rate between them is declared."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from statistics import median


def yardsticks(amounts: Iterable[tuple[str, int]], known: Mapping[str, float] | None = None) -> dict[str, float]:
    """For each currency, what its amounts are multiplied by to be held against those of the others.

    A usual deposit, the median, of each is taken to be worth a usual one of the currency with the most deposits. That
    is no rate of exchange and nothing is paid or told by it: it keeps ten thousand yen from outweighing a hundred euros
    where players are ranked. `amounts` are those above zero, by currency in minor units; of one currency it is 1.

    With `known`, the yardsticks that a model was learned with, these stay: were another currency the one with the most
    deposits by now, every amount would else be told in another unit than the model knows.
    """
    found: defaultdict[str, list[int]] = defaultdict(list)
    for currency, amount in amounts:
        if amount > 0:
            found[currency].append(amount)
    if not found:
        return {}
    usual = {currency: median(every) for currency, every in found.items()}
    sticks = known or {}
    main = min(found, key=lambda currency: (currency not in sticks, -len(found[currency]), currency))
    yard = usual[main] * sticks.get(main, 1.0)
    return {currency: sticks.get(currency, yard / one) for currency, one in usual.items()}
