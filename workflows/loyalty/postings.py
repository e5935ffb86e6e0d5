"""Every movement of points, each with the transfer that explains it, and what the transfers alone come to."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from workflows.loyalty.loyalty_state import LoyaltyState
from workflows.loyalty.point_account import rule_of
from workflows.loyalty.point_lots import add, choose, end_of_lot, product_of_lot, remove
from workflows.loyalty.point_transfers import Account, Cause, PointTransfer


class Postings:
    """The transfers of one player in one transaction, and every movement that needs one.

    Points that an accrual has put into a lot are posted before anything else moves, so a lot always holds at least
    what of it is not in the journal.
    """

    def __init__(self, state: LoyaltyState, now: datetime) -> None:
        self.state = state
        self.now = now
        self.transfers: list[PointTransfer] = []

    def post(
        self, currency: str, amount: int, debit: Account, credit: Account, cause: Cause, ref: str, **more: Any
    ) -> None:
        """Write a transfer; of nothing none is written."""
        if amount > 0:
            self.state.transfers += 1
            self.transfers.append(
                PointTransfer(self.state.transfers, currency, amount, debit, credit, cause, ref, self.now, **more)
            )

    def settle(self, currency: str) -> None:
        """Post what the buckets of a currency have earned and the journal does not know yet."""
        account = self.state.account(currency)
        account.post_at = None
        for key in sorted(account.buckets):
            bucket = account.buckets[key]
            earned = bucket.points - bucket.posted
            bucket.posted = bucket.points
            more = {"slices": {bucket.lot: earned}, "bucket": key, "units": dict(bucket.units)}
            self.post(currency, earned, "issued:wager", "available", "wager", rule_of(key), **more)
        self._pay_debt(currency)

    def credit(self, currency: str, amount: int, lot: str, source: Account, cause: Cause, ref: str) -> None:
        """Give points, into one slice; debt is paid first."""
        account = self.state.account(currency)
        add(account.lots, {lot: amount})
        account.ever += amount
        self.post(currency, amount, source, "available", cause, ref, slices={lot: amount})
        self._pay_debt(currency)

    def spend(self, currency: str, slices: Mapping[str, int], into: Account, cause: Cause, ref: str) -> None:
        """Take points out of the slices that `choose` has named."""
        self.settle(currency)
        remove(self.state.account(currency).lots, slices)
        self.post(currency, sum(slices.values()), "available", into, cause, ref, slices=dict(slices))

    def hold(self, currency: str, slices: Mapping[str, int], ref: str) -> None:
        """Reserve the points of a purchase: nobody spends them, and they do not expire, until it is settled."""
        self.spend(currency, slices, "held", "shop", ref)
        self.state.account(currency).held += sum(slices.values())

    def redeem(self, currency: str, amount: int, ref: str) -> None:
        """Let the house have what a purchase has reserved."""
        self.release_to(currency, amount, "redeemed:shop", ref)

    def release_to(self, currency: str, amount: int, into: Account, ref: str) -> None:
        """Let another account have what a purchase has reserved: the journal of the buyer says so."""
        self._unhold(currency, amount)
        self.post(currency, amount, "held", into, "shop", ref)

    def refund(
        self, currency: str, slices: Mapping[str, int], lot_of_late: str | None, ref: str, source: Account = "held"
    ) -> None:
        """Give points of a purchase back to the slices they came from; those of one that has ended get another.

        Without another they expire with the next tick, as all that has ended does.
        """
        if source == "held":
            self._unhold(currency, sum(slices.values()))
        given: Counter[str] = Counter()
        for key, points in slices.items():
            end = end_of_lot(key)
            if lot_of_late is not None and end is not None and end <= self.now:
                given[f"{product_of_lot(key) or ''}@{lot_of_late.rpartition('@')[2]}"] += points
            else:
                given[key] += points
        add(self.state.account(currency).lots, given)
        self.post(currency, given.total(), source, "available", "shop", ref, slices=dict(given))
        self._pay_debt(currency)

    def _unhold(self, currency: str, amount: int) -> None:
        account = self.state.account(currency)
        account.held -= amount
        assert account.held >= 0, f"more of {currency} is settled than was held"

    def take_back(self, currency: str, amount: int, lot: str | None, ref: str, **bucket: Any) -> None:
        """Reverse points: from the slice they came into, then the oldest, and what is spent already becomes debt."""
        self.settle(currency)
        account = self.state.account(currency)
        account.ever -= amount
        slices = choose(account.lots, amount, first=lot)
        remove(account.lots, slices)
        found = sum(slices.values())
        self.post(currency, found, "available", "reversed", "reversal", ref, slices=slices, **bucket)
        account.debt += amount - found
        self.post(currency, amount - found, "debt", "reversed", "reversal", ref, **bucket)

    def expire(self, currency: str, *, protected: bool) -> None:
        """Take away what has had its time; of a protected player nothing, nor in the week after."""
        account = self.state.account(currency)
        late = [key for key in account.lots if (end := end_of_lot(key)) is not None and end <= self.now]
        if not late or (account.grace_until is not None and self.now < account.grace_until):
            return
        if protected or account.frozen:
            account.frozen, account.grace_until = protected, self.now + timedelta(days=7)
            return
        self.spend(currency, {key: account.lots[key] for key in sorted(late)}, "expired", "expiry", "")
        account.grace_until = None

    def _pay_debt(self, currency: str) -> None:
        account = self.state.account(currency)
        if not account.debt:
            return
        slices = choose(account.lots, account.debt)
        remove(account.lots, slices)
        paid = sum(slices.values())
        account.debt -= paid
        self.post(currency, paid, "available", "debt", "debt", "", slices=slices)


def recomputed(transfers: Iterable[PointTransfer]) -> LoyaltyState:
    """What the journal says: lots and debt by currency, as a row that has nothing left to post holds them.

    Raises ValueError where the numbers have a gap, an account of the player goes below nothing, or slices and amount
    disagree.
    """
    state = LoyaltyState()
    for one in transfers:
        if one.number != state.transfers + 1:
            raise ValueError(f"transfer {one.number} follows {state.transfers}")
        state.transfers = one.number
        account = state.account(one.currency)
        sides = {one.debit, one.credit}
        if ("available" in sides and sum(one.slices.values()) != one.amount) or one.debit == one.credit:
            raise ValueError(f"transfer {one.number} does not say where its points are")
        if one.credit == "available":
            add(account.lots, one.slices)
        elif one.debit == "available":
            if any(account.lots.get(key, 0) < points for key, points in one.slices.items()):
                raise ValueError(f"transfer {one.number} takes what is not there")
            remove(account.lots, one.slices)
        account.debt += one.amount * ((one.debit == "debt") - (one.credit == "debt"))
        account.held += one.amount * ((one.credit == "held") - (one.debit == "held"))
        if account.debt < 0 or account.held < 0:
            raise ValueError(f"transfer {one.number} pays a debt or a purchase that is not there")
    return state
