"""What is usual for one player: the middle and the edge of their own last values, and how often they come.

A few dozen of the newest events are kept as `second: amount`, whatever order they arrive in. Medians are taken, because
one extraordinary night must not become the norm.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

#: So many of the newest events are kept of each player.
KEPT: Final = 32
#: Fewer tell nothing about what is usual.
FEWEST: Final = 5
#: From how many deviations off the median on a value is unusual: about one in a thousand of values that vary normally.
UNUSUAL_FROM: Final = 3
#: How a median of deviations becomes what is called a standard deviation where values vary normally, times 10,000.
NORMAL: Final = 14_826


@dataclass(frozen=True)
class Usual:
    """What a player's own values are like. `known` is False while there are too few to say anything."""

    median: int = 0
    #: 19 of 20 values are no higher.
    p95: int = 0
    #: The median of how far values are from the median.
    deviation: int = 0
    values: int = 0

    @property
    def known(self) -> bool:
        """Whether there are enough values to call anything usual."""
        return self.values >= FEWEST

    @property
    def limit(self) -> int:
        """What a value has to pass to be unusual, and at least one and a half times the median."""
        return max(self.median + UNUSUAL_FROM * self.deviation * NORMAL // 10_000, self.median * 3 // 2)

    def why_unusual(self, value: int) -> str | None:
        """Why a value is unusually high for this player, in a sentence for people; None when it is not, or unknown."""
        if not self.known or value <= self.limit:
            return None
        return f"{value} against {self.median} in the middle of the last {self.values}; unusual from {self.limit} on."


def keep(held: dict[str, int], at: datetime, amount: int) -> str:
    """Keep one more value, and of all the newest; of two in one second the higher one. The key it has."""
    key = str(int(at.timestamp()))
    held[key] = max(amount, held.get(key, amount))
    for old in sorted(held, key=int)[:-KEPT]:
        del held[old]
    return key


def usual(values: list[int]) -> Usual:
    """What is usual among some values."""
    if not values:
        return Usual()
    median = middle(values)
    ordered = sorted(values)
    p95 = ordered[min(len(ordered) - 1, -(-95 * len(ordered) // 100) - 1)]
    return Usual(median, p95, middle([abs(value - median) for value in values]), len(values))


def gaps(held: Mapping[str, int], zone: ZoneInfo) -> list[int]:
    """The days from each of the player's days with such an event to the next one, in seconds.

    Several visits on one day are one: who reloads a page ten times an hour does not come every six minutes.
    """
    days = sorted({_date(key, zone) for key in held})
    return [(after - before).days * 86_400 for before, after in pairwise(days)]


def _date(key: str, zone: ZoneInfo) -> date:
    return datetime.fromtimestamp(int(key), UTC).astimezone(zone).date()


def middle(values: list[int]) -> int:
    """The median, rounded down."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) // 2
