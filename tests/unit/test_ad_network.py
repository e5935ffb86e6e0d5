"""Audiences at an ad network: people are added and taken out, and what is unsure is to be said again."""

import json
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from urllib.parse import parse_qsl

import httpx
import pytest
from fastapi import FastAPI, Request, Response

from activities.providers.ad_network import CustomAudiences
from activities.providers.ad_networks import AdNetworkUnavailable
from local.stand_ins.ad_network import create_app
from local.stand_ins.base import Journal

URL, TOKEN = "http://127.0.0.1/v25.0", "a-token"
ANNA, OLEH = ((sha256(name.encode()).hexdigest(), "") for name in ("anna", "oleh"))


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(Journal(tmp_path / "ads.jsonl"), TOKEN)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
        yield client


async def there(http: httpx.AsyncClient) -> list[list[str]]:
    return list((await http.get(f"{URL}/12021")).json())


async def test_who_is_added_is_there_once_and_who_is_removed_is_not(http: httpx.AsyncClient) -> None:
    network = CustomAudiences(URL, TOKEN, http)
    for _ in range(2):
        await network.add("12021", [ANNA, OLEH])
    assert await there(http) == sorted([list(ANNA), list(OLEH)])
    for _ in range(2):
        await network.remove("12021", [ANNA])
    assert await there(http) == [list(OLEH)]


async def test_who_joins_leaves_and_joins_again_is_told_in_a_session_of_its_own_each_time() -> None:
    app, sessions = FastAPI(), list[str]()

    @app.api_route("/v25.0/12021/users", methods=["POST", "DELETE"])
    async def users(request: Request) -> dict[str, int]:
        sessions.append(dict(parse_qsl((await request.body()).decode()))["session"])
        return {"num_received": 1, "num_invalid_entries": 0}

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
        network = CustomAudiences(URL, TOKEN, client)
        await network.add("12021", [ANNA])
        await network.remove("12021", [ANNA])
        await network.add("12021", [ANNA])
    assert len({json.loads(one)["session_id"] for one in sessions}) == 3


@pytest.mark.parametrize(
    ("lines", "token", "says"),
    [
        ([ANNA], "another", "answered 400 .its code 190"),
        ([("no hash", "")], TOKEN, "cannot read some"),
        ([ANNA] * 10_001, TOKEN, "its code 100"),
    ],
)
async def test_what_it_does_not_take_is_to_be_said_again(
    http: httpx.AsyncClient, lines: list[tuple[str, str]], token: str, says: str
) -> None:
    with pytest.raises(AdNetworkUnavailable, match=says) as raised:
        await CustomAudiences(URL, token, http).add("12021", lines)
    assert token not in str(raised.value)


@pytest.mark.parametrize(
    ("status", "body"), [(503, b""), (200, b"<html>"), (200, b"[]"), (200, b'{"num_received": 0}')]
)
async def test_an_answer_that_is_none_is_no_yes(status: int, body: bytes) -> None:
    app = FastAPI()
    app.add_route("/v25.0/12021/users", lambda _: Response(body, status), methods=["POST"])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as http:
        with pytest.raises(AdNetworkUnavailable):
            await CustomAudiences(URL, TOKEN, http).add("12021", [ANNA])


async def test_a_network_that_is_away_is_asked_again() -> None:
    async def refuse(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("away")

    async with httpx.AsyncClient(transport=httpx.MockTransport(refuse)) as http:
        with pytest.raises(AdNetworkUnavailable, match="ConnectError"):
            await CustomAudiences(URL, TOKEN, http).remove("12021", [ANNA])


@pytest.mark.parametrize(("url", "token"), [("http://ads.example/v25.0", TOKEN), (URL, " "), ("", TOKEN)])
async def test_it_is_not_built_without_a_safe_address_and_a_token(url: str, token: str) -> None:
    async with httpx.AsyncClient() as http:
        with pytest.raises(ValueError, match="AD_NETWORK_"):
            CustomAudiences(url, token, http)
