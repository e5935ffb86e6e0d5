"""A player's points of one currency: lots, today's buckets, debt, and the windows in which points count more.

What the row holds and how it moves. Every movement that the journal must explain goes through `Postings`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from workflows.loyalty.mission_progress import MissionState
from workflows.loyalty.point_lots import Lots, add, choose, end_of_lot, first_end, product_of_lot, remove
from workflows.loyalty.point_transfers import Account, Cause, PointTransfer
from workflows.loyalty.tier_standing import TierState
from workflows.loyalty.tournament_scores import TournamentEntry
from workflows.loyalty.wheel_attempts import GivenSpin, KnownWheelDay
from workflows.player_state.sparse_storage import parts_of, sparse

#: A multiplier is remembered so long past its end: as late an event may come and have the factor of its time.
LATENESS: Final = timedelta(days=40)
#: Points count at most so many times, in percent.
MOST_FACTOR: Final = 500
#: Multipliers that one account remembers.
MOST_WINDOWS: Final = 50
HOUR: Final = timedelta(hours=1)


@dataclass(slots=True)
class AccrualBucket:
    """What one rule has earned on one day of the player's. `points` are in the lot, `posted` of them in the journal."""

    lot: str
    #: By factor in percent: weighted minor units.
    units: dict[str, int] = field(default_factory=dict)
    points: int = 0
    posted: int = 0


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
            values["buckets"] = {key: sparse(one, _BUCKET) for key, one in self.buckets.items()}
        if "windows" in values:
            values["windows"] = [sparse(one, _WINDOW) for one in self.windows]
        return values


def rule_of(bucket: str) -> str:
    """The name of the earn rule that a bucket's key says: `name~terms|day`."""
    return bucket.rpartition("|")[0].rpartition("~")[0]


@dataclass(slots=True)
class LoyaltyState:
    """What a player's row holds of loyalty. `transfers` is the number of the newest one."""

    points: dict[str, PointAccount] = field(default_factory=dict)
    transfers: int = 0
    #: By ladder.
    tiers: dict[str, TierState] = field(default_factory=dict)
    missions: dict[str, MissionState] = field(default_factory=dict)
    #: By badge: since when the player wears it.
    badges: dict[str, datetime] = field(default_factory=dict)
    #: By wheel.
    spins: dict[str, KnownWheelDay] = field(default_factory=dict)
    #: Spins that journeys have given and that were not made yet.
    given_spins: list[GivenSpin] = field(default_factory=list)
    #: By collection.
    pieces: dict[str, list[str]] = field(default_factory=dict)
    #: By instance of a tournament, until it is cut.
    entries: dict[str, TournamentEntry] = field(default_factory=dict)
    #: Whether there may be standings of the player, and whether their name is kept from boards.
    ranked: bool = False
    nameless: bool = False
    #: By item that is sold a few times to each player: the newest of its periods, and how often it was bought in it.
    bought: dict[str, tuple[str, int]] = field(default_factory=dict)

    def account(self, currency: str) -> PointAccount:
        """The player's points of a currency, from now on."""
        return self.points.setdefault(currency, PointAccount())

    @property
    def next_moment(self) -> datetime | None:
        """When the player must be looked at for the sake of loyalty."""
        parts: list[PointAccount | TierState] = [*self.points.values(), *self.tiers.values()]
        return min((at for one in parts if (at := one.next_moment) is not None), default=None)

    def stored(self) -> dict[str, Any]:
        """What differs from nothing, in live values, as `PlayerState.stored` writes it."""
        values = sparse(self, _STATE)
        if "points" in values:
            values["points"] = {name: one.stored() for name, one in self.points.items()}
        if "tiers" in values:
            values["tiers"] = {name: sparse(one, _TIER) for name, one in self.tiers.items()}
        if "missions" in values:
            values["missions"] = {name: one.stored() for name, one in self.missions.items()}
        if "entries" in values:
            values["entries"] = {name: sparse(one, _ENTRY) for name, one in self.entries.items()}
        if "spins" in values:
            values["spins"] = {name: one.stored() for name, one in self.spins.items()}
        return values


_STATE, _ACCOUNT = parts_of(LoyaltyState), parts_of(PointAccount)
_BUCKET, _WINDOW, _TIER = parts_of(AccrualBucket), parts_of(MultiplierWindow), parts_of(TierState)
_ENTRY = parts_of(TournamentEntry)


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
