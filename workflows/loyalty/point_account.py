"""A player's points of one currency: lots, today's buckets, debt, and the windows in which points count more.

What the row holds. It moves by `postings.Postings`, so that the journal explains every movement.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from workflows.loyalty.point_lots import Lots, first_end
from workflows.player_state.sparse_storage import parts_of, sparse

#: A multiplier is remembered so long past its end: as late an event may come and have the factor of its time.
LATENESS: Final = timedelta(days=40)
#: Points count at most so many times, in percent.
MOST_FACTOR: Final = 500
#: Multipliers that one account remembers.
MOST_WINDOWS: Final = 50


@dataclass(slots=True)
class AccrualBucket:
    """What one rule has earned on one day of the player's. `points` are in the lot, `posted` of them in the journal."""

    lot: str
    #: By factor in percent: weighted minor units.
    units: dict[str, int] = field(default_factory=dict)
    points: int = 0
    posted: int = 0

    def stored(self) -> dict[str, Any]:
        """What differs from nothing; by hand, because a row has one of each rule and day."""
        values: dict[str, Any] = {"lot": self.lot, "units": self.units}
        if self.points:
            values["points"] = self.points
        if self.posted:
            values["posted"] = self.posted
        return values


@dataclass(frozen=True, slots=True)
class MultiplierWindow:
    """Points of what happens in [since, until) count `factor` percent; of these games only, where any are named.

    With a `product` it counts for no rule of another one.
    """

    since: datetime
    until: datetime
    factor: int
    games: tuple[str, ...] = ()
    product: str | None = None

    def holds(self, at: datetime, game: str | None, product: str | None) -> bool:
        """Whether it counts for what happened then, by a rule for a product."""
        return (
            self.since <= at < self.until
            and (not self.games or game in self.games)
            and (None in {self.product, product} or self.product == product)
        )


@dataclass(slots=True)
class PointAccount:
    """Everything about a player's points of one currency."""

    lots: Lots = field(default_factory=dict)
    #: By rule, terms and day.
    buckets: dict[str, AccrualBucket] = field(default_factory=dict)
    debt: int = 0
    #: What purchases have reserved that are not settled yet.
    held: int = 0
    #: Points that ever came to the player, without what was taken back.
    ever: int = 0
    windows: list[MultiplierWindow] = field(default_factory=list)
    #: When what is not in the journal yet goes there.
    post_at: datetime | None = None
    #: Points whose end fell into a time in which the player was protected may be spent until then.
    grace_until: datetime | None = None
    frozen: bool = False

    @property
    def available(self) -> int:
        """What may be spent, whatever is in the journal yet."""
        return sum(self.lots.values())

    @property
    def unposted(self) -> int:
        """What is in the lots and not in the journal yet."""
        return sum(bucket.points - bucket.posted for bucket in self.buckets.values())

    def factor(self, at: datetime, game: str | None, product: str | None) -> int:
        """How much what happened then counts, in percent: the highest window, and never the product of several."""
        held = (one.factor for one in self.windows if one.holds(at, game, product))
        return min(MOST_FACTOR, max(held, default=100))

    def spendable_after(self, now: datetime) -> datetime | None:
        """Lots that end later than this may be spent; None: all of them."""
        return None if self.grace_until is not None and now < self.grace_until else now

    @property
    def next_moment(self) -> datetime | None:
        """When something is due: a posting, or the end of the first lot."""
        first = first_end(self.lots)
        if first is not None and self.grace_until is not None:
            first = max(first, self.grace_until)
        return min((one for one in (first, self.post_at) if one is not None), default=None)

    def stored(self) -> dict[str, Any]:
        """The same of one account."""
        values = sparse(self, _ACCOUNT)
        if "buckets" in values:
            values["buckets"] = {key: one.stored() for key, one in self.buckets.items()}
        if "windows" in values:
            values["windows"] = [sparse(one, _WINDOW) for one in self.windows]
        return values


def rule_of(bucket: str) -> str:
    """The name of the earn rule that a bucket's key says: `name~terms|day`."""
    return bucket.rpartition("|")[0].rpartition("~")[0]


_ACCOUNT, _WINDOW = parts_of(PointAccount), parts_of(MultiplierWindow)
