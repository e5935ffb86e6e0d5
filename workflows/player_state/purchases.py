"""What buying makes of a player: points reserved or paid, the thing given or ordered, and points that come back.

A purchase that gives something here is paid at once. Any other reserves its points and starts the journey that delivers
it; whoever sees the journey's end settles the purchase, and points that were not used go back to where they came from.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, cast

from workflows.events import ItemPurchased
from workflows.field_types import Product
from workflows.loyalty.loyalty_state import LoyaltyState
from workflows.loyalty.point_lots import choose, lot_of, product_of_lot
from workflows.loyalty.point_transfers import PointTransfer
from workflows.loyalty.postings import Postings
from workflows.loyalty.shop_items import SHOP_ORDER, PurchaseRefusal, ShopItem
from workflows.player_state.decisions import Decision, Start
from workflows.player_state.state import PlayerState
from workflows.rewards import RewardBase
from workflows.rules.failures import RuleFailure
from workflows.rules.index import RuleIndex
from workflows.rules.segments import Statistics

#: How long points may be spent that come back after their time was over.
LATE_REFUND: Final = timedelta(days=7)
#: Orders of one player that are under way at once, so that nobody holds a whole stock.
MOST_OPEN_ORDERS: Final = 5


@dataclass(frozen=True)
class Bought:
    """What a purchase came to: its points by slice, what follows, and the run that delivers it."""

    slices: Mapping[str, int]
    decisions: list[Decision]
    run_id: str | None


def purchase_refusal(  # noqa: PLR0911 - one line a reason
    state: PlayerState, item: ShopItem, rules: RuleIndex, now: datetime, failures: list[RuleFailure]
) -> PurchaseRefusal | None:
    """Why a player may not buy an item now, None if they may; gate and stock are asked after it.

    A function that raises shows it to nobody.
    """
    if not _is_seen(state, item, now, failures):
        return "not_visible"
    if item.since is not None and now < item.since:
        return "not_open_yet"
    if item.until is not None and now >= item.until:
        return "over"
    if item.tier and not _has_tier(state, item, rules):
        return "tier_too_low"
    if item.each and times_bought(state, item, now) >= item.each:
        return "limit_reached"
    if payable(state, item, now) < item.price:
        return "not_enough_points"
    if not item.settles_here and not _is_delivered(state, item, rules, now):
        return "closed"
    if not item.settles_here and _open_orders(state) >= MOST_OPEN_ORDERS:
        return "too_many_orders"
    return None


def buy(
    state: PlayerState,
    item: ShopItem,
    purchase_id: str,
    rules: RuleIndex,
    now: datetime,
    failures: list[RuleFailure],
) -> Bought:
    """Take the points and give the item, or order it. The caller has asked `purchase_refusal`, gate and stock."""
    state.loyalty = state.loyalty or LoyaltyState()
    postings, ref, name = Postings(state.loyalty, now), f"{item.name} {purchase_id}", item.paid_in.name
    postings.settle(name)
    slices = _payment(state, item, now)
    assert sum(slices.values()) == item.price, f"{item.name} costs more than there is"
    if item.settles_here:
        postings.spend(name, slices, "redeemed:shop", "shop", ref)
    else:
        postings.hold(name, slices, ref)
    if item.each:
        period, times = _period_and_times(state, item, now)
        state.loyalty.bought[item.name] = (period, times + 1)
    decisions: list[Decision] = [*postings.transfers]
    if item.settles_here:
        decisions += _given_here(state, item, ref, now)
    decisions += state.tell(_event(item, purchase_id, now), [""], rules, now, failures)
    starts = [one for one in decisions if isinstance(one, Start) and one.journey == SHOP_ORDER]
    return Bought(slices, decisions, starts[0].run_id if starts else None)


def redeem(state: PlayerState, currency: str, amount: int, ref: str, now: datetime) -> list[PointTransfer]:
    """Let the house have the points of a purchase that was delivered."""
    state.loyalty = state.loyalty or LoyaltyState()
    postings = Postings(state.loyalty, now)
    postings.redeem(currency, amount, ref)
    return postings.transfers


def refund(
    state: PlayerState,
    into: PlayerState,
    item: str,
    currency: str,
    slices: Mapping[str, int],
    ref: str,
    now: datetime,
    *,
    at: datetime,
    paid: bool = False,
    cancelled: bool = False,
) -> list[tuple[str, PointTransfer]]:
    """Give the points of a purchase of `at` back: to the buyer, or `into` the account that theirs was merged into.

    `paid` says that the house has them already. What has ended meanwhile may be spent for a week, but where the player
    has `cancelled` it expires, or buying and cancelling would keep points for ever. By account what goes into its
    journal.
    """
    state.loyalty, into.loyalty = state.loyalty or LoyaltyState(), into.loyalty or LoyaltyState()
    present = into.present(now)
    late = None if cancelled else lot_of(None, present.today, LATE_REFUND, present)
    giving, taking = Postings(state.loyalty, now), Postings(into.loyalty, now)
    if into is state:
        giving.refund(currency, slices, late, ref, "redeemed:shop" if paid else "held")
    else:
        if not paid:
            giving.release_to(currency, sum(slices.values()), "merged", ref)
        taking.refund(currency, slices, late, ref, "redeemed:shop" if paid else "merged")
    _count_down(into, item, at)
    return [(state.player_id, one) for one in giving.transfers] + [(into.player_id, one) for one in taking.transfers]


def payable(state: PlayerState, item: ShopItem, now: datetime) -> int:
    """The points a player has that may pay for an item; at most its price is counted."""
    return sum(_payment(state, item, now).values())


def product_paid_with(state: PlayerState, item: ShopItem, now: datetime) -> Product | None:
    """The kind of gambling that a purchase is about: the item's, else the one that the points which pay come from.

    None where these are open, or of several kinds: a law that asks for one kind refuses it.
    """
    earned = {product_of_lot(lot) for lot in _payment(state, item, now)} - {None}
    return item.product or (cast("Product", earned.pop()) if len(earned) == 1 else None)


def times_bought(state: PlayerState, item: ShopItem, now: datetime) -> int:
    """How often the player has bought an item in its present period; what came back does not count."""
    return _period_and_times(state, item, now)[1]


def _payment(state: PlayerState, item: ShopItem, now: datetime) -> dict[str, int]:
    account = None if state.loyalty is None else state.loyalty.points.get(item.paid_in.name)
    if account is None:
        return {}
    return choose(account.lots, item.price, after=account.spendable_after(now), products=item.pays_with)


def _period_and_times(state: PlayerState, item: ShopItem, now: datetime) -> tuple[str, int]:
    period = "" if item.per is None else item.per.start(state.present(now).today).isoformat()
    known, times = ("", 0) if state.loyalty is None else state.loyalty.bought.get(item.name, ("", 0))
    # Who moves westward over midnight comes back into a period that is over: it is no new one.
    return (period, 0) if period > known else (known, times)


def _count_down(state: PlayerState, item: str, at: datetime) -> None:
    """Forget a purchase of `at`, unless it was made in a period before the one that is counted."""
    assert state.loyalty is not None
    period, times = state.loyalty.bought.get(item, ("", 0))
    if state.present(at).today.isoformat() < period:
        return
    if times > 1:
        state.loyalty.bought[item] = (period, times - 1)
    else:
        state.loyalty.bought.pop(item, None)


def _open_orders(state: PlayerState) -> int:
    return sum(run.journey == SHOP_ORDER and not run.over for run in state.runs.values())


def _is_seen(state: PlayerState, item: ShopItem, now: datetime, failures: list[RuleFailure]) -> bool:
    if item.seen_by is None:
        return True
    try:
        return bool(item.seen_by(Statistics(state, now)))
    except Exception as error:  # noqa: BLE001 - whatever a designer's function raises
        failures.append(RuleFailure(item.name, "segment", error))
        return False


def _has_tier(state: PlayerState, item: ShopItem, rules: RuleIndex) -> bool:
    ladder = rules.loyalty.ladder
    held = None if ladder is None or state.loyalty is None else state.loyalty.tiers.get(ladder.name)
    return ladder is not None and held is not None and ladder.place(held.tier) >= ladder.place(item.tier)


def _is_delivered(state: PlayerState, item: ShopItem, rules: RuleIndex, now: datetime) -> bool:
    journey = rules.journeys.get(SHOP_ORDER)
    if journey is None or SHOP_ORDER in rules.closed:
        return False
    return state.refusal(journey, _event(item, "", now), now) is None


def _event(item: ShopItem, purchase_id: str, now: datetime) -> ItemPurchased:
    gives: Any = item.gives if isinstance(item.gives, RewardBase) else None
    return ItemPurchased(
        event_id=f"purchase:{purchase_id}",
        event_source="engine",
        occurred_at=now,
        purchase_id=purchase_id or "-",
        item=item.name,
        price=item.price,
        currency=item.paid_in.name,
        to_deliver=not item.settles_here,
        gives=gives,
    )


def _given_here(state: PlayerState, item: ShopItem, ref: str, now: datetime) -> list[PointTransfer]:
    if isinstance(item.gives, RewardBase):
        assert item.into is not None
        return state.award(item.into, item.gives, ref, now, product=item.product)
    state.present_with(item.gives, now)
    return []
