"""The shop as a player's own browser has it, and what operators see of purchases.

What is shown and what may be bought are two things: an item that is seen and not sold says why, in a word that a
program can read.
"""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities import gate_facts
from activities.loyalty_limits import used_of
from activities.loyalty_tables import shop_purchases
from activities.player_commands import PlayerCommand
from activities.shop_purchases import PURCHASE_COLUMNS, Purchase
from activities.tables import players
from api.dependencies import ApiEngine, EngineOf
from api.pagination import Page, PageQuery
from api.permissions import Key, needs
from api.player_requests import IfNoneMatch, Player, Pressed, PressKey, answer, me, player_of, press
from api.problems import COMMON, documented, missing
from workflows.field_types import Whole
from workflows.gate.decide import may_grant
from workflows.gate.decision import Refusal
from workflows.gate.facts import GateFacts, GrantFacts
from workflows.json_object import JsonObject
from workflows.loyalty.point_currencies import MOST_A_DAY
from workflows.loyalty.shop_items import ShopItem, stock_of
from workflows.player_state.purchases import product_paid_with, purchase_refusal, times_bought
from workflows.player_state.state import PlayerState
from workflows.rewards import RewardBase

router = APIRouter(prefix="/v1/me", tags=["loyalty"])
operator = APIRouter(prefix="/v1/players", tags=["players"])

Reading = Annotated[Key, needs("players:read")]


class ShopItemView(BaseModel):
    """An item as the player sees it; `reason` says why it is not sold to them now."""

    id: str = Field(examples=["mug"])
    kind: str = Field(examples=["gift"])
    gives: JsonObject = Field(description="The reward, with its terms; of a badge or a piece its name.")
    price: int
    currency: str
    version: str
    stock_left: int | None = Field(None, description="Absent: there is always one more.")
    most_each: int | None = Field(None, description="So many a player, in all or `per` period.")
    per: str | None = None
    bought: int = Field(0, description="In the present period.")
    tier: str | None = None
    opens_at: datetime | None = None
    closes_at: datetime | None = None
    can_buy: bool
    reason: str | None = Field(None, examples=["not_enough_points"])


