"""Pop-ups: what opens before a player who is on the site, at once or never."""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row, select

from activities import gate_facts
from activities.tables import messages
from api.database import in_time
from api.dependencies import ApiEngine, EngineOf
from api.events import COMMIT_TIMEOUT
from api.messages import ShownRow, is_shown
from api.permissions import Key, needs
from api.player_requests import Player, player_of
from api.problems import COMMON, busy, documented, missing
from workflows.channels import CHANNELS, POPUP
from workflows.events import MessageStatus

mine = APIRouter(prefix="/v1/me/popups", tags=["messages"])
router = APIRouter(prefix="/v1/players/{player_id}/popups", tags=["players"])

#: Pop-ups that wait at a time; more would only hide the page.
MOST: Final = 10
_SHOWN_FOR: Final = CHANNELS[POPUP].shown_for or timedelta(0)
_SOURCE: Final = "api:popups"


class Popup(BaseModel):
    """A pop-up, as the site shows it. It is gone when it was seen, and at `until` in any case."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "failed_deposit:acme:p-1001:6f1c0a93be27/send:deposit-help#1/popup",
                    "template": "deposit-help",
                    "message_class": "service",
                    "language": "uk",
                    "title": "Допомогти?",
                    "body": "…",
                    "until": "2026-01-15T12:10:00Z",
                }
            ]
        }
    )

    id: str = Field(description="Percent-encode it in a path: it holds `/` and `#`.")
    template: str
    message_class: str
    language: str | None = None
    title: str | None = None
    body: str
    until: datetime


class PopupList(BaseModel):
    """What is to be shown now, the newest first."""

    items: list[Popup]


@mine.get("", responses=COMMON)
async def my_popups(engine: EngineOf, key: Player) -> PopupList:
    """What is to open before the player now, the newest first. Asking changes nothing: tell when it was seen."""
    return PopupList(items=await waiting_popups(engine, key.brand, player_of(key)))


@router.get("", responses={**COMMON, **documented(404)})
async def list_popups(player_id: str, engine: EngineOf, key: Annotated[Key, needs("inbox:read")]) -> PopupList:
    """The same for a site that asks for its players. It tells that one was seen by the event `message.status`."""
    async with engine.database.reading() as connection:
        if await gate_facts.read_to_show(connection, key.brand, player_id, engine.clock()) is None:
            raise missing("player")
    return PopupList(items=await waiting_popups(engine, key.brand, player_id))


@mine.post(
    "/{message_id:path}/{what}", status_code=204, response_class=Response, responses={**COMMON, **documented(404, 429)}
)
async def tell_of_popup(message_id: str, what: Literal["seen", "clicked"], engine: EngineOf, key: Player) -> Response:
    """Tell that the player saw a pop-up, or clicked on it; the first time counts. It is shown no more."""
    engine.presses.take(key)
    async with engine.database.reading() as connection:
        asked = select(messages.c.id).where(*_of(key.brand, player_of(key)), messages.c.id == message_id)
        if (await connection.execute(asked)).one_or_none() is None:
            raise missing("message")
    now = engine.clock()
    status = "opened" if what == "seen" else "clicked"
    name = hashlib.sha256(f"{message_id}\n{status}".encode()).hexdigest()[:40]
    told = MessageStatus.model_validate(
        {
            "event_id": f"popup/{name}",
            "event_source": _SOURCE,
            "occurred_at": now,
            "message_id": message_id,
            "channel": POPUP,
            "status": status,
        }
    )
    if "later" in await in_time(engine.intake.ingest(key.brand, [(player_of(key), told)], now), COMMIT_TIMEOUT):
        raise busy(engine.pressure.retry_after, {})
    return Response(status_code=204)


def _of(brand: str, player_id: str) -> tuple[Any, ...]:
    return (
        messages.c.brand == brand,
        messages.c.player_id == player_id,
        messages.c.channel == POPUP,
        messages.c.status == "sent",
    )


async def waiting_popups(engine: ApiEngine, brand: str, player_id: str) -> list[Popup]:
    """What nobody has seen yet, is not too old, and may still be shown: an exclusion may have come since."""
    now = engine.clock()
    unseen = (messages.c.opened_at.is_(None), messages.c.clicked_at.is_(None), messages.c.body.is_not(None))
    newest = (
        select(messages)
        .where(*_of(brand, player_id), *unseen, messages.c.created_at > now - _SHOWN_FOR)
        .order_by(messages.c.created_at.desc(), messages.c.id)
        .limit(MOST)
    )
    async with engine.database.reading() as connection:
        rows: Sequence[Row[Any]] = (await connection.execute(newest)).all()
        # After the messages, so that an exclusion that comes between is seen.
        facts = await gate_facts.read_to_show(connection, brand, player_id, now) if rows else None
    return [_popup(row) for row in rows if is_shown(engine, brand, facts, ShownRow.model_validate(row), now)]


def _popup(row: Row[Any]) -> Popup:
    by = (row.decision.get("seen") or {}).get("by")
    until = row.created_at + _SHOWN_FOR
    return Popup(
        id=row.id,
        template=row.template,
        message_class=row.message_class,
        language=row.language,
        title=row.subject,
        body=row.body,
        until=min(until, datetime.fromisoformat(by)) if by else until,
    )
