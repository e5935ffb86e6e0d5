"""API keys of a brand, to look at: what each may do, and when it was used. Their owner makes and revokes them."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from activities.tables import api_keys
from api.dependencies import EngineOf
from api.pagination import Page, PageQuery
from api.permissions import Key, needs
from api.problems import COMMON

router = APIRouter(prefix="/v1/keys", tags=["people"])

Reading = Annotated[Key, needs("people:manage", "audit:read")]


class KeyView(BaseModel):
    """An API key without its secret, which nobody can show."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "id": "9f86d081884c7d65",
                    "name": "cashier",
                    "scopes": ["events:write"],
                    "sources": ["/cashier"],
                    "created_at": "2026-01-15T12:00:00Z",
                    "last_used_at": "2026-01-16T09:30:00Z",
                }
            ]
        },
    )

    id: str
    name: str
    scopes: list[str]
    sources: list[str] = Field([], description="Under which it may send events; none: any.")
    teams: list[str] = Field([], description="Whose tasks it may work on; none: any team's.")
    skills: list[str] = []
    created_at: datetime
    created_by: str | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    revoked_by: str | None = None
    last_used_at: datetime | None = Field(None, description="Within a minute or so.")


class KeyQuery(PageQuery):
    """Which page of the keys."""


@router.get("", responses=COMMON)
async def list_keys(engine: EngineOf, key: Reading, query: Annotated[KeyQuery, Query()]) -> Page[KeyView]:
    """The brand's keys, the newest first, those that were revoked too."""
    row = api_keys.c
    shown = [row[name] for name in KeyView.model_fields]
    chosen = query.newest_first(select(*shown).where(row.brand == key.brand), key.brand, row.created_at, row.id)
    async with engine.database.reading() as connection:
        rows = (await connection.execute(chosen)).all()
    page, token = query.page(key.brand, rows, lambda one: (one.created_at, one.id))
    return Page(items=[KeyView.model_validate(one) for one in page], next_page_token=token)
