"""Segment over HTTP: a real client library against a real server, and what the libraries never send."""

import asyncio
import gzip
import json
import sys
from base64 import b64encode
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY
from segment.analytics.client import Client  # type: ignore[import-untyped]
from segment.analytics.request import APIError  # type: ignore[import-untyped]
from sqlalchemy import text

from local.ports import free_port
from local.supervisor import Service, http_ok
from tests.support.api_client import BACKEND, LINK_SECRET, Api, serving
from tests.support.listening import listening
from tests.support.servers import running

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
async def served(module_postgres_url: str) -> AsyncIterator[Api]:
    configured = {"Order Completed": "payment.deposit_approved"}
    async with serving(
        module_postgres_url, batch_limit=10, body_limit=64 * 1024, segment_events=configured
    ) as application:
        yield application


@pytest.fixture
async def backend(api: Api) -> httpx.AsyncClient:
    return await api.client(*BACKEND)


def track(number: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "type": "track",
        "messageId": f"message-{number}",
        "userId": "p-1",
        "event": "Deposit Approved",
        "properties": {"order_id": f"pay-{number}", "revenue": 19.99, "currency": "EUR"},
        "timestamp": datetime.now(UTC).isoformat(),
    } | changes


@pytest.mark.parametrize(
    ("event", "properties"),
    [
        ("unsubscribed", {"revenue": "much", "birthday": "no day", "list_id": {}}),
        ("Self Excluded", {"country": "Ukraine", "revenue": "much"}),
    ],
)
async def test_what_else_a_message_says_costs_no_exclusion_and_no_withdrawal(
    api: Api, backend: httpx.AsyncClient, event: str, properties: dict[str, Any]
) -> None:
    said = track(event=event, properties=properties, context={"traits": {"address": {"country": "Ukraine"}}})
    answer = (await backend.post("/v1/batch", json={"batch": [said, track(2, userId=None)]})).json()
    assert [one["status"] for one in answer["results"]] == ["accepted", "rejected"]
    assert len(await kept(api)) == 1


async def test_a_country_that_is_no_code_is_left_out_and_that_is_told(api: Api, backend: httpx.AsyncClient) -> None:
    traits = {"email": "a@example.com", "createdAt": "2026-01-15T12:00:00Z", "address": {"country": "United Kingdom"}}
    for number, country in enumerate(("United Kingdom", "UK")):
        address = {"address": {"country": country}}
        said = {"type": "identify", "messageId": f"m-{number}", "userId": f"p-{number}", "traits": traits | address}
        (result,) = (await backend.post("/v1/batch", json={"batch": [said]})).json()["results"]
        assert result["status"] == "accepted"
        told = [note["pointer"] for note in result.get("notes", [])]
        assert told == (["/traits/address/country"] if country != "UK" else [])
    countries = {data.get("country") for kind, _, data in await kept(api) if kind == "player.registered"}
    assert countries == {None, "GB"}


async def kept(api: Api) -> list[tuple[str, str, dict[str, Any]]]:
    """Every event kept: its type, its id, its data."""
    async with api.engine.database.reading() as connection:
        rows = await connection.execute(
            text("SELECT type, id, data FROM events WHERE brand = :brand"), {"brand": api.brand}
        )
        return [(row.type, row.id, row.data) for row in rows]


@pytest.fixture(scope="module")
async def address(module_postgres_url: str, session_folder: Path) -> AsyncIterator[str]:
    """The API as a process of its own that the tests of this module share."""
    port = free_port()
    service = Service(
        name=f"api-{port}",
        command=(sys.executable, "-m", "cli", "serve", "--port", str(port)),
        environment={"DATABASE_URL": module_postgres_url, "LINK_SECRETS": LINK_SECRET},
        ready=lambda _: http_ok(f"http://127.0.0.1:{port}/livez"),
    )
    async with running(service, session_folder):
        yield f"http://127.0.0.1:{port}"


