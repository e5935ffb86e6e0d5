"""What a provider answers is read as far as an answer can be, packed or not."""

import gzip
import json
import tracemalloc
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx
import pytest

from activities.providers.adapter import Delivered, OutgoingMessage
from activities.providers.bounded_answer import MOST, ask
from activities.providers.webhook import WebhookAdapter
from tests.support.loopback_server import scripted

BOMB = gzip.compress(b'{"id":"' + b"a" * 30_000_000 + b'"}', 9)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=20) as made:
        yield made


def said(content: bytes, *headers: str, status: int = 200) -> bytes:
    lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(content)}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + content


async def test_an_answer_is_read_as_it_is(client: httpx.AsyncClient) -> None:
    packed = said(gzip.compress(b'{"id": "2"}'), "Content-Encoding: gzip", "Retry-After: 3", status=429)
    async with scripted(said(b'{"id": "1"}'), packed) as provider:
        first = await ask(client, "POST", provider.url, json={"a": 1}, headers={"Idempotency-Key": "k"})
        second = await ask(client, "GET", provider.url)
    assert (first.status_code, first.json()) == (200, {"id": "1"})
    assert (second.status_code, second.json(), second.headers["retry-after"]) == (429, {"id": "2"}, "3")
    assert (provider.asked[0].headers["idempotency-key"], json.loads(provider.asked[0].body)) == ("k", {"a": 1})


@pytest.mark.parametrize(
    "answer",
    [
        said(BOMB, "Content-Encoding: gzip"),
        said(b"x" * (MOST + 1)),
        said(b"not gzip", "Content-Encoding: gzip"),
        said(b"whatever", "Content-Encoding: br"),
    ],
    ids=["bomb", "long", "no gzip", "unknown"],
)
async def test_one_that_cannot_be_an_answer_keeps_its_status_only(client: httpx.AsyncClient, answer: bytes) -> None:
    async with scripted(answer) as provider:
        tracemalloc.start()
        try:
            response = await ask(client, "GET", provider.url)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert (response.status_code, response.content) == (200, b"")
    assert peak < 20_000_000


async def test_a_redirect_is_not_followed(client: httpx.AsyncClient) -> None:
    async with scripted(said(b"", "Location: /stolen", status=307)) as provider:
        assert (await ask(client, "GET", provider.url)).status_code == 307
    assert len(provider.asked) == 1


async def test_a_gateway_that_answers_nonsense_has_taken_the_message(client: httpx.AsyncClient) -> None:
    message = OutgoingMessage(
        key="run/send:hello#1/sms",
        brand="demo",
        brand_name="Demo",
        channel="sms",
        message_class="service",
        to="+380501234567",
        title="",
        body="Hello.",
        language="en",
    )
    async with scripted(said(b"[" * 50_000, status=202)) as gateway:
        adapter = WebhookAdapter(gateway.url, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", client)
        delivered = await adapter.deliver(message, datetime(2026, 1, 15, tzinfo=UTC))
    assert delivered == Delivered(message.key)
