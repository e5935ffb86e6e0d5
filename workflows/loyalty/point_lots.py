"""Lots: points that were earned together and expire together, as slices of a player's row.

A lot is one number under a key that says its product and its end, so a player holds a bounded handful however much is
earned. Whoever takes points names the slices they come from.
"""

from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Final

from workflows.local_time import DAY
from workflows.rules.measures import Present, month, week

Lots = dict[str, int]

#: How long a slice is, by how long points last: never more than 93 of a product.
BY_DAY: Final = timedelta(days=92)
BY_WEEK: Final = timedelta(days=366)
NEVER: Final = "never"


def lot_of(product: str | None, earned: date, lasts: timedelta | None, present: Present) -> str:
    """The slice of what is earned on a day of the player's: `product@end`, the end in seconds since 1970."""
    if lasts is None:
        return f"{product or ''}@{NEVER}"
    last = earned + timedelta(days=lasts.days)
    if lasts <= BY_DAY:
        end = last + DAY
    else:
        period = week if lasts <= BY_WEEK else month
        end = period.after(period.start(last))
    return f"{product or ''}@{int(present.begin(end).timestamp())}"


def end_of_lot(key: str) -> datetime | None:
    """When a slice expires; None: never."""
    end = key.rpartition("@")[2]
    return None if end == NEVER else datetime.fromtimestamp(int(end), UTC)


def first_end(lots: Lots) -> datetime | None:
    """When the first of them expires; None: none ever does."""
    ends = [int(end) for key in lots if (end := key.rpartition("@")[2]) != NEVER]
    return datetime.fromtimestamp(min(ends), UTC) if ends else None


def product_of_lot(key: str) -> str | None:
    """The kind of gambling a slice was earned with; None for none."""
    return key.rpartition("@")[0] or None


def add(lots: Lots, slices: Mapping[str, int]) -> None:
    """Put points into slices."""
    for key, points in slices.items():
        lots[key] = lots.get(key, 0) + points


def remove(lots: Lots, slices: Mapping[str, int]) -> None:
    """Take points out of slices that hold as many; what is empty is forgotten."""
    for key, points in slices.items():
        left = lots[key] - points
        assert left >= 0, f"the slice {key} would go below nothing"
        if left:
            lots[key] = left
        else:
            del lots[key]


def choose(
    lots: Mapping[str, int],
    points: int,
    *,
    first: str | None = None,
    after: datetime | None = None,
    products: Collection[str | None] | None = None,
) -> dict[str, int]:
    """The slices that so many points come from, the earliest end first, or `first` before all; fewer where there are.

    Only those that end later than `after` and are of `products`, where that is said.
    """
    chosen: dict[str, int] = {}
    for key in sorted(lots, key=lambda one: (one != first, _order(one))):
        end = end_of_lot(key)
        if after is not None and end is not None and end <= after:
            continue
        if products is not None and product_of_lot(key) not in products:
            continue
        if (part := min(points, lots[key])) > 0:
            chosen[key] = part
            points -= part
    return chosen


def _order(key: str) -> tuple[bool, int, str]:
    product, _, end = key.rpartition("@")
    return (end == NEVER, 0 if end == NEVER else int(end), product)
