"""The table `shop_purchases`: what players bought, what it cost them and whether they have it.

Points and stock are taken in the transaction of the purchase, points and stock come back in the transaction that says
so; in between the journey `shop_order` delivers. A purchase is settled by what became of its run, whatever ended it.
"""

import hashlib
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, Final, Literal, NamedTuple

import orjson
from sqlalchemy import Row, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.intake.locked_players import LockedPlayers
from activities.loyalty_limits import give_back, house_gives, take_of
from activities.loyalty_tables import shop_purchases
from activities.tables import grants, tasks
from workflows.gate.facts import GrantFacts
from workflows.json_object import JsonObject
from workflows.loyalty.point_currencies import HOUSE_GIVES_NO_MORE
from workflows.loyalty.shop_items import ShopItem, stock_of
from workflows.player_state.purchases import Bought, buy, product_paid_with, purchase_refusal, redeem, refund
from workflows.player_state.state import PlayerState
from workflows.rewards import RewardBase

PurchaseState = Literal["reserved", "fulfilled", "refunded"]
#: Why points of a purchase came back, beside what the gate or the bonus engine says of its reward.
NOT_DELIVERED: Final = "not_delivered"
CANCELLED: Final = "cancelled"
#: How long after nobody could say what became of a purchase it is looked at again.
AGAIN_AFTER: Final = timedelta(seconds=30)
#: How long after it was bought, and then each time, it is asked whether a run ended without a word.
SLOWLY: Final = timedelta(minutes=5)
#: Asks the gate about a reward and writes down what it says; the reason where it refuses.
Gate = Callable[[GrantFacts], Awaitable[str | None]]


class Purchase(NamedTuple):
    """A row of `shop_purchases`."""

    id: str
    brand: str
    player_id: str
    item: str
    version: str
    currency: str
    state: PurchaseState
    price: int
    slices: dict[str, int]
    gives: JsonObject | None
    run_id: str | None
    reason: str | None
    at: datetime
    settled_at: datetime | None

    @property
    def ref(self) -> str:
        """How the journal calls it."""
        return f"{self.item} {self.id}"


PURCHASE_COLUMNS: Final = [shop_purchases.c[name] for name in Purchase._fields]


async def buy_item(
    connection: AsyncConnection,
    players: LockedPlayers,
    state: PlayerState,
    item: ShopItem | None,
    *,
    key: str,
    price: int,
    gate: Gate,
    now: datetime,
) -> JsonObject:
    """Sell an item to a player whose row is locked: the answer to the command, with the purchase written.

    What all players share, the stock and then the day's points of the house, is asked last, so that a hot row is held
    for no longer than a commit takes.
    """
    if item is None:
        return _refused("unknown")
    reason: str | None = purchase_refusal(state, item, players.rules, now, players.failures)
    if reason is None and price != item.price:
        reason = "price_changed"
    reason = reason or await gate(GrantFacts.of_item(item, product_paid_with(state, item, now)))
    if reason is not None:
        return _refused(reason)
    if item.stock is not None and not await take_of(connection, state.brand, stock_of(item.name), 1, most=item.stock):
        return _refused("out_of_stock")
    given = item.gives.awarded_points if isinstance(item.gives, RewardBase) and item.settles_here else 0
    if not await house_gives(connection, state.brand, item.into, state.player_id, given, now):
        await give_back(connection, state.brand, stock_of(item.name), 1)
        return _refused(HOUSE_GIVES_NO_MORE)
    purchase_id = hashlib.sha256(f"{state.brand}\x00{state.player_id}\x00{key}".encode()).hexdigest()[:24]
    bought = buy(state, item, purchase_id, players.rules, now, players.failures)
    players.record(state.player_id, bought.decisions)
    made = _row_of(state, item, purchase_id, bought, now)
    await connection.execute(_INSERT, made)
    return {"status": "done", "purchase_id": purchase_id, "state": made["state"], "points": item.price}


