"""What HTTP allows a body to be, at every door that takes JSON: a table of doors and ways of writing it."""

import gzip
import json
import secrets
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from tests.support.api_client import Api, serving

BOM = b"\xef\xbb\xbf"
HALF = "Jo@@"


@pytest.fixture(scope="module")
async def api(module_postgres_url: str) -> AsyncIterator[Api]:
    async with serving(module_postgres_url, body_limit=64 * 1024) as served:
        yield served


@pytest.fixture
async def sender(api: Api) -> httpx.AsyncClient:
    return await api.client("events:write", "tasks:work", "admin", brand=f"b-{secrets.token_hex(4)}")


def registered(player: str, **data: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": f"registered-{player}",
        "source": "/site",
        "type": "igaming.player.registered.v1",
        "subject": player,
        "data": {"first_name": "Anna", **data},
    }


def identify(player: str, **traits: Any) -> dict[str, Any]:
    return {"type": "identify", "messageId": f"m-{player}", "userId": player, "traits": {"firstName": "Anna", **traits}}


def user(player: str, **details: Any) -> dict[str, Any]:
    return {"user_id": player, "timestamp": "2026-01-15T12:00:00Z", "first_name": "Anna", **details}


#: Each door: its path, its content type, and a body of two players, or of one where it takes one.
Door = tuple[str, str, Callable[[], Any]]
DOORS: dict[str, Door] = {
    "one event": ("/v1/events", "application/cloudevents+json", lambda: registered("a")),
    "a batch": ("/v1/events", "application/cloudevents-batch+json", lambda: [registered("a"), registered("b")]),
    "plain JSON": ("/v1/events", "application/json", lambda: [registered("a"), registered("b")]),
    "a stream": ("/v1/events", "application/x-ndjson", lambda: [registered("a"), registered("b")]),
    "Segment, one": ("/v1/identify", "application/json", lambda: identify("a")),
    "Segment": ("/v1/batch", "application/json", lambda: {"batch": [identify("a"), identify("b")]}),
    "Fast Track": ("/v1/integration/user", "application/json", lambda: user("a")),
    "an exclusion": ("/v1/players/a/exclusion", "application/json", lambda: {"kind": "time_out", "reason": "Asked."}),
}


def written(door: str) -> bytes:
    body = DOORS[door][2]()
    if door == "a stream":
        return b"".join(json.dumps(line).encode() + b"\n" for line in body)
    return json.dumps(body).encode()


async def sent(client: httpx.AsyncClient, door: str, body: bytes, **headers: str) -> httpx.Response:
    path, content_type, _ = DOORS[door]
    told = {"Content-Type": content_type, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return await client.post(path, content=body, headers=told)


def taken(answer: httpx.Response) -> bool:
    if answer.status_code not in {200, 202}:
        return False
    told = answer.json()
    return bool(told.get("rejected", 0) == 0 and told.get("accepted", 1) >= 1)


@pytest.mark.parametrize("door", DOORS)
async def test_a_byte_order_mark_is_ignored(sender: httpx.AsyncClient, door: str) -> None:
    answer = await sent(sender, door, BOM + written(door))
    assert taken(answer), answer.text


@pytest.mark.parametrize("door", DOORS)
async def test_a_gzipped_body_is_read(sender: httpx.AsyncClient, door: str) -> None:
    answer = await sent(sender, door, gzip.compress(written(door)), Content_Encoding="gzip")
    assert taken(answer), answer.text


@pytest.mark.parametrize("door", DOORS)
async def test_another_encoding_is_415_with_its_name(sender: httpx.AsyncClient, door: str) -> None:
    for encoding in ("br", "zstd", "deflate"):
        answer = await sent(sender, door, written(door), Content_Encoding=encoding)
        assert (answer.status_code, answer.headers["content-type"]) == (415, "application/problem+json")
        assert encoding in answer.json()["detail"]


@pytest.mark.parametrize("door", DOORS)
async def test_a_body_that_is_not_what_its_encoding_says_is_never_taken(sender: httpx.AsyncClient, door: str) -> None:
    for body in (written(door), gzip.compress(written(door))[:-4], gzip.compress(written(door)) * 2):
        assert (await sent(sender, door, body, Content_Encoding="gzip")).status_code == 400


@pytest.mark.parametrize("door", DOORS)
async def test_a_body_that_unpacks_to_too_much_is_413(sender: httpx.AsyncClient, door: str) -> None:
    bomb = gzip.compress(b" " * 20_000_000 + written(door))
    assert (await sent(sender, door, bomb, Content_Encoding="gzip")).status_code == 413


@pytest.mark.parametrize("parameter", ["; charset=utf-8", ";charset=UTF-8", ' ; Charset="utf-8"'])
@pytest.mark.parametrize("door", DOORS)
async def test_a_content_type_may_have_parameters_and_capitals(
    sender: httpx.AsyncClient, door: str, parameter: str
) -> None:
    named = DOORS[door][1].upper() + parameter
    answer = await sent(sender, door, written(door), Content_Type=named)
    assert taken(answer), answer.text


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json; charset=utf-8", "accepted"),
        ("application/json;charset=UTF-8", "accepted"),
        ("APPLICATION/JSON", "accepted"),
        ("application/vnd.cashier+json", "accepted"),
        (None, "accepted"),
        ("text/xml", "rejected"),
        ("application/jsonp", "rejected"),
        (7, "rejected"),
        ("", "rejected"),
    ],
)
async def test_the_data_s_content_type_is_a_media_type(
    sender: httpx.AsyncClient, content_type: object, status: str
) -> None:
    answer = await sender.post("/v1/events", json=registered("a") | {"datacontenttype": content_type})
    [result] = answer.json()["results"]
    assert result["status"] == status
    assert [fault["pointer"] for fault in result.get("errors", ())] == ["/datacontenttype"] * (status == "rejected")


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "application/vnd.cashier+json"])
async def test_in_binary_mode_the_content_type_is_that_of_the_data(
    sender: httpx.AsyncClient, content_type: str
) -> None:
    whole = registered("a")
    data = whole.pop("data")
    headers = {f"ce-{name}": value for name, value in whole.items()} | {"Content-Type": content_type}
    answer = await sender.post("/v1/events", content=json.dumps(data), headers=headers)
    assert answer.json()["accepted"] == 1


