"""Events that could not be applied to their player: looked at by people and, once the cause is gone, tried again."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import select

from activities.intake import failed_events as failed
from activities.intake.receipts import Kept
from activities.tables import failed_events
from api.dependencies import ApiEngine, EngineOf
from api.pagination import Filter, Page, PageQuery
from api.permissions import Key, needs
from api.problems import COMMON
from workflows.errors import UnknownEventType
from workflows.events import Event
from workflows.player_state.state import Mode

router = APIRouter(prefix="/v1/failed-events", tags=["failed events"])

#: Events one call tries again.
AT_ONCE = 100

Managing = Annotated[Key, needs("journeys:manage")]


class FailedEvent(BaseModel):
    """An event that was taken in and has caused nothing. What it says is left out: it may be personal."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "id": 3,
                    "player_id": "p-1001",
                    "source": "/cashier",
                    "event_id": "d-20931",
                    "error": "ValidationError: 1 validation error for PlayerState",
                    "at": "2026-01-15T12:00:00Z",
                }
            ]
        },
    )

    id: int
    player_id: str
    source: str
    event_id: str
    error: str = Field(description="What was raised; the log of the API has the traceback.")
    at: datetime
    retried_at: datetime | None = None


class FailedEventsRetried(BaseModel):
    """How many were applied by this call, how many failed again, and how many are left."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"applied": 12, "failed": 1, "left": 1}]})

    applied: int
    failed: int
    left: int


class FailedEventQuery(PageQuery):
    """Which failed events."""

    player: Filter | None = None
    retried: bool | None = None


@router.get("", responses=COMMON)
async def list_failed_events(
    engine: EngineOf, key: Managing, query: Annotated[FailedEventQuery, Query()]
) -> Page[FailedEvent]:
    """Events that could not be applied to their player, the newest first."""
    chosen = select(failed_events).where(failed_events.c.brand == key.brand)
    if query.player is not None:
        chosen = chosen.where(failed_events.c.player_id == query.player)
    if query.retried is not None:
        chosen = chosen.where(failed_events.c.retried_at.is_not(None) == query.retried)
    after = query.after(key.brand, int)
    if after is not None:
        chosen = chosen.where(failed_events.c.id < after[0])
    async with engine.database.reading() as connection:
        rows = (await connection.execute(chosen.order_by(failed_events.c.id.desc()).limit(query.size + 1))).all()
    kept, token = query.page(key.brand, rows, lambda row: (row.id,))
    return Page(items=[FailedEvent.model_validate(row) for row in kept], next_page_token=token)


@router.post("/retry", status_code=202, responses=COMMON)
async def retry_failed_events(engine: EngineOf, key: Managing) -> FailedEventsRetried:
    """Apply failed events again, up to a hundred in one call, those first that failed longest ago; some may stay.

    An event that its sender has sent again meanwhile and that was applied then is applied no second time. Nothing is
    tried while more events come than can be taken in; call it again.
    """
    async with engine.database.transaction() as connection:
        rows = await failed.lock_untried(connection, key.brand, AT_ONCE)
    done = [row.id for row in rows if await _is_applied(engine, row)]
    async with engine.database.transaction() as connection:
        await failed.mark_retried(connection, done, engine.clock())
        left = await failed.count_untried(connection, key.brand)
    return FailedEventsRetried(applied=len(done), failed=len(rows) - len(done), left=left)


async def _is_applied(engine: ApiEngine, row: failed.FailedEventRow) -> bool:
    try:
        event = Event.from_wire(row.event)
    except (UnknownEventType, ValidationError):
        return False  # a release that can read it has to be deployed first
    mode: Mode = "history" if row.history else "live"
    told = [(row.player_id, event)]
    (receipt,) = await engine.intake.ingest(row.brand, told, engine.clock(), mode=mode, key_id=row.key_id)
    return receipt != "later" and not isinstance(receipt, Kept)
