"""Events in over HTTP: each kept once, each answered, and nothing lost or half-kept."""

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Table

from activities.api_keys import create_key, revoke_key
from activities.tables import api_keys, events, players, runs
from api.cloudevents import read_event
from api.events import LINE_LIMIT
from local.ports import free_port
from tests.support.api_client import BACKEND, Api, serving
from tests.support.engine import Row, rows
from tests.support.machine import promised
from workflows.events import CATALOGUE
from workflows.events.base import ENVELOPE

SINGLE = {"Content-Type": "application/cloudevents+json"}
BATCH = {"Content-Type": "application/cloudevents-batch+json"}
STREAM = {"Content-Type": "application/x-ndjson"}


@pytest.fixture(scope="module")
async def served(module_postgres_url: str) -> AsyncIterator[Api]:
    async with serving(module_postgres_url, batch_limit=100, body_limit=64 * 1024) as application:
        yield application


@pytest.fixture
async def backend(api: Api) -> httpx.AsyncClient:
    return await api.client(*BACKEND)


#: Never stored anywhere, but its check is right.
WELL_FORMED = "jx_000000000000000000000000000000_2C8GjS"


def event(number: int = 1, **changes: Any) -> dict[str, Any]:
    made = {
        "specversion": "1.0",
        "id": f"deposit-{number}",
        "source": "/cashier",
        "type": "igaming.payment.deposit_approved.v1",
        "subject": f"player-{number}",
        "time": datetime.now(UTC).isoformat(),
        "data": {"payment_id": f"pay-{number}", "amount_minor": 1900, "currency": "EUR", "method": "card"},
    }
    return {name: value for name, value in (made | changes).items() if value is not ...}


def lines(events: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(made).encode() + b"\n" for made in events)


async def rows_of(api: Api, table: Table) -> list[Row]:
    return await rows(api.engine.database, table, brand=api.brand)


async def kept(api: Api) -> list[str]:
    return [row["id"] for row in sorted(await rows_of(api, events), key=lambda row: int(row["seq"]))]


async def test_an_event_is_accepted_once_and_then_known(api: Api, backend: httpx.AsyncClient) -> None:
    first = await backend.post("/v1/events", json=event(), headers=SINGLE)
    second = await backend.post("/v1/events", json=event(), headers=SINGLE)
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json() == {
        "accepted": 1,
        "duplicate": 0,
        "rejected": 0,
        "results": [{"id": "deposit-1", "source": "/cashier", "status": "accepted"}],
    }
    assert second.json()["results"][0]["status"] == "duplicate"
    assert await kept(api) == ["deposit-1"]


async def test_a_bad_event_never_costs_its_neighbours(api: Api, backend: httpx.AsyncClient) -> None:
    bad = event(2, data={"amount_minor": "much", "currency": "EUR"})
    answer = await backend.post("/v1/events", json=[event(1), bad, "nonsense", event(1), event(3)], headers=BATCH)
    assert answer.status_code == 202
    results = answer.json()["results"]
    assert [result["status"] for result in results] == ["accepted", "rejected", "rejected", "duplicate", "accepted"]
    assert {fault["pointer"] for fault in results[1]["errors"]} >= {"/data/amount_minor"}
    assert all(fault["detail"].endswith(".") for fault in results[1]["errors"])
    assert (answer.json()["accepted"], answer.json()["duplicate"], answer.json()["rejected"]) == (2, 1, 2)
    assert await kept(api) == ["deposit-1", "deposit-3"]


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"specversion": "0.3"}, "/specversion"),
        ({"id": ""}, "/id"),
        ({"id": ...}, "/id"),
        ({"source": 7}, "/source"),
        ({"subject": ...}, "/subject"),
        ({"subject": "white space"}, "/subject"),
        ({"subject": "x\n"}, "/subject"),
        ({"type": "igaming.unheard.of.v1"}, "/type"),
        ({"type": ["list"]}, "/type"),
        ({"type": "igaming.derived.loss_streak.v1", "data": {"rounds": 3}}, "/type"),
        ({"time": "yesterday"}, "/time"),
        ({"time": "2026-01-15T12:00:00"}, "/time"),
        ({"time": 1768478400}, "/time"),
        ({"time": (datetime.now(UTC) + timedelta(days=1)).isoformat()}, "/time"),
        ({"brandid": "another"}, "/brandid"),
        ({"data": []}, "/data"),
        ({"data_base64": "e30="}, "/datacontenttype"),
        ({"id": "nul\x00"}, "/id"),
        ({"data": {"payment_id": "a\x00", "amount_minor": 1, "currency": "EUR"}}, "/data/payment_id"),
        ({"extension": {"deep": ["\x00"]}}, "/extension/deep/0"),
    ],
)
async def test_a_fault_is_pointed_at(
    api: Api, backend: httpx.AsyncClient, changes: dict[str, Any], pointer: str
) -> None:
    answer = await backend.post("/v1/events", json=[event(1, **changes), event(2)], headers=BATCH)
    rejected, accepted = answer.json()["results"]
    assert (rejected["status"], accepted["status"]) == ("rejected", "accepted")
    assert pointer in {fault["pointer"] for fault in rejected["errors"]}
    assert await kept(api) == ["deposit-2"]