def _row_of(state: PlayerState, item: ShopItem, purchase_id: str, bought: Bought, now: datetime) -> dict[str, Any]:
    return {
        "id": purchase_id,
        "brand": state.brand,
        "player_id": state.player_id,
        "item": item.name,
        "version": item.version,
        "currency": item.paid_in.name,
        "state": "fulfilled" if item.settles_here else "reserved",
        "price": item.price,
        "slices": orjson.dumps(bought.slices).decode(),
        "gives": item.gives.model_dump_json() if isinstance(item.gives, RewardBase) else None,
        "run_id": bought.run_id,
        "due_at": None if item.settles_here else now + SLOWLY,
        "at": now,
        "settled_at": now if item.settles_here else None,
    }


async def cancel_purchase(
    connection: AsyncConnection, players: LockedPlayers, state: PlayerState, purchase_id: str, now: datetime
) -> JsonObject:
    """Stop the delivery of a player's purchase; its points come back as soon as it has stopped, unless it was done.

    The row remembers who wanted it, for what has ended meanwhile is not lengthened for whoever cancels.
    """
    found = await find_purchase(connection, state.brand, state.player_id, purchase_id)
    if found is None:
        return _refused("unknown")
    if found.state != "reserved" or found.run_id is None:
        return _refused("already_settled")
    if stopped := state.stop(found.run_id, CANCELLED, now):
        players.record(state.player_id, stopped)
        asked = update(shop_purchases).where(shop_purchases.c.id == found.id)
        await connection.execute(asked.values(reason=CANCELLED))
    return {"status": "done", "purchase_id": found.id, "state": found.state}


async def find_purchase(connection: AsyncConnection, brand: str, player_id: str, purchase_id: str) -> Purchase | None:
    """A player's purchase; None if there is none of this id."""
    mine = (shop_purchases.c.id == purchase_id, shop_purchases.c.brand == brand)
    chosen = select(*PURCHASE_COLUMNS).where(*mine, shop_purchases.c.player_id == player_id)
    row = (await connection.execute(chosen)).one_or_none()
    return None if row is None else Purchase(*row)


async def due_purchases(connection: AsyncConnection, now: datetime, limit: int) -> list[Purchase]:
    """Purchases that are open although the run that delivers them is over, the longest waiting first.

    `run_is_over` makes one due. The slow look here is for a run that ended without it; one that is under way is not
    looked at again before `SLOWLY`.
    """
    await connection.execute(_UNDER_WAY, {"now": now, "later": now + SLOWLY})
    rows = await connection.execute(_DUE, {"now": now, "limit": limit})
    return [_purchase(row) for row in rows]


async def settle(
    connection: AsyncConnection, players: LockedPlayers, purchase: Purchase, now: datetime
) -> PurchaseState | None:
    """Settle an open purchase whose buyer is locked, with the account that theirs was merged into; what it came to.

    None where somebody else has settled it, or nobody can say yet what became of its reward.
    """
    locked = select(shop_purchases.c.state).where(shop_purchases.c.id == purchase.id).with_for_update()
    if await connection.scalar(locked) != "reserved":
        return None
    buyer = players.states.get(purchase.player_id)
    into = None if buyer is None else players.states.get(buyer.merged_into or buyer.player_id)
    came = await _what_came(connection, purchase)
    if buyer is None or into is None or came is None:
        await put_off(connection, purchase.id, now)
        return None
    (delivered, reason), paid = came, purchase.settled_at is not None
    reason = reason if delivered else purchase.reason or reason
    if delivered and not paid:
        players.record(buyer.player_id, redeem(buyer, purchase.currency, purchase.price, purchase.ref, now))
    elif not delivered:
        await _give_all_back(connection, players, purchase, buyer, into, now, paid=paid)
    state: PurchaseState = "fulfilled" if delivered else "refunded"
    await _close(connection, purchase, state, reason, now)
    return state


async def put_off(connection: AsyncConnection, purchase_id: str, now: datetime) -> None:
    """Look at a purchase again in a while; of one that is settled nothing."""
    mine = (shop_purchases.c.id == purchase_id, shop_purchases.c.state == "reserved")
    await connection.execute(update(shop_purchases).where(*mine).values(due_at=now + AGAIN_AFTER))


