"""What comes in over HTTP: bodies in every form they are read in, headers, tokens, and what providers answer."""

import gzip
import math
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

import httpx
import orjson
from itsdangerous import URLSafeSerializer
from standardwebhooks import Webhook, WebhookVerificationError
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from activities.api_keys import well_formed
from activities.providers.bonus_engine import ProviderError, _declined, _settled
from activities.providers.bounded_answer import _unpacked
from activities.providers.webhook import _reference, retry_after
from activities.unsubscribe_links import UnsubscribeLinks
from api.bounds import ITEM, batch_bounds
from api.cloudevents import is_player_id, read_event
from api.content_encoding import ContentEncoding
from api.events import (
    BATCH_TYPE,
    JSON_TYPE,
    SINGLE_TYPE,
    STREAM_TYPE,
    ParsedLine,
    UnreadableAttributes,
    UnreadableLine,
    _batches,
    _items,
    _text_of,
)
from api.integrations.authorization import authorization_of
from api.integrations.body import read_document
from api.integrations.fasttrack.round_assembly import RoundPart, whole_round
from api.integrations.outcomes import Mapped, MessageRefused, Outcome
from api.integrations.segment.to_events import read_message
from api.middleware import BodyBounds
from api.pagination import PageQuery
from api.problems import Problem
from tests.fuzz.parser import FuzzedParser, as_text, finished, split, told
from tests.support.integration_messages import FEED, IDENTIFY, NOON, TRACK, WORDS, cloud_event
from workflows.events import CATALOGUE

BRAND: Final = "acme"
LIMIT: Final = 200
BOUNDS: Final = batch_bounds(4 * 1024 * 1024, 1_000)
SECRET: Final = "a secret of twenty-four bytes"
HOOK: Final = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


EVENTS: Final = [
    cloud_event(kind.type, kind.example().to_wire()["data"])
    for kind in CATALOGUE.values()
    if not kind.derived and kind.__module__.startswith("workflows.events.")
]
SEEDS: Final = [orjson.dumps(event) for event in EVENTS]
FORMS: Final = [
    b'{"a":"\\ud83d"}',
    b'\xef\xbb\xbf{"a":1e309}',
    b"[" * 2_000 + b"]" * 2_000,
    b'{"a":"\\ud83d","time":"0001-01-01T00:00:00+14:00","amount":1E-99999999999999999999999}',
    b"[" + b"{}," * 2_000 + b"{}]",
    b'{"\\u0000":[1,-0.0,9223372036854775808,123456789012345678901234567890,1E-999999999]}',
]


def arrived(path: str, headers: dict[str, str], pieces: Sequence[bytes]) -> tuple[Request, bytes] | None:
    """A request as a route sees it, and its body; None when it was refused at the door."""
    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": path,
        "headers": [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()],
    }
    messages = iter([*({"body": piece, "more_body": True} for piece in pieces), {"body": b"", "more_body": False}])

    async def receive() -> Message:
        return {"type": "http.request", **next(messages)}

    async def send(_: Message) -> None:
        raise AssertionError("nobody answers here")

    seen: list[tuple[Request, bytes]] = []

    async def route(inner: Scope, receiving: Receive, _: Send) -> None:
        request = Request(inner, receiving)
        seen.append((request, await request.body()))

    try:
        finished(ContentEncoding(BodyBounds(route, batches=BOUNDS))(scope, receive, send))
    except Problem as problem:
        told(problem.detail)
        return None
    return seen[0]


def judged(item: object, *, suspect: bool) -> None:
    """Read one event; what is said of it can be written, and what is taken can be kept."""
    told([_text_of(item, "id"), _text_of(item, "source")])
    if isinstance(item, UnreadableAttributes):
        told(item.faults)
        return
    read = read_event(item, BRAND, NOON, suspect=suspect)
    if isinstance(read, list):
        assert read
        told(read)
        return
    player_id, event = read
    assert is_player_id(player_id)
    kept = orjson.dumps(event.to_wire())
    assert b"\\u0000" not in kept.replace(b"\\\\", b"")


def body_of(media_type: str) -> "FuzzedParser":
    def run(data: bytes) -> None:
        came = arrived("/v1/events", {"content-type": media_type}, [data])
        if came is None:
            return
        try:
            items, suspect = _items(media_type, came[0].headers, came[1])
        except Problem as problem:
            told(problem.detail)
            return
        for item in items[:LIMIT]:
            judged(item, suspect=suspect)

    seeds = SEEDS if media_type == SINGLE_TYPE else [b"[" + b",".join(SEEDS[at : at + 3]) + b"]" for at in (0, 9, 30)]
    name = {SINGLE_TYPE: "structured", BATCH_TYPE: "batch", JSON_TYPE: "json"}[media_type]
    return FuzzedParser(f"cloudevents-{name}", run, [*seeds, *FORMS])


