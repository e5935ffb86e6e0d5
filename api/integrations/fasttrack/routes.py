"""Fast Track's integration messages: an operator's feed for Fast Track can be pointed here."""

from collections.abc import Sequence
from typing import Annotated, Final, Literal

import orjson
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel
from sqlalchemy import select

from activities.tables import events
from api.bounds import ITEM
from api.dependencies import ApiEngine, EngineOf
from api.integrations.body import read_document
from api.integrations.fasttrack.round_assembly import RoundPart, whole_round
from api.integrations.fasttrack.to_events import (
    BONUS,
    CARD_STEPS,
    CHANNELS,
    EXCLUSIONS,
    Reader,
    read_blocks,
    read_bonus,
    read_casino,
    read_consents,
    read_login,
    read_payment,
    read_registration,
    read_update,
)
from api.integrations.ingest import EventResult, ingest_outcomes
from api.integrations.outcomes import Fact, Mapped
from api.integrations.vocabulary import Words
from api.permissions import Key, needs
from api.problems import Problem, documented
from workflows.events import parse_event
from workflows.json_object import JsonObject

router = APIRouter(tags=["fast track"])

Writing = Annotated[Key, needs("events:write")]
#: Parts of one round that are looked at; no game has as many.
MOST_PARTS: Final = 1_000


class FastTrackAnswer(BaseModel):
    """What became of the message, and of each event it told."""

    status: Literal["accepted", "duplicate", "ignored"]
    reason: str | None = None
    detail: str | None = None
    events: list[EventResult] = []


_ID: Final[JsonObject] = {"type": ["string", "integer"]}
_AMOUNT: Final[JsonObject] = {"type": "number", "minimum": 0, "description": "Decimal, in `currency`."}
_BASE: Final[JsonObject] = {
    "user_id": {**_ID, "description": "The player's id."},
    "timestamp": {"type": "string", "format": "date-time"},
    "skip_publishing": {"description": "true: it advances the player and starts, wakes and stops nothing."},
}
_MONEY: Final[JsonObject] = {"currency": {"type": "string", "description": "ISO 4217."}, "amount": _AMOUNT}
_EXAMPLE: Final[JsonObject] = {"user_id": "p-1001", "timestamp": "2026-01-15T12:00:00Z", "origin": "example.com"}


def _message(example: JsonObject, required: Sequence[str] = (), /, **properties: JsonObject) -> JsonObject:
    """Everything FastAPI needs to know of an operation that takes one kind of message."""
    schema = {
        "type": "object",
        "required": ["user_id", "timestamp", *required],
        "properties": {**_BASE, **properties},
    }
    content = {"application/json": {"schema": schema, "example": {**_EXAMPLE, **example}}}
    return {
        "status_code": 202,
        "response_model": FastTrackAnswer,
        "responses": documented(400, 401, 403, 409, 413, 415, 422, 429, 503),
        "openapi_extra": {"requestBody": {"required": True, "content": content}},
    }


def _enum(*known: str) -> JsonObject:
    return {"type": "string", "enum": list(known)}


@router.post(
    "/v1/integration/payment",
    **_message(
        {
            "payment_id": "23541",
            "type": "Credit",
            "status": "Approved",
            "amount": 32.76,
            "fee_amount": 0,
            "currency": "EUR",
            "deposit_count": 1,
            "vendor_name": "Skrill",
        },
        ("payment_id", "type", "status", "amount", "currency"),
        **_MONEY,
        payment_id=_ID,
        type=_enum("Credit", "Debit", *CARD_STEPS),
        status=_enum("Requested", "Approved", "Rejected", "Cancelled", "Rollback"),
    ),
)
async def take_payment(request: Request, engine: EngineOf, key: Writing) -> Response:
    """A step of a deposit (Credit) or a withdrawal (Debit), once by payment and status.

    A key may come as `X-Api-Key`. Decimal amounts become minor units exactly; a part of a cent is refused. A message
    that is refused is answered with 422 and nothing of it is kept.
    """
    return await _ingest_message(request, engine, key, "payment", read_payment)