async def run_is_over(connection: AsyncConnection, brand: str, player_id: str, run_id: str, now: datetime) -> None:
    """Have the purchase settled that a run was to deliver, in the transaction that writes its end."""
    mine = (shop_purchases.c.brand == brand, shop_purchases.c.player_id == player_id)
    over = update(shop_purchases).where(*mine, shop_purchases.c.run_id == run_id, shop_purchases.c.state == "reserved")
    await connection.execute(over.values(due_at=now))


async def _give_all_back(
    connection: AsyncConnection,
    players: LockedPlayers,
    purchase: Purchase,
    buyer: PlayerState,
    into: PlayerState,
    now: datetime,
    *,
    paid: bool = False,
) -> None:
    """Points to their slices, and the item into the stock."""
    moved = refund(
        buyer,
        into,
        purchase.item,
        purchase.currency,
        purchase.slices,
        purchase.ref,
        now,
        at=purchase.at,
        paid=paid,
        cancelled=purchase.reason == CANCELLED,
    )
    for account, transfer in moved:
        players.record(account, [transfer])
    await give_back(connection, purchase.brand, stock_of(purchase.item), 1)


async def _close(
    connection: AsyncConnection, purchase: Purchase, state: PurchaseState, reason: str | None, now: datetime
) -> None:
    closed = update(shop_purchases).where(shop_purchases.c.id == purchase.id)
    await connection.execute(closed.values(state=state, reason=reason, settled_at=now, due_at=None))


async def _what_came(connection: AsyncConnection, purchase: Purchase) -> tuple[bool, str | None] | None:
    """Whether what was bought reached the player, and why not; None while a grant of it is in doubt."""
    whose = {"brand": purchase.brand, "player_id": purchase.player_id, "run_id": purchase.run_id}
    given = select(grants.c.status, grants.c.reason).where(*(grants.c[name] == one for name, one in whose.items()))
    for status, reason in await connection.execute(given.order_by(grants.c.created_at.desc()).limit(1)):
        if status in {"reserved", "unknown"}:
            return None
        return status == "confirmed", reason
    asked = select(tasks.c.answer["outcome"].astext).where(
        *(tasks.c[name] == one for name, one in whose.items()), tasks.c.state == "completed"
    )
    outcome = await connection.scalar(asked.order_by(tasks.c.closed_at.desc()).limit(1))
    return (True, None) if outcome == "sent" else (False, outcome or NOT_DELIVERED)


async def look_again(connection: AsyncConnection, brand: str, player_id: str, run_id: str, now: datetime) -> None:
    """Have a purchase looked at again whose reward was taken back: it keeps its `settled_at`, for it is paid."""
    mine = (shop_purchases.c.brand == brand, shop_purchases.c.player_id == player_id)
    paid = update(shop_purchases).where(*mine, shop_purchases.c.run_id == run_id, shop_purchases.c.state == "fulfilled")
    await connection.execute(paid.values(state="reserved", due_at=now))


def accounts_of(purchase: Purchase, merged_into: str | None) -> Iterable[str]:
    """Whose rows are locked to settle it."""
    return {purchase.player_id, merged_into or purchase.player_id}


def _purchase(row: Row[Any]) -> Purchase:
    return Purchase(*(getattr(row, name) for name in Purchase._fields))


def _refused(reason: str) -> JsonObject:
    return {"status": "refused", "reason": reason}


_INSERT: Final = text(
    """
    INSERT INTO shop_purchases
        (id, brand, player_id, item, version, currency, state, price, slices, gives, run_id, due_at, at, settled_at)
    VALUES (:id, :brand, :player_id, :item, :version, :currency, :state, :price, CAST(:slices AS jsonb),
            CAST(:gives AS jsonb), :run_id, :due_at, :at, :settled_at)
    """
)
_UNDER_WAY: Final = text(
    """
    UPDATE shop_purchases p SET due_at = :later FROM runs r
    WHERE r.id = p.run_id AND r.state <> 'ended' AND p.state = 'reserved' AND p.due_at <= :now
    """
)
_DUE: Final = text(
    """
    SELECT p.* FROM shop_purchases p LEFT JOIN runs r ON r.id = p.run_id
    WHERE p.state = 'reserved' AND p.due_at <= :now AND coalesce(r.state, 'ended') = 'ended'
    ORDER BY p.due_at LIMIT :limit
    """
)