def binary(data: bytes) -> None:
    """Lines of headers, then a body."""
    head, body = split(data, 2)
    lines = (line.partition(b":") for line in head.split(b"\n")[:60])
    named = [(name.strip().lower(), value.strip()) for name, _, value in lines if name.strip()]
    headers = Headers(raw=[(b"ce-specversion", b"1.0"), *named])
    try:
        items, suspect = _items(JSON_TYPE, headers, body)
    except Problem as problem:
        told(problem.detail)
        return
    for item in items:
        judged(item, suspect=suspect)


def binary_seed(event: dict[str, Any]) -> bytes:
    head = "\n".join(f"ce-{name}: {value}" for name, value in event.items() if name != "data")
    return head.encode() + b"\x00" + orjson.dumps(event["data"])


def lines_of(pieces: Sequence[bytes]) -> list[ParsedLine | UnreadableLine]:
    async def stream() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    async def collect() -> list[ParsedLine | UnreadableLine]:
        return [line async for batch in _batches(stream(), LIMIT, 65_536) for line in batch]

    return finished(collect())


def stream(data: bytes) -> None:
    """A stream in pieces: how it was cut changes nothing."""
    size, rest = 1 + 13 * (data[0] if data else 0), data[1:]
    whole = lines_of([rest])
    pieces = lines_of([rest[at : at + size] for at in range(0, len(rest), size)])
    assert [(type(line), line.number) for line in pieces] == [(type(line), line.number) for line in whole]
    for line in whole:
        if isinstance(line, ParsedLine):
            judged(line.item, suspect=line.suspect)
        else:
            told(line.result())


def taken(outcome: Outcome) -> None:
    """What a message of another system tells: facts that can be read, or faults that can be written."""
    if isinstance(outcome, MessageRefused):
        assert outcome.faults
        told(list(outcome.faults))
    if isinstance(outcome, Mapped):
        for fact in outcome.facts:
            read = fact.read_event(BRAND, NOON)
            told(read if isinstance(read, list) else read[1].to_wire())


def document_of(path: str, data: bytes) -> object:
    """The document of a body as the dialects read it; None when it is refused."""
    came = arrived(path, {"content-type": "application/json"}, [data])
    if came is None:
        return None
    try:
        return finished(read_document(came[0]))
    except Problem as problem:
        told(problem.detail)
        return None


def segment(data: bytes) -> None:
    """One message, or a batch of them."""
    document = document_of("/v1/batch", data)
    batch = document.get("batch") if isinstance(document, dict) else None
    for message in batch[:LIMIT] if isinstance(batch, list) else [document]:
        if ITEM.excess(message) is None:
            taken(read_message(message, None, WORDS, NOON))


def fast_track(data: bytes) -> None:
    """The first byte says which message it is."""
    readers = [reader for reader, _ in FEED.values()]
    document = document_of("/v1/integration/payment", data[1:])
    if document is not None and ITEM.excess(document) is None:
        taken(readers[(data[0] if data else 0) % len(readers)](document, WORDS))


def rounds(data: bytes) -> None:
    """The parts of rounds, put together in every order they may come in."""
    document = document_of("/v1/integration/casino", data)
    read_casino, _ = FEED["casino"]
    parts: list[RoundPart] = []
    for message in document[:20] if isinstance(document, list) else []:
        outcome = read_casino(message, WORDS)
        taken(outcome)
        for fact in outcome.facts if isinstance(outcome, Mapped) else ():
            read = fact.read_event(BRAND, NOON)
            if isinstance(read, tuple) and isinstance(read[1], RoundPart):
                parts.append(read[1])
    one, other = whole_round("p-1", parts), whole_round("p-1", parts[::-1])
    assert (one is None) == (other is None)
    if one is not None:
        read = one.read_event(BRAND, NOON)
        told(read if isinstance(read, list) else read[1].to_wire())


def round_seeds() -> Iterator[bytes]:
    _, bet = FEED["casino"]
    bet = {name: float(value) if name.endswith(("amount", "after")) else value for name, value in bet.items()}
    yield orjson.dumps([bet, bet | {"activity_id": "a-2", "type": "Win", "is_round_end": True}])
    yield orjson.dumps([bet | {"status": "Rollback"}, bet, bet | {"type": "Loss", "amount": 1e15}])


def encoded(data: bytes) -> None:
    """A gzipped body in pieces; what zlib reads is what arrives."""
    size, rest = 1 + 7 * (data[0] if data else 0), data[1:]
    pieces = [rest[at : at + size] for at in range(0, len(rest), size)]
    came = arrived("/v1/events", {"content-type": JSON_TYPE, "content-encoding": "gzip"}, pieces)
    if came is not None:
        assert came[1] == gzip.decompress(rest)


def authorization(data: bytes) -> None:
    """The headers that a key may come in."""
    header, key = split(data, 2)
    raw = [(b"authorization", header.replace(b"\n", b" ")), (b"x-api-key", key)]
    for path in ("/v1/track", "/v1/events", "/v1/integration/login"):
        well_formed((authorization_of(path, Headers(raw=raw)) or "").partition(" ")[2].strip())


