"""What a house's points come to, month by month: issued, redeemed, expired, owed to players, and what that is each.

Pure sums over what moved between which accounts in a month, so that the journal of production and that of a rehearsal
are read the same.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Final

from workflows.loyalty.point_transfers import PLAYER_ACCOUNTS

#: What begins the names of accounts that points come out of.
ISSUED: Final = "issued:"
REDEEMED: Final = "redeemed:shop"
#: The account that players who played are known by.
PLAYED: Final = "issued:wager"


@dataclass(frozen=True, slots=True)
class PointFlow:
    """In one month: so many points left one account and came to another, of so many players."""

    currency: str
    #: The first day of the month, in UTC.
    month: date
    debit: str
    credit: str
    amount: int
    players: int = 0


@dataclass(frozen=True, slots=True)
class MonthOfPoints:
    """What one currency came to in one month, in whole points.

    `liability` is what players have at its end: available and held, less what they owe.
    """

    currency: str
    month: date
    issued: int
    redeemed: int
    expired: int
    taken_back: int
    liability: int
    #: Players who earned by playing.
    active_players: int

    @property
    def breakage_pct(self) -> float | None:
        """Of the points that left players' hands, how many expired; None where none did."""
        gone = self.expired + self.redeemed
        return round(100 * self.expired / gone, 2) if gone > 0 else None

    @property
    def inflation_pct(self) -> float | None:
        """How much more points are in players' hands than a month ago; None where there were none."""
        before = self.liability - self._grown
        return round(100 * self._grown / before, 2) if before > 0 else None

    @property
    def cost_per_active_player(self) -> float | None:
        """Points redeemed for each player who played; None where nobody did."""
        return round(self.redeemed / self.active_players, 2) if self.active_players else None

    @property
    def _grown(self) -> int:
        return self.issued - self.redeemed - self.expired - self.taken_back


def months_of(flows: Iterable[PointFlow]) -> list[MonthOfPoints]:
    """The months of each currency, the first one first; `flows` are all there ever were, in any order.

    A month in which nothing moved is left out.
    """
    by_month: dict[tuple[str, date], list[PointFlow]] = defaultdict(list)
    for one in flows:
        by_month[one.currency, one.month].append(one)
    liability: dict[str, int] = defaultdict(int)
    months = []
    for (currency, month), moved in sorted(by_month.items()):
        liability[currency] += sum(_into_hands(one) for one in moved)
        redeemed = _between(moved, credit=REDEEMED) - _between(moved, debit=REDEEMED)
        expired = _between(moved, credit="expired")
        issued = sum(one.amount for one in moved if one.debit.startswith(ISSUED))
        # Everything else that left: reversals, less debt that lapsed. What a merge moves comes to nothing.
        other = issued - redeemed - expired - sum(_into_hands(one) for one in moved)
        active = max((one.players for one in moved if one.debit == PLAYED), default=0)
        months.append(MonthOfPoints(currency, month, issued, redeemed, expired, other, liability[currency], active))
    return months


def _into_hands(flow: PointFlow) -> int:
    """What a flow adds to what players have."""
    return flow.amount * ((flow.credit in PLAYER_ACCOUNTS) - (flow.debit in PLAYER_ACCOUNTS))


def _between(moved: Iterable[PointFlow], *, debit: str = "", credit: str = "") -> int:
    return sum(one.amount for one in moved if one.debit == debit or one.credit == credit)
