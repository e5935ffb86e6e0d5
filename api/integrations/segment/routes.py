"""Segment's HTTP API: its client libraries work against this one, with an API key as their write key.

Segments of players are in `segments`.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

import orjson
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from activities.event_loop_turns import in_turns
from api.bounds import ITEM
from api.dependencies import ApiEngine, EngineOf
from api.integrations.body import read_document
from api.integrations.ingest import MessageResult, ingest_outcomes
from api.integrations.outcomes import MessageRefused, Outcome, fault, identifier
from api.integrations.segment.to_events import UNUSED, read_message
from api.integrations.vocabulary import Words
from api.permissions import Key, needs
from api.problems import Problem, documented
from workflows.json_object import JsonObject

router = APIRouter(tags=["segment"])

Writing = Annotated[Key, needs("events:write")]


class SegmentAnswer(BaseModel):
    """What became of the messages. `success` is what Segment's libraries look for; the rest is ours."""

    success: Literal[True] = True
    accepted: int
    duplicate: int
    rejected: int
    ignored: int
    results: list[MessageResult]


_COMMON: Final[JsonObject] = {
    "type": "object",
    "properties": {
        "messageId": {"type": "string", "description": "The identity: the same again is a duplicate."},
        "userId": {"type": "string", "description": "The player's id."},
        "timestamp": {"type": "string", "format": "date-time"},
        "sentAt": {"type": "string", "format": "date-time"},
        "context": {"type": "object"},
    },
}
_TRACK: Final[JsonObject] = {
    "messageId": "0d3b1f8a-5d0e-4c38-9c1d-3f6e2f0b7a11",
    "userId": "p-1001",
    "event": "Deposit Approved",
    "properties": {"order_id": "pay-1", "revenue": 50.0, "currency": "EUR", "payment_method": "card"},
    "timestamp": "2026-01-15T12:00:00.000Z",
}
_IDENTIFY: Final[JsonObject] = {
    "messageId": "5f2c8a44-0f0c-4b6b-8b39-6a2a0e6b1c02",
    "userId": "p-1001",
    "traits": {"firstName": "Anna", "email": "anna@example.com", "language": "uk"},
    "timestamp": "2026-01-15T12:00:00.000Z",
}
_BATCH: Final[JsonObject] = {
    "batch": [{"type": "identify", **_IDENTIFY}, {"type": "track", **_TRACK}],
    "sentAt": "2026-01-15T12:00:01.000Z",
}
_OTHER: Final[JsonObject] = {"messageId": "m-1", "userId": "p-1001", "timestamp": "2026-01-15T12:00:00.000Z"}

_ANSWERS: Final[JsonObject] = {
    "response_model": SegmentAnswer,
    "responses": documented(400, 401, 403, 413, 415, 429, 503),
}


def _body(schema: Mapping[str, Any], example: object) -> JsonObject:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}}


def _call(**properties: Any) -> JsonObject:
    return {**_COMMON, "properties": {**_COMMON["properties"], **properties}}


_BATCH_SCHEMA: Final = {
    "type": "object",
    "required": ["batch"],
    "properties": {
        "batch": {
            "type": "array",
            "description": "At most `batch_limit` of GET /v1/limits.",
            "items": _call(type={"type": "string"}),
        },
        "sentAt": {"type": "string", "format": "date-time"},
        "context": {"type": "object"},
    },
}


@router.post(
    "/v1/track",
    openapi_extra=_body(_call(event={"type": "string"}, properties={"type": "object"}), _TRACK),
    **_ANSWERS,
)
async def take_track(request: Request, engine: EngineOf, key: Writing) -> Response:
    """Something a player did. The name of the event says what; see the documentation of dialects for the names known.

    The key may come as the user name of HTTP Basic authentication with any password, as Segment's libraries send a
    write key. The answer is 200 whatever becomes of the message, because libraries repeat what is refused: read
    `results`, or watch `journeys_dialect_messages_total`.
    """
    return await _one(request, engine, key, "track")


@router.post("/v1/identify", openapi_extra=_body(_call(traits={"type": "object"}), _IDENTIFY), **_ANSWERS)
async def take_identify(request: Request, engine: EngineOf, key: Writing) -> Response:
    """Who a player is: the traits a profile keeps update it, and `createdAt` among them tells a registration, once."""
    return await _one(request, engine, key, "identify")