def cursor(data: bytes) -> None:
    """A page token, as it came and as what it would hold."""
    for token in (as_text(data)[:1_000], urlsafe_b64encode(data)[:1_000].decode()):
        query = PageQuery(page_token=token)
        for kinds in ((datetime, str), (int,), (str,)):
            try:
                keys = query.after("fuzz", *kinds)
            except Problem as problem:
                told(problem.detail)
            else:
                assert keys is not None
                assert [type(key) for key in keys] == [*kinds]


def cursor_seeds() -> Iterator[bytes]:
    query = PageQuery(page_size=1)
    for keys in ((NOON, "e-1"), (7,), ("p-1",)):
        _, token = query.page("fuzz", [keys, keys], lambda row: row)
        assert token is not None
        yield token.encode()
        yield orjson.dumps([query._mark("fuzz"), *keys])


LINKS: Final = UnsubscribeLinks([SECRET], HOOK)


def link(data: bytes) -> None:
    """The token of an unsubscribe link: ours, or no token at all."""
    claims = LINKS.read(as_text(data))
    assert claims is None or len(claims) == 3


def signature(data: bytes) -> None:
    """What a gateway is sent, with its three headers."""
    headers, body = split(data, 2)
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    given = dict(zip(names, as_text(headers).split("\n"), strict=False))
    with suppress(WebhookVerificationError, ValueError):
        Webhook(HOOK).verify(body, given)


def provider_answer(data: bytes) -> None:
    """A provider's answer: a header, and a body that is packed or not."""
    header, body = split(data, 2)
    pause = retry_after(as_text(header), NOON)
    assert pause is None or math.isfinite(pause.total_seconds())
    for content in (body, _unpacked(body, "gzip"), _unpacked(body, as_text(header))):
        response = httpx.Response(200, content=content)
        _reference(response)
        for read in (_settled, _declined):
            with suppress(ProviderError):
                read(response)


def signed() -> bytes:
    at, body = datetime(2026, 1, 15, tzinfo=UTC), '{"type":"message.sms","data":{}}'
    head = f"msg_1\n{int(at.timestamp())}\n{Webhook(HOOK).sign('msg_1', at, body)}"
    return head.encode() + b"\x00" + body.encode()


PARSERS: Final = [
    body_of(SINGLE_TYPE),
    body_of(BATCH_TYPE),
    body_of(JSON_TYPE),
    FuzzedParser("cloudevents-binary", binary, [*map(binary_seed, EVENTS[:6]), b"ce-id: %e9%80\nce-time: x\x00{}"]),
    FuzzedParser(
        f"cloudevents-{STREAM_TYPE.rpartition('-')[2]}",
        stream,
        [b"\x01" + b"\n".join(SEEDS[:4]), b"\xff\xef\xbb\xbf" + b"\r\n".join([*SEEDS[:2], b"{", b"", b'"a"'])],
    ),
    FuzzedParser(
        "segment",
        segment,
        [
            orjson.dumps({"batch": [TRACK, IDENTIFY, TRACK | {"type": "page"}]}, default=float),
            *(orjson.dumps(one, default=float) for one in (TRACK, IDENTIFY)),
            b'{"type":"track","event":"Deposit Approved","userId":"p","messageId":"\\ud83d","properties":{}}',
            *FORMS,
        ],
    ),
    FuzzedParser(
        "fast-track",
        fast_track,
        [bytes([at]) + orjson.dumps(message, default=float) for at, (_, message) in enumerate(FEED.values())],
    ),
    FuzzedParser("rounds", rounds, list(round_seeds())),
    FuzzedParser(
        "content-encoding",
        encoded,
        [b"\x03" + gzip.compress(SEEDS[0]), b"\xff" + gzip.compress(b"0" * 100_000), b"\x01" + gzip.compress(b"")],
    ),
    FuzzedParser("authorization", authorization, [b"Basic angxOg==\x00jx_1", b"bearer jx_1", b"Basic \xff"]),
    FuzzedParser("cursors", cursor, list(cursor_seeds())),
    FuzzedParser(
        "links",
        link,
        [
            LINKS.token(BRAND, "p-1", "email").encode(),
            URLSafeSerializer(SECRET).dumps([BRAND, "p-1", "x" * 500]).encode(),
            b"YWNtZQ.c2lnbg",
        ],
    ),
    FuzzedParser(
        "signatures",
        signature,
        [signed(), b"msg_1\n99999999999999999999\nv1,x v1,\x00{}", b"\xc3\xa9\n1\nv1,\xc3\xa9\x00"],
    ),
    FuzzedParser(
        "provider-answers",
        provider_answer,
        [
            b'Wed, 21 Oct 2026 07:28:00 GMT\x00{"id":"m-1"}',
            b"\x1c3\x00{}",
            b'120\x00{"provider_ref":"r-1","status":"credited"}',
            b"gzip\x00" + gzip.compress(b'{"reason":"not_eligible"}'),
            b"\x00" + b"[" * 9_000,
        ],
    ),
]