class PurchaseBody(BaseModel):
    """What the player was shown that it costs: nobody pays another price."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"price": 2000}]})

    price: Annotated[int, Field(ge=1, le=MOST_A_DAY), Whole]


class BoughtView(Pressed):
    """What a purchase came to: `fulfilled` at once, or `reserved` until it is delivered."""

    purchase_id: str
    state: str = Field(examples=["reserved"])


class PurchaseView(BaseModel):
    """A purchase: `reserved`, then `fulfilled`, or `refunded` with a reason."""

    id: str
    item: str
    state: str
    price: int
    currency: str
    version: str
    gives: JsonObject | None = None
    reason: str | None = None
    at: datetime
    settled_at: datetime | None = None

    @classmethod
    def of(cls, one: Purchase) -> "PurchaseView":
        """As it is shown."""
        return cls(**{name: getattr(one, name) for name in cls.model_fields})


@router.get("/shop", response_model=list[ShopItemView], responses=COMMON)
async def my_shop(engine: EngineOf, key: Player, if_none_match: IfNoneMatch = None) -> Response:
    """What the shop shows the player; nothing while the player is protected or out."""
    state, now = await me(engine, key)
    items = [] if state.left_alone(now) else list(engine.intake.rules.loyalty.shop.values())
    if not items:
        return answer([], if_none_match)
    async with engine.database.reading() as connection:
        presumed = engine.commands.registers.presumed(now)
        found = await gate_facts.read_receivers(
            connection, key.brand, [state.player_id], now, policies=engine.policies, said=lambda _player: presumed
        )
        used = await used_of(connection, key.brand, [stock_of(one.name) for one in items])
    facts = found[state.player_id].facts if found else None
    views = [_item_view(engine, one, state, facts, used.get(stock_of(one.name), 0), now) for one in items]
    return answer([view for view in views if view.reason != "not_visible"], if_none_match)


@router.post("/shop/{item_id}/purchases", responses={**COMMON, **documented(404, 409, 429)})
async def buy_item(
    item_id: str, body: PurchaseBody, engine: EngineOf, key: Player, idempotency_key: PressKey
) -> BoughtView:
    """Buy an item for the price that was shown. Points and stock are taken, or neither."""
    command = PlayerCommand(key.brand, player_of(key), idempotency_key, "buy", item_id, price=body.price)
    return BoughtView.model_validate(await press(engine, key, command))


@router.get("/purchases", responses=COMMON)
async def my_purchases(engine: EngineOf, key: Player, query: Annotated[PageQuery, Query()]) -> Page[PurchaseView]:
    """What the player bought, the newest first."""
    async with engine.database.reading() as connection:
        return await _purchases(connection, key.brand, player_of(key), query)


@router.post("/purchases/{purchase_id}/cancel", responses={**COMMON, **documented(404, 409, 429)})
async def cancel_purchase(purchase_id: str, engine: EngineOf, key: Player, idempotency_key: PressKey) -> BoughtView:
    """Stop what is not delivered yet: the points come back in a moment, unless it was on its way already."""
    command = PlayerCommand(key.brand, player_of(key), idempotency_key, "cancel", purchase_id)
    return BoughtView.model_validate(await press(engine, key, command))


@operator.get("/{player_id}/purchases", responses={**COMMON, **documented(404)})
async def get_purchases(
    player_id: str, engine: EngineOf, key: Reading, query: Annotated[PageQuery, Query()]
) -> Page[PurchaseView]:
    """What a player bought, the newest first."""
    mine = (players.c.brand == key.brand, players.c.id == player_id)
    async with engine.database.reading() as connection:
        if (await connection.execute(select(players.c.id).where(*mine))).first() is None:
            raise missing("player")
        return await _purchases(connection, key.brand, player_id, query)


async def _purchases(connection: AsyncConnection, brand: str, player_id: str, query: PageQuery) -> Page[PurchaseView]:
    whose = f"{brand}/{player_id}/purchases"
    mine = (shop_purchases.c.brand == brand, shop_purchases.c.player_id == player_id)
    chosen = query.newest_first(select(*PURCHASE_COLUMNS).where(*mine), whose, shop_purchases.c.at, shop_purchases.c.id)
    rows = [Purchase(*row) for row in await connection.execute(chosen)]
    page, token = query.page(whose, rows, lambda one: (one.at, one.id))
    return Page(items=[PurchaseView.of(one) for one in page], next_page_token=token)


def _item_view(
    engine: ApiEngine, item: ShopItem, state: PlayerState, facts: GateFacts | None, used: int, now: datetime
) -> ShopItemView:
    reason: str | None = purchase_refusal(state, item, engine.intake.rules, now, [])
    left = None if item.stock is None else max(0, item.stock - used)
    if reason is None:
        decision = may_grant(
            facts,
            GrantFacts.of_item(item, product_paid_with(state, item, now)),
            engine.policies.of(state.brand, facts, now),
            now,
        )
        reason = str(decision.reason) if isinstance(decision, Refusal) else None
    if reason is None and left == 0:
        reason = "out_of_stock"
    gives = item.gives
    shown: JsonObject = gives.model_dump(mode="json") if isinstance(gives, RewardBase) else {"name": gives.name}
    return ShopItemView(
        id=item.name,
        kind=item.kind,
        gives=shown,
        price=item.price,
        currency=item.paid_in.name,
        version=item.version,
        stock_left=left,
        most_each=item.each or None,
        per=None if item.per is None else item.per.name,
        bought=times_bought(state, item, now) if item.each else 0,
        tier=item.tier or None,
        opens_at=item.since,
        closes_at=item.until,
        can_buy=reason is None,
        reason=reason,
    )