class Site:
    """A casino's backend that speaks to Segment, as its developers wrote it."""

    def __init__(self, write_key: str, address: str, **options: Any) -> None:
        self.failed: list[Exception] = []
        self.client = Client(write_key, host=address, on_error=self._hear, upload_interval=0.05, timeout=60, **options)

    def _hear(self, error: Exception, _: object) -> None:
        self.failed.append(error)

    async def flushed(self) -> None:
        """Everything was sent, or given up."""
        await asyncio.to_thread(self.client.shutdown)


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
async def test_a_client_library_works_against_us(api: Api, address: str, *, compressed: bool) -> None:
    site = Site(await api.key(*BACKEND), address, gzip=compressed)
    opened = datetime.now(UTC) - timedelta(minutes=1)
    site.client.identify("p-1", {"firstName": "Anna", "email": "anna@example.com", "createdAt": opened})
    site.client.track("p-1", "Signed Up", {"signup_code": "SPRING"})
    site.client.track("p-1", "Logged In", {"platform": "ios"}, message_id="login-1")
    site.client.track("p-1", "Logged In", {"platform": "ios"}, message_id="login-1")
    site.client.track("p-1", "Deposit Approved", {"order_id": "pay-1", "revenue": 19.99, "currency": "EUR"})
    site.client.track("p-1", "payment.deposit_approved", {"payment_id": "pay-2", "amount_minor": 2, "currency": "EUR"})
    site.client.track("p-1", "Video Played", {"title": "How to bet less"})
    site.client.page("p-1", name="Lobby")
    site.client.screen("p-1", name="Lobby")
    site.client.group("p-1", "vip")
    site.client.alias("visitor-1", "p-1")
    site.client.track(anonymous_id="visitor-1", event="Logged In")
    await site.flushed()
    assert site.failed == []
    told = sorted(((kind, data) for kind, _, data in await kept(api)), key=lambda one: (one[0], str(one[1])))
    assert [kind for kind, _ in told] == [
        "payment.deposit_approved",
        "payment.deposit_approved",
        "player.profile_updated",
        "player.registered",
        "session.login",
    ]
    assert sorted(data["amount_minor"] for _, data in told[:2]) == [2, 1999]
    assert told[2][1]["changed"] == {"first_name": "Anna", "email": "anna@example.com"}
    assert told[3][1]["first_name"] == "Anna"
    async with api.engine.database.reading() as connection:
        row = (
            await connection.execute(
                text("SELECT state, profile FROM players WHERE brand = :brand"), {"brand": api.brand}
            )
        ).one()
    assert row.state["counts"]["payment.deposit_approved"] == 2
    assert row.state["deposited_minor"] == 2001
    assert row.profile["email"] == "anna@example.com"


async def test_a_library_repeats_what_found_no_server_and_it_counts_once(api: Api, module_postgres_url: str) -> None:
    port = free_port()
    site = Site(await api.key("events:write"), f"http://127.0.0.1:{port}")
    for number in range(250):
        site.client.track(f"p-{number % 7}", "Logged In", message_id=f"login-{number}")
    # A server that takes batches as long as the library's.
    async with serving(module_postgres_url) as usual, listening(usual.app, port):
        await site.flushed()
    assert site.failed == []
    assert sorted(own for _, own, _ in await kept(api)) == sorted(f"login-{number}" for number in range(250))


async def test_a_library_hears_that_its_key_is_wrong(api: Api, address: str) -> None:
    for key, status in (("not-a-key", 401), (await api.key("players:read"), 403)):
        site = Site(key, address)
        site.client.track("p-1", "Logged In")
        await site.flushed()
        [error] = site.failed
        assert isinstance(error, APIError)
        assert error.status == status
    assert await kept(api) == []


@pytest.mark.parametrize("path", ["/v1/track", "/v1/batch", "/v1/import"])
async def test_a_key_comes_as_the_user_name_of_basic_authentication(api: Api, path: str) -> None:
    key = await api.key("events:write")
    body = track() if path == "/v1/track" else {"batch": [track()]}
    for credentials in (f"{key}:", f"{key}:ignored", key):
        basic = {"Authorization": f"Basic {b64encode(credentials.encode()).decode()}"}
        answer = await api.anonymous.post(path, json=body, headers=basic)
        assert answer.status_code == 200
        assert answer.json()["success"] is True