async def test_the_catalogue_tells_what_may_be_sent_and_its_examples_are_taken(api: Api) -> None:
    # A backend judges no signs of harm: that example needs the scope of who is trained for it.
    backend = await api.client(*BACKEND, "harm:review")
    listed = (await backend.get("/v1/event-types")).json()["items"]
    assert [each["type"] for each in listed] == sorted(CATALOGUE)
    derived = {each["type"] for each in listed if not each["postable"]}
    assert derived == {name for name, kind in CATALOGUE.items() if kind.derived}
    postable = [each for each in listed if each["postable"] and each["example"]]
    shipped = {name for name, kind in CATALOGUE.items() if kind.__module__.startswith("workflows.")}
    for each in listed:
        # Events that other tests declare stand in the same catalogue.
        assert each["description"] or each["type"] not in shipped
        assert not set(each["data_schema"]["properties"]) & ENVELOPE
    # The examples share one identity.
    told = [each["example"] | {"id": each["type"]} for each in postable]
    answer = await backend.post("/v1/events", json=told, headers=BATCH)
    assert [one for one in answer.json()["results"] if one["status"] == "rejected"] == []
    assert answer.json()["accepted"] == len(postable)
    derived_one = next(each for each in listed if not each["postable"])
    answer = await backend.post("/v1/events", json=derived_one["example"], headers=SINGLE)
    assert answer.json()["rejected"] == 1


@pytest.mark.parametrize(
    ("kind", "hint"),
    [
        ("payment.deposit_approved", "Did you mean igaming.payment.deposit_approved.v1?"),
        ("igaming.payment.deposit_aproved.v1", "Did you mean igaming.payment.deposit_approved.v1?"),
        ("igaming.Player.Registred.v1", "Did you mean igaming.player.registered.v1?"),
        ("com.example.weather.v1", "GET /v1/event-types lists them."),
        ("x" * 100_000, "GET /v1/event-types lists them."),
    ],
)
def test_a_type_that_nobody_declared_names_the_one_that_is_near(kind: str, hint: str) -> None:
    read = read_event(event(type=kind), "acme", datetime.now(UTC))
    assert isinstance(read, list)
    assert read[0]["detail"].endswith(f" {hint}")


@pytest.mark.parametrize(("ahead", "taken"), [(300, True), (301, False)])
def test_a_sender_may_be_five_minutes_ahead_of_us(ahead: int, *, taken: bool) -> None:
    now = datetime(2026, 1, 15, 12, tzinfo=UTC)
    read = read_event(event(time=(now + timedelta(seconds=ahead)).isoformat()), "acme", now)
    assert isinstance(read, tuple) is taken


async def test_an_event_without_time_happened_when_it_came(api: Api, backend: httpx.AsyncClient) -> None:
    await backend.post("/v1/events", json=event(time=...), headers=SINGLE)
    (row,) = await rows_of(api, events)
    assert abs(row["occurred_at"] - datetime.now(UTC)) < timedelta(minutes=5)


