"""Messages to players, sent or suppressed and why, and the in-app inbox."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from activities import gate_facts
from activities.messages import mark_read
from activities.tables import messages
from api.dependencies import ApiEngine, EngineOf
from api.pagination import Filter, Page, PageQuery, where_given
from api.permissions import Key, needs
from api.problems import COMMON, Problem, documented, missing
from workflows.channels import IN_APP, Channel
from workflows.field_types import MessageClass
from workflows.gate.decide import may_show
from workflows.gate.facts import GateFacts, MessageFacts
from workflows.gate.policy import NECESSARY
from workflows.json_object import JsonObject

router = APIRouter(tags=["messages"])

Reading = Annotated[Key, needs("players:read")]

_EXAMPLE: JsonObject = {
    "id": "welcome:acme:p-1001:6f1c0a93be27/send:welcome#1/email",
    "player_id": "p-1001",
    "run_id": "welcome:acme:p-1001:6f1c0a93be27",
    "journey": "welcome",
    "step": "send:welcome#1",
    "channel": "email",
    "template": "welcome",
    "message_class": "marketing",
    "language": "uk",
    "status": "sent",
    "created_at": "2026-01-15T12:00:00Z",
}


class Message(BaseModel):
    """A message on one channel. Its text is personal data and is shown one message at a time."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [_EXAMPLE]})

    id: str = Field(description="Percent-encode it in a path: it holds `/` and `#`.")
    player_id: str
    run_id: str
    journey: str
    step: str
    channel: str
    template: str
    message_class: str
    language: str | None = None
    status: str = Field(description="handed_over, waiting, sent, suppressed, failed or unknown.")
    reason: str | None = Field(None, description="Which rule suppressed it, or why it failed.")
    handed_over_at: datetime | None = None
    delivered_at: datetime | None = None
    read_at: datetime | None = None
    delivery: str | None = Field(
        None,
        description="How far it has come, as its provider told in `message.status`: the furthest of queued, sent, "
        "suppressed, failed, bounced, delivered, opened, clicked, unsubscribed, complained, in any order of arrival.",
    )
    delivery_at: datetime | None = None
    created_at: datetime


class MessageDetail(Message):
    """A message with its text and the decision of the gate: which rule spoke and what it saw."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={"examples": [_EXAMPLE | {"subject": "Вітаємо", "body": "…", "decision": {"rule": None}}]},
    )

    subject: str | None = None
    body: str | None = None
    decision: JsonObject = Field(
        description="What the gate said and saw. Where the journey asked for the best channel or hour, `choice` says "
        "what was chosen, the chance of everything that could have been, and why, in a sentence."
    )


class InboxItem(BaseModel):
    """An in-app message, as the site shows it to the player."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "id": "welcome:acme:p-1001:6f1c0a93be27/send:welcome#1/in_app",
                    "template": "welcome",
                    "language": "uk",
                    "subject": "Вітаємо",
                    "body": "…",
                    "created_at": "2026-01-15T12:00:00Z",
                }
            ]
        },
    )

    id: str
    template: str
    language: str | None = None
    subject: str | None = None
    body: str | None = None
    created_at: datetime
    read_at: datetime | None = None


class MessageQuery(PageQuery):
    """Which messages."""

    player: Filter | None = None
    run: Filter | None = None
    journey: Filter | None = None
    channel: Filter | None = None
    template: Filter | None = None
    status: Filter | None = None
    delivery: Filter | None = None


class InboxQuery(PageQuery):
    """Which in-app messages."""

    unread: bool = False


@router.get("/v1/messages", responses=COMMON)
async def list_messages(engine: EngineOf, key: Reading, query: Annotated[MessageQuery, Query()]) -> Page[Message]:
    """Messages, suppressed ones among them, the newest first."""
    chosen = where_given(
        select(messages).where(messages.c.brand == key.brand),
        (messages.c.player_id, query.player),
        (messages.c.run_id, query.run),
        (messages.c.journey, query.journey),
        (messages.c.channel, query.channel),
        (messages.c.template, query.template),
        (messages.c.status, query.status),
        (messages.c.delivery, query.delivery),
    )
    chosen = query.newest_first(chosen, key.brand, messages.c.created_at, messages.c.id)
    async with engine.database.reading() as connection:
        rows = (await connection.execute(chosen)).all()
    page, token = query.page(key.brand, rows, lambda row: (row.created_at, row.id))
    return Page(items=[Message.model_validate(row) for row in page], next_page_token=token)


