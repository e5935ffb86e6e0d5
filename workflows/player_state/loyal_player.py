"""What loyalty makes of a player: points earned by events, given by journeys, and gone when their time is over.

`state.PlayerState` builds on it. Where no program is declared nothing here does anything.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from workflows.events import Event
from workflows.loyalty.accrual import accrue
from workflows.loyalty.point_account import LoyaltyState, Postings
from workflows.loyalty.point_currencies import PointCurrency
from workflows.loyalty.point_lots import lot_of
from workflows.loyalty.point_transfers import PointTransfer
from workflows.loyalty.program import LoyaltyProgram
from workflows.player_state.projection import PlayerProjection
from workflows.rules.failures import RuleFailure


@dataclass(slots=True)
class LoyalPlayer(PlayerProjection):
    """A player with what loyalty knows of them; None for a player who never came near it."""

    loyalty: LoyaltyState | None = None

    def earn_by(
        self, event: Event, program: LoyaltyProgram, now: datetime, failures: list[RuleFailure]
    ) -> list[PointTransfer]:
        """Count an event under the earn rules; what goes into the journal because of it."""
        rules = program.earn_rules.get(event.type)
        if rules is None:
            return []
        postings = self._postings(now)
        for rule in rules:
            accrue(rule, event, self.present(now), postings, failures)
        if not postings.state.points:
            self.loyalty = None
        return postings.transfers

    def award_points(self, into: PointCurrency, amount: int, ref: str, now: datetime) -> list[PointTransfer]:
        """Give points that no act of the player has earned. The caller has asked the gate, and gives once."""
        postings, present = self._postings(now), self.present(now)
        lot = lot_of(None, present.today, into.expires, present)
        postings.credit(into.name, amount, lot, "issued:award", "journey", ref)
        return postings.transfers

    def settle_points(self, now: datetime, currencies: Iterable[str] | None = None) -> list[PointTransfer]:
        """Bring the journal up to the row, as before a statement."""
        if self.loyalty is None:
            return []
        postings = self._postings(now)
        for name in self.loyalty.points if currencies is None else currencies:
            postings.settle(name)
        return postings.transfers

    def tick_loyalty(self, now: datetime) -> list[PointTransfer]:
        """Post and expire what is due; it needs no rule, so that nothing hangs on a release."""
        due = None if self.loyalty is None else self.loyalty.next_moment
        if self.loyalty is None or due is None or due > now:
            return []
        postings = self._postings(now)
        for name, account in self.loyalty.points.items():
            if account.post_at is not None and account.post_at <= now:
                postings.settle(name)
            postings.expire(name, protected=self.protected(now) is not None)
        return postings.transfers

    @property
    def loyalty_moments(self) -> list[datetime]:
        """When the player must be looked at for the sake of loyalty; none where nothing is due."""
        due = None if self.loyalty is None else self.loyalty.next_moment
        return [] if due is None else [due]

    def _postings(self, now: datetime) -> Postings:
        if self.loyalty is None:
            self.loyalty = LoyaltyState()
        return Postings(self.loyalty, now)