@router.post("/v1/batch", openapi_extra=_body(_BATCH_SCHEMA, _BATCH), **_ANSWERS)
async def take_batch(request: Request, engine: EngineOf, key: Writing) -> Response:
    """Many messages, each with its `type`; this is what the libraries send. A bad one never costs its neighbours.

    Everything accepted is committed together when the answer arrives. Sending it again is safe.
    """
    return await _many(request, engine, key)


@router.post("/v1/import", openapi_extra=_body(_BATCH_SCHEMA, _BATCH), **_ANSWERS)
async def take_import(request: Request, engine: EngineOf, key: Writing) -> Response:
    """The same as a batch, under the path that mobile and older libraries use. It is no history import."""
    return await _many(request, engine, key)


@router.post("/v1/page", openapi_extra=_body(_COMMON, _OTHER), **_ANSWERS)
async def take_page(request: Request, engine: EngineOf, key: Writing) -> Response:
    """Accepted and ignored, so that a library sees no error."""
    return await _one(request, engine, key, "page")


@router.post("/v1/screen", openapi_extra=_body(_COMMON, _OTHER), **_ANSWERS)
async def take_screen(request: Request, engine: EngineOf, key: Writing) -> Response:
    """Accepted and ignored, so that a library sees no error."""
    return await _one(request, engine, key, "screen")


@router.post("/v1/group", openapi_extra=_body(_COMMON, _OTHER), **_ANSWERS)
async def take_group(request: Request, engine: EngineOf, key: Writing) -> Response:
    """Accepted and ignored, so that a library sees no error."""
    return await _one(request, engine, key, "group")


@router.post("/v1/alias", openapi_extra=_body(_COMMON, _OTHER), **_ANSWERS)
async def take_alias(request: Request, engine: EngineOf, key: Writing) -> Response:
    """Accepted and ignored, so that a library sees no error. Players are merged by `player.merged`."""
    return await _one(request, engine, key, "alias")


async def _one(request: Request, engine: ApiEngine, key: Key, call: str) -> Response:
    return await _answer(engine, key, [await _object(request)], call)


async def _many(request: Request, engine: ApiEngine, key: Key) -> Response:
    document = await _object(request)
    batch = document.get("batch")
    if not isinstance(batch, list):
        raise Problem("malformed", 'Send the messages as {"batch": [...]}.')
    if len(batch) > engine.settings.batch_limit:
        raise Problem("too-large", f"Send at most {engine.settings.batch_limit} messages in one batch.")
    # The time of sending is the batch's, and a context it gives is every message's that has none.
    shared = {name: document[name] for name in ("sentAt", "context") if document.get(name) is not None}
    return await _answer(engine, key, [{**shared, **one} if isinstance(one, dict) else one for one in batch], None)


async def _object(request: Request) -> JsonObject:
    document = await read_document(request)
    if not isinstance(document, dict):
        raise Problem("malformed", "Send one JSON object.")
    return document


async def _answer(engine: ApiEngine, key: Key, messages: Sequence[object], call: str | None) -> Response:
    now = engine.clock()
    words = Words.of(engine.settings.segment_events, engine.settings.game_types)
    outcomes: list[Outcome] = []
    async for message in in_turns(messages, engine.intake.precedence):
        excess = ITEM.excess(message)
        refused = None if excess is None else MessageRefused((fault("", excess),))
        outcomes.append(refused or read_message(message, call, words, now))
    kinds = [_kind(message, call) for message in messages]
    results = await ingest_outcomes(engine, key, outcomes, integration="segment", kinds=kinds)
    for message, result in zip(messages, results, strict=True):
        message_id = identifier(message.get("messageId")) if isinstance(message, dict) else None
        # Half a character can be read and not be written.
        result["id"] = None if message_id is None else message_id[:255].encode(errors="replace").decode()
    counts = dict.fromkeys(("accepted", "duplicate", "rejected", "ignored"), 0)
    for result in results:
        counts[result["status"]] += 1
    return Response(orjson.dumps({"success": True, **counts, "results": results}), 200, media_type="application/json")


def _kind(message: object, call: str | None) -> str:
    kind = call or (message.get("type") if isinstance(message, dict) else None)
    return kind if isinstance(kind, str) and kind in {"track", "identify", *UNUSED} else "other"
