"""Points by hand: a few by one person, many by two, and never the same one twice."""

from collections.abc import AsyncIterator

import httpx
import pytest

from activities.point_corrections import ALONE
from tests.support.api_client import Api, serving
from workflows.events import PlayerRegistered


@pytest.fixture(scope="module")
async def served(module_postgres_url: str) -> AsyncIterator[Api]:
    async with serving(module_postgres_url, journeys="tests.support.shop_journeys") as application:
        yield application


async def corrects(client: httpx.AsyncClient, amount: int, key: str, player: str = "p") -> httpx.Response:
    body = {"currency": "points", "amount": amount, "reason": "A round that never paid."}
    headers = {"Idempotency-Key": key}
    return await client.post(f"/v1/players/{player}/point-corrections", json=body, headers=headers)


@pytest.fixture
async def olena(api: Api) -> httpx.AsyncClient:
    now = api.engine.clock()
    await api.engine.intake.ingest(api.brand, [("p", PlayerRegistered.example())], now, mode="history")
    return await api.client("points:correct", "players:read", name="olena")


async def has(client: httpx.AsyncClient) -> int:
    points = (await client.get("/v1/players/p/points")).json()
    return sum(one["available"] for one in points)


async def test_a_few_points_are_one_persons_and_each_wish_is_done_once(olena: httpx.AsyncClient) -> None:
    for _ in range(2):
        answer = await corrects(olena, 500, "k-1")
        assert (answer.status_code, answer.json()["state"]) == (201, "applied")
    assert await has(olena) == 500
    assert (await corrects(olena, -200, "k-2")).status_code == 201
    assert await has(olena) == 300
    refused = await corrects(olena, -301, "k-3")
    assert (refused.status_code, refused.json()["reason"]) == (409, "not_enough_points")
    assert (await corrects(olena, 5, "k-4", player="nobody")).status_code == 404


async def test_a_key_that_comes_back_with_another_wish_gives_nothing_and_says_so(olena: httpx.AsyncClient) -> None:
    await corrects(olena, 500, "k-1")
    other = await corrects(olena, 700, "k-1")
    assert (other.status_code, other.json()["type"]) == (422, "urn:journeys:problem:key-reused")
    assert await has(olena) == 500


async def test_many_points_wait_for_a_second_person_however_they_are_split(api: Api, olena: httpx.AsyncClient) -> None:
    assert (await corrects(olena, ALONE - 100, "k-1")).status_code == 201
    waiting = await corrects(olena, 101, "k-2")
    assert (waiting.status_code, waiting.json()["state"]) == (202, "waiting")
    assert await has(olena) == ALONE - 100
    decision = f"/v1/players/p/point-corrections/{waiting.json()['id']}/decision"
    own = await olena.post(decision, json={"approve": True})
    assert (own.status_code, own.json()["reason"]) == (409, "own")
    ivan = await api.client("points:correct", name="ivan")
    approved = await ivan.post(decision, json={"approve": True})
    assert (approved.status_code, approved.json()["decided_by"]) == (200, "ivan")
    assert await has(olena) == ALONE + 1
    assert (await ivan.post(decision, json={"approve": False})).json()["reason"] == "decided"


async def test_a_second_person_may_say_no_and_nothing_has_moved(api: Api, olena: httpx.AsyncClient) -> None:
    waiting = await corrects(olena, ALONE + 1, "k-1")
    ivan = await api.client("points:correct", name="ivan")
    answer = await ivan.post(
        f"/v1/players/p/point-corrections/{waiting.json()['id']}/decision", json={"approve": False}
    )
    assert answer.json()["state"] == "refused"
    assert await has(olena) == 0