@router.post(
    "/v1/integration/casino",
    **_message(
        {
            "activity_id": "2019020103308257480",
            "round_id": "r-2019",
            "type": "Bet",
            "status": "Approved",
            "amount": 20,
            "bonus_wager_amount": 0,
            "currency": "EUR",
            "game_id": "10911",
            "game_name": "Dead or Alive",
            "game_type": "Slots",
            "is_round_end": False,
            "vendor_name": "Netent",
        },
        ("activity_id", "round_id", "type", "amount", "currency", "game_id", "game_type"),
        **_MONEY,
        activity_id=_ID,
        round_id=_ID,
        game_id=_ID,
        type=_enum("Bet", "Win", "Loss"),
        status=_enum("Approved", "Rollback"),
        is_round_end={"type": "boolean"},
        game_type={"type": "string"},
    ),
)
async def take_casino(request: Request, engine: EngineOf, key: Writing) -> Response:
    """A bet, a win or a loss: a part of a round, once by activity. `game.round_completed` follows when it is whole.

    A round is whole when a bet of it is kept and its end has come: `is_round_end`, or a win or a loss that does not
    say. The parts may come in any order. What comes after the round was told is kept and changes it no more.
    """
    return await _ingest_message(request, engine, key, "casino", read_casino)


@router.post(
    "/v1/integration/bonus",
    **_message(
        {
            "user_bonus_id": "863512",
            "bonus_id": "9821",
            "status": "Ongoing",
            "type": "FreeSpins",
            "product": "Casino",
            "amount": 10.3,
            "required_wagering_amount": 0,
            "currency": "EUR",
            "fasttrack_references": {"activity_id": "welcome:acme:p-1001:6f1c0a93be27/grant:free_spins#1"},
        },
        ("user_bonus_id", "bonus_id", "status", "amount", "currency"),
        **_MONEY,
        user_bonus_id=_ID,
        bonus_id=_ID,
        status=_enum(*BONUS, "NotApplicable"),
    ),
)
async def take_bonus(request: Request, engine: EngineOf, key: Writing) -> Response:
    """A change of a bonus's status, once by bonus and status.

    Send back our grant id in `fasttrack_references.activity_id`: without it a journey does not recognise its reward.
    """
    return await _ingest_message(request, engine, key, "bonus", read_bonus)


@router.post(
    "/v1/integration/user/consents",
    **_message(
        {"consents": [{"type": "email", "opted_in": True}, {"type": "sms", "opted_in": False}]},
        ("consents",),
        consents={
            "type": "array",
            "minItems": 1,
            "maxItems": 50,
            "items": {
                "type": "object",
                "required": ["type", "opted_in"],
                "properties": {"type": _enum(*CHANNELS), "opted_in": {"type": "boolean"}},
            },
        },
    ),
)
async def take_consents(request: Request, engine: EngineOf, key: Writing) -> Response:
    """The channels a player may be contacted on. They must stand in the message: nothing is looked up."""
    return await _ingest_message(request, engine, key, "consents", read_consents)


@router.post(
    "/v1/integration/user/blocks",
    **_message(
        {
            "blocks": [
                {"type": "Excluded", "active": True, "note": ""},
                {"type": "Blocked", "active": False, "note": ""},
            ]
        },
        ("blocks",),
        blocks={
            "type": "array",
            "minItems": 1,
            "maxItems": 50,
            "items": {
                "type": "object",
                "required": ["type", "active"],
                "properties": {"type": _enum(*EXCLUSIONS), "active": {"type": "boolean"}},
            },
        },
    ),
)
async def take_blocks(request: Request, engine: EngineOf, key: Writing) -> Response:
    """The player's exclusion (`Excluded`) and the operator's (`Blocked`), in force when the answer arrives.

    They must stand in the message: nothing is looked up. A block that is not active ends an exclusion of its own
    kind and no other.
    """
    return await _ingest_message(request, engine, key, "blocks", read_blocks)