async def test_binary_mode_is_taken(api: Api, backend: httpx.AsyncClient) -> None:
    made = event(time=...)
    headers = {f"ce-{name}": value for name, value in made.items() if name != "data"}
    answer = await backend.post("/v1/events", json=made["data"], headers=headers)
    assert answer.json()["results"] == [{"id": "deposit-1", "source": "/cashier", "status": "accepted"}]
    assert await kept(api) == ["deposit-1"]


async def test_history_advances_the_player_and_starts_nothing(api: Api, backend: httpx.AsyncClient) -> None:
    registered = event(type="igaming.player.registered.v1", data={"language": "uk"})
    await backend.post("/v1/events", params={"mode": "history"}, json=[registered], headers=BATCH)
    (player,) = await rows_of(api, players)
    assert player["state"]["counts"] == {"player.registered": 1}
    assert await rows_of(api, runs) == []


async def test_personal_data_is_kept_in_the_profile(api: Api, backend: httpx.AsyncClient) -> None:
    registered = event(type="igaming.player.registered.v1", data={"email": "anna@example.com", "language": "uk"})
    await backend.post("/v1/events", json=registered, headers=SINGLE)
    (player,) = await rows_of(api, players)
    assert player["profile"] == {"email": "anna@example.com"}
    assert "anna" not in str(player["state"])


async def test_a_stream_of_many_batches_is_taken(api: Api, backend: httpx.AsyncClient) -> None:
    made = [event(n, subject=f"player-{n % 50}") for n in range(2_000)]
    made[7]["data"]["amount_minor"] = -1
    body = lines(made).replace(b'"deposit-9"', b'"deposit-9', 1) + b"\n   \n" + lines([made[0]])

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 7_919):
            yield body[start : start + 7_919]

    answer = await backend.post("/v1/events", params={"mode": "history"}, content=chunks(), headers=STREAM)
    assert answer.status_code == 202
    summary = answer.json()
    assert (summary["accepted"], summary["duplicate"], summary["rejected"]) == (1_998, 1, 2)
    assert [result["line"] for result in summary["results"]] == [8, 10]
    assert summary["results"][0]["errors"][0]["pointer"] == "/data/amount_minor"
    assert len(await kept(api)) == 1_998


async def test_a_line_too_long_is_refused_without_its_neighbours(backend: httpx.AsyncClient) -> None:
    long = event(2, data={"filler": "x" * LINE_LIMIT})
    answer = await backend.post("/v1/events", content=lines([event(1), long, event(3)]), headers=STREAM)
    assert answer.json()["accepted"] == 2
    assert [(result["line"], result["status"]) for result in answer.json()["results"]] == [(2, "rejected")]


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        (SINGLE, b"{", 400),
        (SINGLE, b"[]", 400),
        (BATCH, b"{}", 400),
        (BATCH, b"\xff", 400),
        (BATCH, b"[" * 5_000, 400),
        ({"Content-Type": "text/plain"}, b"{}", 415),
        ({}, b"{}", 415),
        (BATCH, b"[" + b"1," * 100 + b"1]", 413),
        (BATCH, b'["' + b"x" * 70_000 + b'"]', 413),
    ],
)
async def test_a_body_that_cannot_be_taken_is_a_problem(
    backend: httpx.AsyncClient, headers: dict[str, str], body: bytes, status: int
) -> None:
    answer = await backend.post("/v1/events", content=body, headers=headers)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status


async def test_the_guide_and_the_refusal_name_every_content_type(backend: httpx.AsyncClient) -> None:
    answer = await backend.post("/v1/events", content=b"{}", headers={"Content-Type": "text/plain"})
    guide = (Path(__file__).parent.parent.parent / "docs" / "api.md").read_text()
    described = set(re.findall(r"^\| `(application/[\w.+-]+)` \|", guide, re.MULTILINE))
    assert described == set(re.findall(r"application/[\w.+-]*\w", answer.json()["detail"]))