async def test_half_a_character_costs_one_event_of_a_batch_and_of_a_stream(api: Api, sender: httpx.AsyncClient) -> None:
    items = [registered("a"), registered("b", first_name=HALF), registered("c"), registered("@@d")]
    torn = [json.dumps(item).replace("@@", "\\ud83d").encode() for item in items]
    bodies = {"a batch": b"[" + b",".join(torn) + b"]", "a stream": b"\n".join(torn)}
    for door, body in bodies.items():
        answer = await sent(sender, door, body)
        assert answer.status_code == 202, answer.text
        refused = [result for result in answer.json()["results"] if result["status"] == "rejected"]
        assert [result["errors"][0]["pointer"] for result in refused] == ["/data/first_name", "/subject"]
        assert all("is half of one and cannot be kept." in result["errors"][0]["detail"] for result in refused)
        assert refused[0]["id"] == "registered-b"
        told = answer.json()
        assert (told["accepted"] + told["duplicate"], told["rejected"]) == (2, 2)
    async with api.engine.database.reading() as connection:
        query = text("SELECT count(*) FROM events WHERE id IN ('registered-a', 'registered-c')")
        assert (await connection.execute(query)).scalar_one() >= 2


async def test_half_a_character_costs_one_message_of_segment(sender: httpx.AsyncClient) -> None:
    batch = {"batch": [identify("a"), identify("b", firstName=HALF), identify("c"), "@@", identify("@@d")]}
    body = json.dumps(batch).replace("@@", "\\ud83d").encode()
    answer = await sent(sender, "Segment", body)
    assert answer.status_code == 200, answer.text
    results = answer.json()["results"]
    assert [result["status"] for result in results] == ["accepted", "rejected", "accepted", "rejected", "rejected"]
    assert results[1]["errors"][0]["pointer"] == "/traits/firstName"


async def test_half_a_character_is_422_where_one_message_is_sent(sender: httpx.AsyncClient) -> None:
    body = json.dumps(user("a", first_name=HALF)).replace("@@", "\\ud83d").encode()
    answer = await sent(sender, "Fast Track", body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/first_name"
    reason = json.dumps({"kind": "time_out", "reason": HALF}).replace("@@", "\\ud83d").encode()
    assert (await sent(sender, "an exclusion", reason)).status_code == 422


async def test_a_name_that_stands_twice_is_422_with_its_place_where_one_thing_is_asked(
    sender: httpx.AsyncClient,
) -> None:
    body = b'{"kind":"self_exclusion","reason":"Asked.","kind":"time_out"}'
    for sent_as, headers in ((body, {}), (BOM + body, {}), (gzip.compress(body), {"Content_Encoding": "gzip"})):
        answer = await sent(sender, "an exclusion", sent_as, **headers)
        assert answer.status_code == 422
        assert [fault["pointer"] for fault in answer.json()["errors"]] == ["/kind"]
        assert "Write this name once" in answer.json()["errors"][0]["detail"]
    deep = b'{"kind":"time_out","reason":"Asked \\"twice\\": yes","details":[{"a":1,"a":2}]}'
    assert (await sent(sender, "an exclusion", deep)).json()["errors"][0]["pointer"] == "/details/0/a"
