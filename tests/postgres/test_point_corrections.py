"""Points by hand: a few by one person, many by two, and never the same one twice."""

from collections.abc import AsyncIterator

import httpx
import pytest

from activities.actors import Actor
from activities.people import add_person, give
from activities.point_corrections import ALONE
from tests.support.api_client import Api, serving
from tests.support.engine import execute
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


async def desk_of(api: Api, *names: str) -> list[httpx.AsyncClient]:
    """For each of these people a client that acts through one desk's key in their name."""
    secret = await api.key("points:correct", "tasks:work", "players:read", name="desk")
    boss = Actor(api.brand, "boss", id="boss")
    clients = []
    for name in names:
        async with api.engine.database.transaction() as connection:
            person = await add_person(connection, api.brand, f"{name}@{api.brand}.example", name, api.engine.clock())
            await give(connection, person, "role", "loyalty", boss, api.engine.clock())
        client = await api.client_with(secret)
        client.headers["X-Actor"] = person.email
        clients.append(client)
    return clients


async def decides(client: httpx.AsyncClient, wish: httpx.Response, *, approve: bool) -> httpx.Response:
    decision = f"/v1/players/p/point-corrections/{wish.json()['id']}/decision"
    return await client.post(decision, json={"approve": approve})


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


@pytest.mark.usefixtures("olena")
async def test_many_points_wait_for_a_second_person_however_they_are_split(api: Api) -> None:
    olena, ivan = await desk_of(api, "olena", "ivan")
    assert (await corrects(olena, ALONE - 100, "k-1")).status_code == 201
    waiting = await corrects(olena, 101, "k-2")
    assert (waiting.status_code, waiting.json()["state"]) == (202, "waiting")
    assert await has(olena) == ALONE - 100
    own = await decides(olena, waiting, approve=True)
    assert (own.status_code, own.json()["reason"]) == (409, "own")
    approved = await decides(ivan, waiting, approve=True)
    assert (approved.status_code, approved.json()["decided_by"]) == (200, ivan.headers["X-Actor"])
    assert await has(olena) == ALONE + 1
    assert (await decides(ivan, waiting, approve=False)).json()["reason"] == "decided"


@pytest.mark.usefixtures("olena")
async def test_a_second_person_may_say_no_and_nothing_has_moved(api: Api) -> None:
    olena, ivan = await desk_of(api, "olena", "ivan")
    waiting = await corrects(olena, ALONE + 1, "k-1")
    assert (await decides(ivan, waiting, approve=False)).json()["state"] == "refused"
    assert await has(olena) == 0


async def test_who_holds_two_keys_is_no_two_people(api: Api, olena: httpx.AsyncClient) -> None:
    asked = await corrects(olena, ALONE + 1, "k-1")
    assert (asked.status_code, asked.json()["reason"]) == (409, "nameless")
    assert "`journeys people add" in asked.json()["detail"]
    (person,) = await desk_of(api, "anna")
    waiting = await corrects(person, ALONE + 1, "k-2")
    refused = await decides(olena, waiting, approve=True)
    assert (refused.status_code, refused.json()["reason"]) == (409, "nameless")
    assert await has(olena) == 0


async def test_what_a_key_asked_for_once_nobody_is_the_second_to(api: Api, olena: httpx.AsyncClient) -> None:
    anna, boris = await desk_of(api, "anna", "boris")
    waiting = await corrects(anna, ALONE + 1, "k-1")
    told = "UPDATE point_corrections SET asked_by = 'desk', asked_by_id = 'key_desk' WHERE brand = :brand"
    await execute(api.engine.database, told, brand=api.brand)
    assert (await decides(boris, waiting, approve=True)).json()["reason"] == "nameless"
    assert (await decides(boris, waiting, approve=False)).json()["state"] == "refused"
    assert await has(olena) == 0