@router.post(
    "/v1/integration/login",
    **_message({"is_impersonated": False}, is_impersonated={"type": "boolean"}),
)
async def take_login(request: Request, engine: EngineOf, key: Writing) -> Response:
    """A login, once by player and time. One by the support in the player's name is ignored."""
    return await _ingest_message(request, engine, key, "login", read_login)


_USER: Final[JsonObject] = {
    "email": "anna@example.com",
    "first_name": "Anna",
    "country": "UA",
    "language": "uk",
    "currency": "EUR",
    "birth_date": "1990-05-17",
    "roles": [],
}


@router.post("/v1/integration/user", **_message({**_USER, "registration_date": "2026-01-15T12:00:00Z"}))
async def take_user(request: Request, engine: EngineOf, key: Writing) -> Response:
    """A registration, once a player. Details of the player may stand in the message or in its `user_details`."""
    return await _ingest_message(request, engine, key, "user", read_registration)


@router.put("/v1/integration/user", **_message(_USER))
async def update_user(request: Request, engine: EngineOf, key: Writing) -> Response:
    """Changed details of a player, in the message or in its `user_details`. Without any it is ignored."""
    return await _ingest_message(request, engine, key, "user_update", read_update)


#: By reason: the kind of problem, and what to do.
_REFUSED: Final = {
    "protection_kept": (
        "invalid",
        "Correct what errors lists and send the message again; of this one only what protects the player was kept.",
    ),
    "identity_taken": (
        "identity-taken",
        "Something else was told under this identity before; errors says what differs, events what was kept.",
    ),
    "too_early": (
        "too-early",
        "A self-exclusion has not lasted its minimum; errors says when it may end, events what was kept.",
    ),
    "scope": ("scope", "The key lacks a scope for what this tells; errors names it, events says what was kept."),
}


async def _ingest_message(request: Request, engine: ApiEngine, key: Key, kind: str, read: Reader) -> Response:
    document = await read_document(request)
    if (excess := ITEM.excess(document)) is not None:
        raise Problem("too-large", excess)
    words = Words.of(engine.settings.segment_events, engine.settings.game_types)
    outcome = read(document, words)
    [result] = await ingest_outcomes(engine, key, [outcome], integration="fast_track", kinds=[kind])
    if result["status"] == "rejected" and "events" in result:
        # It could be read; part of it may be kept.
        kind_of_problem, detail = _REFUSED[result["reason"]]
        raise Problem(kind_of_problem, detail, errors=result["errors"], members={"events": result["events"]})
    if result["status"] == "rejected":
        detail = "Correct what errors lists and send the message again; nothing of it was kept."
        raise Problem("invalid", detail, errors=result["errors"])
    if kind == "casino" and isinstance(outcome, Mapped):
        # Also after a duplicate: the first attempt may have ended between the part and its round.
        for part in outcome.facts:
            if (whole := await _completed_round(engine, key, part)) is not None:
                round_ = Mapped((whole,), history=outcome.history)
                [ingested] = await ingest_outcomes(engine, key, [round_], integration="fast_track", kinds=["round"])
                result["events"] += ingested.get("events", [])
    return Response(orjson.dumps(result), 202, media_type="application/json")


async def _completed_round(engine: ApiEngine, key: Key, part: Fact) -> Fact | None:
    """The round of a part that was just kept, if that completes it."""
    query = (
        select(events.c.id, events.c.occurred_at, events.c.data)
        .where(events.c.brand == key.brand, events.c.source == part.source, events.c.type == RoundPart.type)
        .order_by(events.c.seq)
        .limit(MOST_PARTS)
    )
    async with engine.database.reading() as connection:
        rows = (await connection.execute(query)).all()
    parts = [
        parse_event(
            RoundPart.wire_type,
            row.data,
            event_id=row.id,
            event_source=part.source,
            occurred_at=row.occurred_at,
            stored=True,
        )
        for row in rows
    ]
    return whole_round(part.player_id, [event for event in parts if isinstance(event, RoundPart)])
