"""Grants of rewards: confirmed, refused, and those whose outcome nobody knows yet."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from activities.tables import grants
from api.dependencies import EngineOf
from api.pagination import Filter, Page, PageQuery, where_given
from api.permissions import Key, needs
from api.problems import COMMON, documented, missing
from workflows.json_object import JsonObject
from workflows.player_state.decisions import GrantStage

router = APIRouter(prefix="/v1/grants", tags=["grants"])

Reading = Annotated[Key, needs("players:read", "journeys:manage")]
Status = Literal["reserved", "confirmed", "refused", "unknown", "revoked"]


class GrantView(BaseModel):
    """A reward a journey gave: `status` says whether it was given, `stage` what has become of it since.

    `unknown`: the bonus engine never answered; it is being looked up, and after 15 minutes people are asked.

    `revoked`: an offer that was taken back before the player took it.
    """

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "id": "welcome:acme:p-1001:6f1c0a93be27/grant:free_spins#1",
                    "player_id": "p-1001",
                    "run_id": "welcome:acme:p-1001:6f1c0a93be27",
                    "journey": "welcome",
                    "step": "grant:free_spins#1",
                    "kind": "free_spins",
                    "reward": {"kind": "free_spins", "count": 10},
                    "status": "confirmed",
                    "decision": {"rule": None},
                    "provider_ref": "be-42",
                    "created_at": "2026-01-15T12:00:00Z",
                }
            ]
        },
    )

    id: str = Field(description="Also the Idempotency-Key the bonus engine was given. Percent-encode it in a path.")
    player_id: str
    run_id: str
    journey: str
    step: str
    kind: str
    reward: JsonObject
    status: Status
    reason: str | None = None
    decision: JsonObject = Field(description="Which rule of the gate spoke, and what it saw.")
    provider_ref: str | None = None
    reserved_at: datetime | None = None
    asked_at: datetime | None = None
    resolved_at: datetime | None = None
    revoke_due: datetime | None = Field(None, description="When the engine is asked next to take the reward back.")
    revoke_reason: str | None = Field(
        None,
        description="Why it is to be taken back; `confirmed` without a `revoke_due`: it was used already.",
    )
    stage: GrantStage | None = Field(
        None, description="How far the reward has come since, by the bonus engine's events; null: nothing was told yet."
    )
    stage_at: datetime | None = None
    stage_reason: str | None = None
    value_minor: int | None = Field(None, description="What budgets count of it, in minor units of `currency`.")
    currency: str | None = Field(None, description="The wallet's when it was given.")
    told_currency: str | None = Field(None, description="Of what the engine told, where it named one; else `currency`.")
    worth_minor: int | None = Field(None, description="What the engine says that it is worth.")
    wager_required_minor: int | None = None
    wagered_minor: int | None = None
    converted_minor: int | None = Field(None, description="What became the player's real money.")
    cost_minor: int | None = Field(None, description="What it cost the operator in the end.")
    expires_at: datetime | None = None
    created_at: datetime


class GrantQuery(PageQuery):
    """Which grants."""

    status: Status | None = None
    player: Filter | None = None
    run: Filter | None = None
    journey: Filter | None = None
    kind: Filter | None = None
    stage: GrantStage | None = None


@router.get("", responses=COMMON)
async def list_grants(engine: EngineOf, key: Reading, query: Annotated[GrantQuery, Query()]) -> Page[GrantView]:
    """Grants, the newest first. `status=unknown` is what somebody should look at."""
    chosen = where_given(
        select(grants).where(grants.c.brand == key.brand),
        (grants.c.status, query.status),
        (grants.c.player_id, query.player),
        (grants.c.run_id, query.run),
        (grants.c.journey, query.journey),
        (grants.c.kind, query.kind),
        (grants.c.stage, query.stage),
    )
    chosen = query.newest_first(chosen, key.brand, grants.c.created_at, grants.c.id)
    async with engine.database.reading() as connection:
        rows = (await connection.execute(chosen)).all()
    page, token = query.page(key.brand, rows, lambda row: (row.created_at, row.id))
    return Page(items=[GrantView.model_validate(row) for row in page], next_page_token=token)


@router.get("/{grant_id:path}", responses={**COMMON, **documented(404)})
async def get_grant(grant_id: str, engine: EngineOf, key: Reading) -> GrantView:
    """One grant."""
    async with engine.database.reading() as connection:
        query = select(grants).where(grants.c.id == grant_id, grants.c.brand == key.brand)
        row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise missing("grant")
    return GrantView.model_validate(row)