@pytest.mark.parametrize("credentials", ["Basic", "Basic !", "Basic " + b64encode(b"jx_short:").decode(), "basic é"])
async def test_basic_authentication_that_is_no_key_is_refused(api: Api, credentials: str) -> None:
    answer = await api.anonymous.post("/v1/track", json=track(), headers={b"Authorization": credentials.encode()})
    assert answer.status_code == 401


async def test_basic_authentication_opens_no_other_path(api: Api) -> None:
    key = await api.key("admin")
    for path in ("/v1/events", "/v1/tasks", "/v1/tracks", "/v1/integration/login"):
        answer = await api.anonymous.post(path, json={}, auth=(key, ""))
        assert answer.status_code == 401


async def test_each_message_of_a_batch_has_an_answer_and_a_bad_one_costs_no_other(
    api: Api, backend: httpx.AsyncClient
) -> None:
    batch = [
        track(1),
        track(2, properties={"order_id": "pay-2", "revenue": 19.999, "currency": "EUR"}),
        track(1),
        "nonsense",
        {"type": "page", "messageId": "page-1", "userId": "p-1"},
        track(3, event="Video Played"),
        track(4, event="Order Completed"),
        track(5, userId="white space"),
        track(6, messageId=None),
        {"type": "identify", "messageId": "i-1", "userId": "p-1", "traits": {"email": "a@b.c", "birthday": "soon"}},
    ]
    before = {status: counted(status) for status in ("accepted", "ignored", "rejected")}
    answer = await backend.post("/v1/batch", json={"batch": batch})
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert [result["status"] for result in results] == [
        "accepted",
        "rejected",
        "duplicate",
        "rejected",
        "ignored",
        "ignored",
        "accepted",
        "rejected",
        "rejected",
        "rejected",
    ]
    assert {name: answer.json()[name] for name in ("success", "accepted", "duplicate", "rejected", "ignored")} == {
        "success": True,
        "accepted": 2,
        "duplicate": 1,
        "rejected": 5,
        "ignored": 2,
    }
    assert results[0]["events"] == [
        {"type": "payment.deposit_approved", "id": "message-1", "source": "/segment", "status": "accepted"}
    ]
    assert [results[index]["errors"][0]["pointer"] for index in (1, 3, 7, 8, 9)] == [
        "/properties/revenue",
        "",
        "/userId",
        "/messageId",
        "/traits/birthday",
    ]
    assert (results[4]["reason"], results[5]["reason"]) == ("unused_call", "unknown_event")
    assert [own for _, own, _ in await kept(api)] == ["message-1", "message-4"]
    assert counted("accepted") == before["accepted"] + 2
    assert counted("ignored") == before["ignored"] + 1
    assert counted("rejected") == before["rejected"] + 3


def counted(status: str) -> float:
    labels = {"dialect": "segment", "kind": "track", "status": status}
    return REGISTRY.get_sample_value("journeys_dialect_messages_total", labels) or 0.0


async def test_a_message_is_kept_whole_or_not_at_all(api: Api, backend: httpx.AsyncClient) -> None:
    far = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    traits = {"firstName": "Anna", "createdAt": far}
    answer = await backend.post("/v1/identify", json={"messageId": "i-1", "userId": "p-1", "traits": traits})
    [result] = answer.json()["results"]
    assert (result["status"], result["errors"][0]["pointer"]) == ("rejected", "/traits/createdAt")
    assert await kept(api) == []


async def test_an_identify_repeated_with_news_updates_and_does_not_register_again(backend: httpx.AsyncClient) -> None:
    opened = datetime.now(UTC).isoformat()
    statuses = []
    for own, name in (("i-1", "Anna"), ("i-2", "Hanna"), ("i-2", "Hanna")):
        traits = {"firstName": name, "createdAt": opened}
        answer = await backend.post("/v1/identify", json={"messageId": own, "userId": "p-1", "traits": traits})
        [result] = answer.json()["results"]
        statuses.append((result["status"], [event["status"] for event in result["events"]]))
    assert statuses == [
        ("accepted", ["accepted", "accepted"]),
        ("accepted", ["duplicate", "accepted"]),
        ("duplicate", ["duplicate", "duplicate"]),
    ]