async def test_a_body_without_a_declared_length_is_bounded_too(backend: httpx.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 10_000

    answer = await backend.post("/v1/events", content=endless(), headers=BATCH)
    assert answer.status_code == 413


async def test_the_limits_are_published(api: Api, backend: httpx.AsyncClient) -> None:
    limits = (await backend.get("/v1/limits")).json()
    assert (limits["batch_limit"], limits["body_limit"]) == (100, 65536)
    assert "65536 bytes in a body" in (await api.anonymous.get("/openapi.json")).json()["info"]["description"]


async def test_an_empty_batch_is_no_mistake(backend: httpx.AsyncClient) -> None:
    answer = await backend.post("/v1/events", json=[], headers=BATCH)
    assert (answer.status_code, answer.json()["results"]) == (202, [])


async def test_the_same_batch_sent_many_times_at_once_counts_once(api: Api, backend: httpx.AsyncClient) -> None:
    made = [event(n, subject=f"player-{n % 3}") for n in range(30)]
    answers = await asyncio.gather(*(backend.post("/v1/events", json=made, headers=BATCH) for _ in range(8)))
    assert {answer.status_code for answer in answers} == {202}
    assert sum(answer.json()["accepted"] for answer in answers) == 30
    states = [player["state"] for player in await rows_of(api, players)]
    assert sum(state["counts"]["payment.deposit_approved"] for state in states) == 30


@pytest.mark.parametrize("authorization", [None, "Basic abc", "Bearer", "Bearer jx_short", "Bearer jx_" + "a" * 37])
async def test_without_a_valid_key_nothing_is_told(api: Api, authorization: str | None) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    for path in ("/v1/events", "/v1/nowhere"):
        answer = await api.anonymous.post(path, content=b"{", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_revoked_key_is_refused_within_a_second(api: Api) -> None:
    now = datetime.now(UTC)
    key_id, secret = await create_key(api.engine.database, api.brand, "short-lived", ["events:write"], now)
    headers = {"Authorization": f"Bearer {secret}"}
    assert (await api.anonymous.get("/v1/limits", headers=headers)).status_code == 200
    assert await revoke_key(api.engine.database, key_id, now)
    loop = asyncio.get_running_loop()
    revoked, asked, status = loop.time(), 0.0, 200
    while status != 401:
        assert asked < revoked + 1, "who asks later than a second after is refused"
        asked, status = loop.time(), (await api.anonymous.get("/v1/limits", headers=headers)).status_code
    assert not await revoke_key(api.engine.database, "unknown", now)


async def test_an_expired_key_is_refused_at_once(api: Api) -> None:
    now = datetime.now(UTC)
    _, secret = await create_key(api.engine.database, api.brand, "old", ["admin"], now, expires_at=now)
    answer = await api.anonymous.get("/v1/limits", headers={"Authorization": f"Bearer {secret}"})
    assert answer.status_code == 401
    assert "expired" in answer.json()["detail"]


async def test_a_secret_is_kept_only_as_a_hash(api: Api) -> None:
    _, secret = await create_key(api.engine.database, api.brand, "kept", ["admin"], datetime.now(UTC))
    kept_of_it = str(await rows_of(api, api_keys))
    assert "'name': 'kept'" in kept_of_it
    assert secret not in kept_of_it
    assert secret.split("_")[1] not in kept_of_it


async def test_every_answer_carries_the_security_headers(api: Api, backend: httpx.AsyncClient) -> None:
    for answer in (await backend.get("/v1/limits"), await api.anonymous.get("/v1/limits"), await backend.get("/")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "server" not in answer.headers


async def test_without_postgres_the_answer_is_503_within_a_second() -> None:
    url = f"postgresql://nobody@127.0.0.1:{free_port()}/nothing"
    await _away_within_a_second(url)


async def test_with_a_silent_postgres_the_answer_is_503_within_a_second() -> None:
    # Its kernel takes connections, and nobody ever speaks on them.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        await _away_within_a_second(f"postgresql://nobody@127.0.0.1:{port}/nothing")


async def _away_within_a_second(url: str) -> None:
    async with serving(url) as api:
        headers = SINGLE | {"Authorization": f"Bearer {WELL_FORMED}"}
        took = []
        for _ in range(3):
            began = asyncio.get_running_loop().time()
            answer = await api.anonymous.post("/v1/events", json=event(), headers=headers)
            took.append(asyncio.get_running_loop().time() - began)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        # The machine may have stood still during one of them.
        assert sorted(took)[1] < promised(1), took
        assert (await api.anonymous.get("/livez")).status_code == 200
        assert (await api.anonymous.get("/readyz")).status_code == 503
