"""Ingests CloudEvents, one by one, in batches and in streams; answers 202 only after the commit."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Final, Literal, TypedDict
from urllib.parse import unquote

import orjson
from fastapi import APIRouter, Query, Request, Response
from prometheus_client import Counter
from pydantic import BaseModel, Field

from activities.event_loop_turns import in_turns
from activities.intake.admission import AdmissionTimeout
from activities.intake.receipts import DuplicateOf, ItemRefusal, Kept, Receipt
from api.bounds import ITEM
from api.cloudevents import TOLERANCE, Fault, PlayerEvent, read_event
from api.database import AWAY, in_time
from api.dependencies import ApiEngine, EngineOf
from api.event_scopes import scope_refusals
from api.event_source_permissions import is_reserved
from api.exclusion_warnings import exclusion_warnings
from api.json_text import BYTE_ORDER_MARK, is_json, media_type_of, read_json
from api.middleware import NDJSON
from api.permissions import Key, needs
from api.problems import COMMON, Problem, away, busy, documented, pointer
from workflows.events import CATALOGUE, DepositApproved, SessionLogin
from workflows.json_object import JsonObject
from workflows.player_state.state import Mode

router = APIRouter(tags=["events"])

EVENTS = Counter("journeys_events_total", "Events received.", ["status", "mode"])

#: Bytes of one line of a stream.
LINE_LIMIT: Final = ITEM.size
#: Rejected lines a stream's answer lists; the rest are counted.
MAX_LISTED: Final = 1_000
# Far beyond any healthy batch: by then the server is frozen and nobody knows whether it committed.
COMMIT_TIMEOUT: Final = timedelta(seconds=10)

SINGLE_TYPE: Final = "application/cloudevents+json"
BATCH_TYPE: Final = "application/cloudevents-batch+json"
STREAM_TYPE: Final = "application/x-ndjson"
JSON_TYPE: Final = "application/json"


class ItemError(BaseModel):
    """One fault of one event."""

    pointer: str = Field(description="JSON Pointer into the event.", examples=["/data/amount_minor"])
    detail: str


class FirstTold(BaseModel):
    """The event that told a fact first."""

    source: str
    id: str


class ItemResult(BaseModel):
    """What became of one event, in the order they were sent."""

    id: str | None
    source: str | None
    status: Literal["accepted", "duplicate", "rejected"]
    duplicate_of: FirstTold | None = Field(
        None, description="The event that told the same fact before under another identity, such as the same payment."
    )
    kept: str | None = Field(
        None, description="Why it has caused nothing yet although it was accepted, and what happens next."
    )
    warning: str | None = Field(
        None, description="What is unusual about an event that was accepted, such as the length of an exclusion."
    )
    line: int | None = Field(None, description="Line of a stream, from 1.")
    errors: list[ItemError] = Field(default_factory=list)


class ItemAnswer(TypedDict, total=False):
    """An `ItemResult` on its way to the answer, in which `later` is still a status; models would cost a batch time."""

    id: str | None
    source: str | None
    status: Literal["accepted", "duplicate", "rejected", "later"]
    duplicate_of: dict[str, str]
    kept: str
    warning: str
    line: int
    errors: list[Fault]


class Summary(BaseModel):
    """How many events were accepted, known already, or refused. A stream lists only what was refused or kept."""

    accepted: int
    duplicate: int
    rejected: int
    results: list[ItemResult]


class Limits(BaseModel):
    """What one request may hold."""

    batch_limit: int = Field(description="Events in one batch.", examples=[1000])
    body_limit: int = Field(description="Bytes in one body that holds events, streams aside.", examples=[4194304])
    line_limit: int = Field(
        description="Bytes in one event, in a line of a stream, which may have any number of them, and in every body "
        "that is no batch."
    )
    value_limit: int = Field(description="Values, lists and objects included, in one event or other body.")
    depth_limit: int = Field(description="How deep values may be nested.")
    name_limit: int = Field(description="Characters in the name of a member.")
    future_tolerance_seconds: int = Field(description="How far ahead of our clock an event's time may be.")


def _example(event: DepositApproved | SessionLogin) -> JsonObject:
    wire = event.to_wire()
    return {"specversion": "1.0", "subject": "p-1001", **wire}


_EVENT_SCHEMA: Final[JsonObject] = {
    "title": "CloudEvent",
    "type": "object",
    "description": "CloudEvents 1.0. `subject` is the player's id, `data` is the typed event named by `type`.",
    "properties": {
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "minLength": 1, "maxLength": 255},
        "source": {"type": "string", "minLength": 1, "maxLength": 255},
        "type": {"type": "string"},
        "subject": {"type": "string", "pattern": r"^[A-Za-z0-9][A-Za-z0-9._~:@=+-]{0,63}$"},
        "time": {"type": "string", "format": "date-time"},
        "brandid": {"type": "string", "description": "If given, the key's own brand."},
        "datacontenttype": {"type": "string", "description": "application/json or a type that ends in +json."},
        "data": {"type": "object"},
    },
    "required": ["specversion", "id", "source", "type", "subject"],
}
_ONE: Final = _example(DepositApproved.example())
_MANY: Final = [_ONE, _example(SessionLogin.example())]
_BODY: Final[JsonObject] = {
    "requestBody": {
        "required": True,
        "content": {
            SINGLE_TYPE: {"schema": _EVENT_SCHEMA, "example": _ONE},
            BATCH_TYPE: {"schema": {"type": "array", "items": _EVENT_SCHEMA}, "example": _MANY},
            STREAM_TYPE: {
                "schema": {"type": "string", "description": "One CloudEvent a line."},
                "example": "".join(orjson.dumps(event).decode() + "\n" for event in _MANY),
            },
            JSON_TYPE: {
                "schema": {"oneOf": [_EVENT_SCHEMA, {"type": "array", "items": _EVENT_SCHEMA}]},
                "example": _ONE,
            },
        },
    }
}


@router.post(
    "/v1/events",
    status_code=202,
    openapi_extra=_BODY,
    response_model=Summary,
    responses={**COMMON, **documented(415, 429)},
)
async def take_events(
    request: Request,
    engine: EngineOf,
    key: Annotated[Key, needs("events:write")],
    mode: Annotated[
        Literal["live", "history"],
        Query(description="`history` advances players and starts, wakes and stops nothing."),
    ] = "live",
) -> Response:
    """Take player events in, each exactly once by its `source` and `id`.

    Every event has a result of its own, in order, and a bad one never costs its neighbours: the answer is 202
    whenever the body could be read, even if every event in it was refused. When it arrives, everything accepted
    is committed together with all it causes. Sending anything again is always safe: it is a `duplicate`. Something
    else under an identity that is known is `rejected`, and acted upon all the same where it protects the player.

    A stream (`application/x-ndjson`) may have any number of lines; it is taken in batches as it arrives and only
    refused lines are listed, with their numbers. If it fails in the middle, the lines before are kept; send all of
    it again.

    429 means that deliveries have piled up: send the same request again after `Retry-After` seconds. Exclusions,
    time-outs, accounts closed, signs of harm and withdrawn consents in it were taken all the same. History never
    waits. What lifts a player's protection needs the scope `protection:lift` as well, a changed address
    `profiles:write`; without it the event is `rejected`. Binary mode (`ce-` headers with a JSON body) is taken too.
    """
    media_type = media_type_of(request.headers.get("content-type", ""))
    if media_type in NDJSON:
        return _answer(engine, await _ingest_stream(request, engine, key, mode), mode)
    body = await request.body() if is_json(media_type) else b""
    items, suspect = _items(media_type, request.headers, body)
    if len(items) > engine.settings.batch_limit:
        raise Problem(
            "too-large",
            f"Send at most {engine.settings.batch_limit} events in one batch, or a stream ({STREAM_TYPE}).",
        )
    results = await _ingest_items(engine, key, items, mode, suspect=suspect)
    return _answer(engine, {**_count(results), "results": results}, mode)


@router.get("/v1/limits", responses=COMMON)
async def get_limits(engine: EngineOf, _key: Annotated[Key, needs()]) -> Limits:
    """What one request may hold; beyond it the answer is 413."""
    return Limits(
        batch_limit=engine.settings.batch_limit,
        body_limit=engine.settings.body_limit,
        line_limit=LINE_LIMIT,
        value_limit=ITEM.nodes,
        depth_limit=ITEM.depth,
        name_limit=ITEM.key,
        future_tolerance_seconds=int(TOLERANCE.total_seconds()),
    )


def _items(media_type: str, headers: Mapping[str, str], body: bytes) -> tuple[list[object], bool]:
    """The events of a body that holds them all, and whether they are suspect. Raises `Problem` 400 or 415."""
    # In binary mode the content type is that of the data.
    if "ce-specversion" in headers and is_json(media_type) and media_type not in {SINGLE_TYPE, BATCH_TYPE}:
        data, suspect = _parse(body) if body else (None, False)
        return [_binary_event(headers, {"data": data} if body else {})], suspect
    if media_type not in {SINGLE_TYPE, BATCH_TYPE, JSON_TYPE}:
        raise Problem("media-type", f"Send Content-Type {SINGLE_TYPE}, {BATCH_TYPE}, {STREAM_TYPE} or {JSON_TYPE}.")
    document, suspect = _parse(body)
    if isinstance(document, list) and media_type != SINGLE_TYPE:
        return document, suspect
    if isinstance(document, dict) and media_type != BATCH_TYPE:
        return [document], suspect
    raise Problem("malformed", f"{SINGLE_TYPE} holds one JSON object, {BATCH_TYPE} an array of them.")


def _binary_event(headers: Mapping[str, str], data: JsonObject) -> "JsonObject | UnreadableAttributes":
    """The event of a request in binary mode, its data given: the attributes are headers, percent-encoded UTF-8."""
    event: JsonObject = {}
    faults: list[Fault] = []
    for header, value in headers.items():
        if header.startswith("ce-"):
            name = header.removeprefix("ce-")
            try:
                event[name] = unquote(value, errors="strict")
            except UnicodeDecodeError:
                # Read with a replacement, two ids that differ would be one, and the second event a duplicate.
                detail = f"The header {header} is not UTF-8 once its percent signs are read; encode it as UTF-8 first."
                faults.append({"pointer": pointer([name]), "detail": detail})
    # The body is the data, whatever a header is called.
    return UnreadableAttributes(faults) if faults else event | data


class UnreadableAttributes:
    """An event in binary mode whose headers cannot be read, and why."""

    __slots__ = ("faults",)

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = faults


def _parse(body: bytes) -> tuple[object, bool]:
    try:
        return read_json(body)
    except ValueError as error:
        raise Problem("malformed", f"The body is not UTF-8 JSON: {error}.") from None


async def _ingest_items(
    engine: ApiEngine, key: Key, items: Sequence[object], mode: Mode, *, suspect: bool, urgent_only: bool = False
) -> list[ItemAnswer]:
    now = engine.clock()
    good: list[PlayerEvent] = []
    results: list[ItemAnswer] = []
    accepted: list[ItemAnswer] = []
    async for item in in_turns(items, engine.intake.precedence):
        result: ItemAnswer = {"id": _text_of(item, "id"), "source": _text_of(item, "source")}
        if isinstance(item, UnreadableAttributes):
            read: PlayerEvent | list[Fault] = item.faults
        elif _is_known_elsewhere(engine, item):
            # An API process of the other build takes it, or this one once it is replaced.
            result["status"] = "later"
            results.append(result)
            continue
        else:
            read = read_event(item, key.brand, now, suspect=suspect)
        if isinstance(read, list):
            result["status"], result["errors"] = "rejected", read
        elif (why := _source_refusal(read[1].event_source, key)) is not None:
            result["status"], result["errors"] = "rejected", [{"pointer": "/source", "detail": why}]
        else:
            good.append(read)
            accepted.append(result)
        results.append(result)
    refused = await scope_refusals(engine, key, good)
    receipts: Iterator[Receipt] = iter(())
    if allowed := [position for position in range(len(good)) if position not in refused]:
        taken = [good[position] for position in allowed]
        ingesting = engine.intake.ingest(key.brand, taken, now, mode=mode, urgent_only=urgent_only, key_id=key.id)
        told = await in_time(ingesting, COMMIT_TIMEOUT)
        receipts = iter(told)
        for number, warning in (await exclusion_warnings(engine, key.brand, taken, told)).items():
            accepted[allowed[number]]["warning"] = warning
    for position, result in enumerate(accepted):
        receipt = refused[position] if position in refused else next(receipts)
        match receipt:
            case ItemRefusal():
                result["status"] = "rejected"
                result["errors"] = [{"pointer": receipt.pointer, "detail": receipt.detail}]
            case DuplicateOf():
                result["status"], result["duplicate_of"] = "duplicate", asdict(receipt)
            case Kept():
                result["status"], result["kept"] = "accepted", receipt.detail
            case status:
                result["status"] = status
    return results


def _is_known_elsewhere(engine: ApiEngine, item: object) -> bool:
    """Whether only a process of another build knows this type of event, as while a release rolls."""
    kind = item.get("type") if isinstance(item, dict) else None
    return isinstance(kind, str) and kind not in CATALOGUE and kind in engine.processes.others.event_types


def _source_refusal(source: str, key: Key) -> str | None:
    """Why an event may not be posted under this source with this key, as a sentence; None when it may."""
    if is_reserved(source):
        return "This source is the engine's own; name the system that sends the event, such as /cashier."
    return key.source_refusal(source)


async def _ingest_stream(request: Request, engine: ApiEngine, key: Key, mode: Mode) -> JsonObject:
    counts = _count(())
    listed: list[ItemAnswer] = []
    lines_kept = 0
    # Once a line has to come again, so has every later one, whatever the backlog does: a player's events keep their
    # order. The rest is read all the same, for what protects in it, and because a sender hears nothing before its end.
    urgent_only = False
    try:
        async for batch in _batches(request.stream(), engine.settings.batch_limit, engine.settings.body_limit):
            unread = [line.result() for line in batch if isinstance(line, UnreadableLine)]
            counts["rejected"] += len(unread)
            listed += unread
            read = [line for line in batch if isinstance(line, ParsedLine)]
            suspect = any(line.suspect for line in read)
            items = [line.item for line in read]
            results = await _ingest_items(engine, key, items, mode, suspect=suspect, urgent_only=urgent_only)
            for name, count in _count(results).items():
                counts[name] += count
            listed += [
                {**result, "line": line.number}
                for line, result in zip(read, results, strict=True)
                if result["status"] == "rejected" or "kept" in result or "warning" in result
            ]
            del listed[MAX_LISTED:]
            urgent_only = counts["later"] > 0
            lines_kept = lines_kept if urgent_only else batch[-1].number
    except AWAY as error:
        why = "More is sent than can be taken in" if isinstance(error, AdmissionTimeout) else "Postgres went away"
        detail = f"{why}: the lines up to {lines_kept} are kept, send all of it again."
        raise away(detail, {"lines_kept": lines_kept, **counts}) from None
    listed.sort(key=lambda result: result["line"])
    return {**counts, **({"lines_kept": lines_kept} if urgent_only else {}), "results": listed}


class ParsedLine:
    """A line of a stream that is JSON."""

    __slots__ = ("item", "number", "suspect")

    def __init__(self, number: int, item: object, *, suspect: bool) -> None:
        self.number = number
        self.item = item
        self.suspect = suspect


class UnreadableLine:
    """A line of a stream that cannot be read, and why."""

    __slots__ = ("detail", "number")

    def __init__(self, number: int, detail: str) -> None:
        self.number = number
        self.detail = detail

    def result(self) -> ItemAnswer:
        """What the answer says of it."""
        faults = [{"pointer": "", "detail": self.detail}]
        return {"id": None, "source": None, "status": "rejected", "line": self.number, "errors": faults}


async def _batches(
    stream: AsyncIterator[bytes], batch_limit: int, body_limit: int
) -> AsyncIterator[list[ParsedLine | UnreadableLine]]:
    """The lines of a stream in batches that fit in memory, blank lines left out."""
    batch: list[ParsedLine | UnreadableLine] = []
    size = 0
    number = 0
    async for raw in _lines(stream):
        number += 1
        if number == 1 and raw is not None:
            raw = raw.removeprefix(BYTE_ORDER_MARK)  # noqa: PLW2901 - the same line
        if raw is not None and not raw.strip():
            continue
        batch.append(_line(number, raw))
        size += len(raw or b"")
        if len(batch) >= batch_limit or size >= body_limit:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _line(number: int, raw: bytes | None) -> ParsedLine | UnreadableLine:
    if raw is None:
        return UnreadableLine(number, f"The line is longer than {LINE_LIMIT} bytes.")
    if (excess := ITEM.text_excess(raw)) is not None:
        return UnreadableLine(number, excess)
    try:
        item, suspect = read_json(raw)
    except ValueError as error:
        return UnreadableLine(number, f"The line is not UTF-8 JSON: {error}.")
    return ParsedLine(number, item, suspect=suspect)


async def _lines(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes | None]:
    """Each line without its end; None for one too long, of which no more than the limit is ever held."""
    rest = b""
    overlong = False
    async for chunk in stream:
        first, *others = chunk.split(b"\n")
        rest += first
        for line in others:
            yield None if overlong or len(rest) > LINE_LIMIT else rest
            rest, overlong = line, False
        if len(rest) > LINE_LIMIT:
            rest, overlong = b"", True
    if rest or overlong:
        yield None if overlong else rest


def _text_of(item: object, name: str) -> str | None:
    value = item.get(name) if isinstance(item, dict) else None
    if not isinstance(value, str):
        return None
    # Half a character can be read and not be written.
    return value[:255] if value.isascii() else value[:255].encode(errors="replace").decode()


def _count(results: Sequence[ItemAnswer]) -> dict[str, int]:
    counts = {"accepted": 0, "duplicate": 0, "rejected": 0, "later": 0}
    for result in results:
        counts[result["status"]] += 1
    return counts


def _answer(engine: ApiEngine, summary: JsonObject, mode: Mode) -> Response:
    for status in ("accepted", "duplicate", "rejected"):
        if summary[status]:
            EVENTS.labels(status, mode).inc(summary[status])
    if summary["later"]:
        raise busy(engine.pressure.retry_after, summary)
    del summary["later"]
    return Response(orjson.dumps(summary), 202, media_type=JSON_TYPE)
