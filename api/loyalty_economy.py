"""What a brand's points come to, month by month, from the journal."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from activities.point_economy import flows
from api.dependencies import EngineOf
from api.permissions import Key, needs
from api.problems import COMMON
from workflows.loyalty.point_economy import MonthOfPoints, months_of

router = APIRouter(prefix="/v1/loyalty", tags=["loyalty"])

Reading = Annotated[Key, needs("players:read", "journeys:manage")]


class MonthView(BaseModel):
    """A month of a currency, in whole points; the present one as it was counted last, at most some minutes ago."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "currency": "points",
                    "month": "2026-01-01",
                    "issued": 120_000,
                    "redeemed": 40_000,
                    "expired": 10_000,
                    "taken_back": 500,
                    "liability": 310_000,
                    "active_players": 800,
                    "breakage_pct": 20.0,
                    "inflation_pct": 28.9,
                    "cost_per_active_player": 50.0,
                }
            ]
        }
    )

    currency: str
    month: date = Field(description="Its first day, in UTC.")
    issued: int
    redeemed: int = Field(description="Paid for purchases, less what came back.")
    expired: int
    taken_back: int
    liability: int = Field(description="What players have at its end: available and held, less what they owe.")
    active_players: int = Field(description="Who earned by playing.")
    breakage_pct: float | None = Field(None, description="Of what left players' hands, how much expired.")
    inflation_pct: float | None = Field(None, description="How much more players have than a month before.")
    cost_per_active_player: float | None = Field(None, description="Points redeemed for each active player.")

    @classmethod
    def of(cls, one: MonthOfPoints) -> "MonthView":
        """As it is shown."""
        return cls(**{name: getattr(one, name) for name in cls.model_fields})


class MonthsQuery(BaseModel):
    """How far back."""

    model_config = ConfigDict(extra="forbid")

    months: int = Field(12, ge=1, le=120, description="So many months, the newest last.")


class EconomyView(BaseModel):
    """The months of every currency, the newest last."""

    items: list[MonthView]


@router.get("/economy", responses=COMMON)
async def get_economy(engine: EngineOf, key: Reading, query: Annotated[MonthsQuery, Query()]) -> EconomyView:
    """What the points of the brand come to, by currency and month, the newest last."""
    async with engine.database.reading() as connection:
        told = months_of(await flows(connection, key.brand))
    shown = sorted({one.month for one in told})[-query.months :]
    return EconomyView(items=[MonthView.of(one) for one in told if one.month in shown])
