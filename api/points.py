"""A player's points: what may be spent, what is owed, and every movement with its cause."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from activities.point_transfers import statement
from activities.tables import players
from api.dependencies import EngineOf
from api.pagination import Page, PageQuery
from api.permissions import Key, needs
from api.problems import COMMON, documented, missing
from workflows.loyalty.point_account import PointAccount
from workflows.loyalty.point_lots import end_of_lot, product_of_lot
from workflows.loyalty.point_transfers import PointTransfer, statement_words
from workflows.player_state.state import PlayerState

router = APIRouter(prefix="/v1/players", tags=["players"])

Reading = Annotated[Key, needs("players:read")]


class LotView(BaseModel):
    """Points that expire together; no `expires_at` means never, no `product` that any may use them."""

    points: int
    product: str | None = None
    expires_at: datetime | None = None


class MultiplierView(BaseModel):
    """Points of what happens in this time count `factor_pct` percent."""

    since: datetime
    until: datetime
    factor_pct: int
    games: list[str] = Field(default_factory=list)


class PointBalance(BaseModel):
    """A player's points of one currency, in whole points."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "currency": "points",
                    "available": 1_250,
                    "debt": 0,
                    "unposted": 12,
                    "ever": 4_000,
                    "lots": [{"points": 1_250, "product": "casino", "expires_at": "2026-04-16T22:00:00Z"}],
                    "multipliers": [],
                }
            ]
        }
    )

    currency: str
    available: int = Field(description="What may be spent.")
    debt: int = Field(description="What was taken back after it had been spent; later earnings pay it first.")
    unposted: int = Field(description="Of `available`: earned within the hour, and not in the statement yet.")
    ever: int = Field(description="All points that ever came to the player, without what was taken back.")
    lots: list[LotView] = Field(description="What is available, the earliest end first.")
    multipliers: list[MultiplierView]

    @classmethod
    def of(cls, name: str, account: PointAccount, now: datetime) -> "PointBalance":
        """The balance of an account."""
        lots = [
            LotView(points=points, product=product_of_lot(key), expires_at=end_of_lot(key))
            for key, points in account.lots.items()
        ]
        lots.sort(key=lambda lot: (lot.expires_at is None, lot.expires_at or now, lot.product or ""))
        return cls(
            currency=name,
            available=account.available,
            debt=account.debt,
            unposted=account.unposted,
            ever=account.ever,
            lots=lots,
            multipliers=[
                MultiplierView(since=one.since, until=one.until, factor_pct=one.factor, games=[*one.games])
                for one in account.windows
                if one.until > now
            ],
        )


class StatementLine(BaseModel):
    """One movement: points left `debit` and came to `credit`; `cause` and `ref` say why."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "number": 12,
                    "at": "2026-01-15T13:00:00Z",
                    "change": 40,
                    "amount": 40,
                    "debit": "issued:wager",
                    "credit": "available",
                    "cause": "wager",
                    "ref": "game.round_completed:stake_minor",
                    "words": "40 points earned by game.round_completed:stake_minor",
                }
            ]
        }
    )

    number: int
    at: datetime
    change: int = Field(description="What it did to `available`.")
    amount: int
    debit: str
    credit: str
    cause: str
    ref: str
    words: str

    @classmethod
    def of(cls, one: PointTransfer) -> "StatementLine":
        """The line of a transfer."""
        return cls(
            number=one.number,
            at=one.at,
            change=one.amount * ((one.credit == "available") - (one.debit == "available")),
            amount=one.amount,
            debit=one.debit,
            credit=one.credit,
            cause=one.cause,
            ref=one.ref,
            words=statement_words(one),
        )


@router.get("/{player_id}/points", responses={**COMMON, **documented(404)})
async def get_points(player_id: str, engine: EngineOf, key: Reading) -> list[PointBalance]:
    """The player's points, by currency; an empty list for a player who never earned any."""
    mine = (players.c.brand == key.brand, players.c.id == player_id)
    async with engine.database.reading() as connection:
        row = (await connection.execute(select(players.c.state).where(*mine))).one_or_none()
    if row is None:
        raise missing("player")
    loyalty = PlayerState.from_json(key.brand, player_id, row.state).loyalty
    accounts = {} if loyalty is None else loyalty.points
    return [PointBalance.of(name, accounts[name], engine.clock()) for name in sorted(accounts)]


@router.get("/{player_id}/points/{currency}", responses={**COMMON, **documented(404)})
async def get_statement(
    player_id: str, currency: str, engine: EngineOf, key: Reading, query: Annotated[PageQuery, Query()]
) -> Page[StatementLine]:
    """Every movement of a player's points of a currency, the newest first."""
    whose = f"{key.brand}/{player_id}/{currency}"
    before = query.after(whose, int)
    mine = (players.c.brand == key.brand, players.c.id == player_id)
    async with engine.database.reading() as connection:
        if (await connection.execute(select(players.c.id).where(*mine))).first() is None:
            raise missing("player")
        lines = await statement(
            connection,
            key.brand,
            player_id,
            currency=currency,
            before=None if before is None else int(before[0]),
            limit=query.size + 1,
        )
    page, token = query.page(whose, lines, lambda line: (line.number,))
    return Page(items=[StatementLine.of(line) for line in page], next_page_token=token)