async def test_an_amount_of_sixteen_digits_loses_no_cent(api: Api, backend: httpx.AsyncClient) -> None:
    body = json.dumps(track(properties={"order_id": "x", "revenue": "@", "currency": "EUR"}))
    answer = await backend.post("/v1/track", content=body.replace('"@"', "90071992547409.91"), headers=JSON)
    assert answer.json()["accepted"] == 1
    [(_, _, data)] = await kept(api)
    assert data["amount_minor"] == 2**53 - 1


@pytest.mark.parametrize("number", ["1e-99999999999999999999", "1E-999999999", "0e99999999999999999999"])
async def test_a_fraction_beyond_arithmetic_costs_no_neighbour(backend: httpx.AsyncClient, number: str) -> None:
    batch = json.dumps({"batch": [track(1, properties={"order_id": "o", "revenue": "it"}), track(2)]})
    answer = await backend.post("/v1/batch", content=batch.replace('"it"', number), headers=JSON)
    assert answer.status_code == 200, answer.text
    assert [result["status"] for result in answer.json()["results"]] == ["rejected", "accepted"]


async def test_the_context_and_time_of_a_batch_are_its_messages(api: Api, backend: httpx.AsyncClient) -> None:
    hour_ahead = datetime.now(UTC) + timedelta(hours=1)
    batch = {
        "batch": [track(event="Signed Up", timestamp=hour_ahead.isoformat())],
        "sentAt": hour_ahead.isoformat(),
        "context": {"locale": "uk"},
    }
    answer = await backend.post("/v1/batch", json=batch)
    assert answer.json()["accepted"] == 1
    [(_, own, data)] = await kept(api)
    assert (own, data["language"]) == ("registered:p-1", "uk")


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"{", JSON, 400),
        (b"[]", JSON, 400),
        (b'{"batch": {}}', JSON, 400),
        (b'{"batch": [NaN]}', JSON, 400),
        (b'{"batch": [1' + b"0" * 5_000 + b"]}", JSON, 400),
        (b'{"batch": ' + b"[" * 1_000 + b"]" * 1_000 + b"}", JSON, 400),
        (b'{"batch": []}', {"Content-Type": "text/plain"}, 415),
        (b'{"batch": []}', JSON | {"Content-Encoding": "br"}, 415),
        (b'{"batch": []}', JSON | {"Content-Encoding": "gzip"}, 400),
        (gzip.compress(b'{"batch": []}', mtime=0)[:-4], JSON | {"Content-Encoding": "gzip"}, 400),
        (gzip.compress(b'{"batch": []}', mtime=0) * 2, JSON | {"Content-Encoding": "gzip"}, 400),
        (gzip.compress(b" " * 10_000_000, mtime=0), JSON | {"Content-Encoding": "gzip"}, 413),
        (b'{"batch": [' + b" " * 65_536 + b"]}", JSON, 413),
        (json.dumps({"batch": [track(n) for n in range(11)]}).encode(), JSON, 413),
        (json.dumps({"batch": [track(n) for n in range(10)]}).encode(), JSON, 200),
        (gzip.compress(json.dumps({"batch": [track()]}).encode(), mtime=0), JSON | {"Content-Encoding": "gzip"}, 200),
        (b'{"batch": []}', {"Content-Type": "application/json; charset=utf-8"}, 200),
    ],
)
async def test_a_body_that_cannot_be_read_is_refused_as_a_whole(
    api: Api, backend: httpx.AsyncClient, content: bytes, headers: dict[str, str], status: int
) -> None:
    answer = await backend.post("/v1/batch", content=content, headers=headers)
    assert answer.status_code == status, answer.text
    if status != 200:
        assert answer.headers["content-type"] == "application/problem+json"
        assert await kept(api) == []
