"""Who did what and who looked: the trail's entries, and why a message was sent."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select, tuple_

from activities.audit.lines import why_sent
from activities.tables import audit_entries
from api.dependencies import EngineOf
from api.pagination import Filter, Moment, Page, PageQuery, where_given
from api.permissions import Key, needs
from api.problems import COMMON, documented, missing
from workflows.json_object import JsonObject

router = APIRouter(prefix="/v1/audit", tags=["audit"])

Reading = Annotated[Key, needs("audit:read")]


class AuditEntry(BaseModel):
    """Something that somebody did, or looked at."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "at": "2026-01-15T12:00:00Z",
                    "kind": "change",
                    "action": "complete_task",
                    "object": "5f1c0e7a9b3d4c2e8f60a1b2",
                    "player_id": "p-1001",
                    "actor": "olena@example.com",
                    "actor_kind": "person",
                    "actor_id": "person_2f6c0a93be27d41e",
                    "key_id": "9f86d081884c7d65",
                    "lane": 3,
                    "n": 1201,
                }
            ]
        },
    )

    at: datetime
    kind: Literal["change", "read"]
    action: str = Field(description="The operation, as this document calls it, or a command.")
    object: str | None = Field(None, description="What it was done to.")
    player_id: str | None = None
    actor: str
    actor_kind: str
    actor_id: str
    key_id: str | None = None
    request_id: str | None = None
    detail: JsonObject = Field(default_factory=dict)
    lane: int = Field(description="The chain it stands in, of the brand's eight.")
    n: int = Field(description="Its place in that chain.")


class AuditQuery(PageQuery):
    """Which entries."""

    player: Filter | None = None
    actor: Filter | None = Field(None, description="A person's or a key's id.")
    action: Filter | None = None
    kind: Literal["change", "read"] | None = None
    since: Moment | None = None
    until: Moment | None = None


@router.get("", responses=COMMON)
async def list_audit(engine: EngineOf, key: Reading, query: Annotated[AuditQuery, Query()]) -> Page[AuditEntry]:
    """The trail of the key's brand, the newest first. Reading it is in it."""
    row = audit_entries.c
    chosen = where_given(
        select(audit_entries).where(row.brand == key.brand),
        (row.player_id, query.player),
        (row.actor_id, query.actor),
        (row.action, query.action),
        (row.kind, query.kind),
    )
    if query.since is not None:
        chosen = chosen.where(row.at >= query.since)
    if query.until is not None:
        chosen = chosen.where(row.at < query.until)
    after = query.after(key.brand, datetime, int, int)
    if after is not None:
        chosen = chosen.where(tuple_(row.at, row.lane, row.n) < after)
    chosen = chosen.order_by(row.at.desc(), row.lane.desc(), row.n.desc()).limit(query.size + 1)
    async with engine.database.reading() as connection:
        rows = (await connection.execute(chosen)).all()
    page, token = query.page(key.brand, rows, lambda one: (one.at, one.lane, one.n))
    return Page(items=[AuditEntry.model_validate(one) for one in page], next_page_token=token)


@router.get("/messages/{message_id:path}", responses={**COMMON, **documented(404)})
async def why_message(message_id: str, engine: EngineOf, key: Reading) -> JsonObject:
    """Why a message was sent, or was not: its run and what caused it, and each answer of the gate with what it saw."""
    async with engine.database.reading() as connection:
        why = await why_sent(connection, key.brand, message_id)
    if why is None:
        raise missing("message")
    return why