@router.post("/v1/messages/{message_id:path}/read", responses={**COMMON, **documented(404, 409)})
async def read_message(message_id: str, engine: EngineOf, key: Annotated[Key, needs("inbox:read")]) -> InboxItem:
    """Say that the player has read an in-app message. The first time counts; what the inbox leaves out is not found."""
    now = engine.clock()
    async with engine.database.transaction() as connection:
        await mark_read(connection, key.brand, message_id, now)
        mine = select(messages).where(messages.c.id == message_id, messages.c.brand == key.brand)
        row = (await connection.execute(mine)).one_or_none()
        if row is None:
            raise missing("message")
        if row.channel != IN_APP or row.status != "sent":
            raise Problem("wrong-channel", "Only an in-app message that was sent can be read here.")
        facts = await gate_facts.read_to_show(connection, key.brand, row.player_id, now)
        if not is_shown(engine, key.brand, facts, ShownRow.model_validate(row), now):
            raise missing("message")
    return InboxItem.model_validate(row)


@router.get("/v1/messages/{message_id:path}", responses={**COMMON, **documented(404)})
async def get_message(message_id: str, engine: EngineOf, key: Reading) -> MessageDetail:
    """A message with its text, and why it went or did not go."""
    async with engine.database.reading() as connection:
        query = select(messages).where(messages.c.id == message_id, messages.c.brand == key.brand)
        row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise missing("message")
    return MessageDetail.model_validate(row)


@router.get("/v1/players/{player_id}/inbox", tags=["players"], responses={**COMMON, **documented(404)})
async def list_inbox(
    player_id: str,
    engine: EngineOf,
    key: Annotated[Key, needs("inbox:read", "players:read")],
    query: Annotated[InboxQuery, Query()],
) -> Page[InboxItem]:
    """The player's in-app messages, the newest first, for the site to show.

    Marketing is left out while the player is protected or has withdrawn their consent, and after the `by` of a message.
    So a page may hold fewer than its size: go on while there is a `next_page_token`.
    """
    chosen = select(messages).where(
        messages.c.brand == key.brand,
        messages.c.player_id == player_id,
        messages.c.channel == IN_APP,
        messages.c.status == "sent",
        # What was erased says nothing any more.
        messages.c.body.is_not(None),
    )
    now = engine.clock()
    if query.unread:
        chosen = chosen.where(messages.c.read_at.is_(None))
    whose = f"{key.brand} {player_id}"
    chosen = query.newest_first(chosen, whose, messages.c.created_at, messages.c.id)
    async with engine.database.reading() as connection:
        rows = (await connection.execute(chosen)).all()
        # After the messages: an exclusion that comes between is seen.
        facts = await gate_facts.read_to_show(connection, key.brand, player_id, now)
        if facts is None:
            raise missing("player")
    page, token = query.page(whose, rows, lambda row: (row.created_at, row.id))
    shown = [
        InboxItem.model_validate(row)
        for row in page
        if is_shown(engine, key.brand, facts, ShownRow.model_validate(row), now)
    ]
    return Page(items=shown, next_page_token=token)


class ShownRow(BaseModel):
    """What decides whether a message that waits on the site is shown."""

    model_config = ConfigDict(from_attributes=True)

    channel: Channel
    step: str
    message_class: MessageClass
    decision: JsonObject


def is_shown(engine: ApiEngine, brand: str, facts: GateFacts | None, kept: ShownRow, now: datetime) -> bool:
    """Whether a message on the site may be shown now: what was allowed when it was sent may not be any more."""
    if kept.message_class in NECESSARY:
        return True
    seen: JsonObject = kept.decision.get("seen") or {}
    asked = MessageFacts(
        channel=kept.channel,
        message_class=kept.message_class,
        step=kept.step,
        product=seen.get("product", engine.settings.product),
        by=datetime.fromisoformat(seen["by"]) if seen.get("by") else None,
    )
    return may_show(facts, asked, engine.policies.of(brand, facts, now), now)
