"""Tournaments as a player's browser and an operator see them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from activities.tournaments import open_instance
from tests.postgres.test_player_site import Browser
from tests.support.api_client import Api, serving
from tests.support.tournament_program import cup, race
from workflows import ExclusionSet, PlayerRegistered, RoundCompleted

ROUND: dict[str, Any] = {"game_id": "g", "category": "slot", "currency": "EUR"}


@pytest.fixture(scope="module")
async def served(module_postgres_url: str) -> AsyncIterator[Api]:
    async with serving(module_postgres_url, journeys="tests.support.tournament_program") as application:
        yield application


@pytest.fixture
async def backend(api: Api) -> httpx.AsyncClient:
    return await api.client("players:tokens", name="site")


@pytest.fixture
async def operator(api: Api) -> httpx.AsyncClient:
    return await api.client("journeys:manage", name="operator")


async def browser_of(api: Api, backend: httpx.AsyncClient, player: str) -> Browser:
    minted = await backend.post("/v1/player-tokens", json={"player_id": player})
    made = Browser(api, backend, player, minted.json()["token"])
    await made.happens(PlayerRegistered, timezone="UTC", country="DK", birth_date="1980-01-01")
    return made


async def plays(browser: Browser, stake: int, win: int = 0) -> None:
    browser.told += 1
    await browser.happens(
        RoundCompleted, round_id=f"{browser.player}-{browser.told}", stake_minor=stake, win_minor=win, **ROUND
    )


def this(api: Api, declared: Any = race) -> str:
    return str(declared.newest(api.engine.clock()).id)


async def test_a_board_shows_the_first_the_player_and_nobodys_id(api: Api, backend: httpx.AsyncClient) -> None:
    a, b = [await browser_of(api, backend, one) for one in ("p-a", "p-b")]
    await plays(a, 2_000)
    await plays(b, 1_000)
    answer = await b.get(f"tournaments/{this(api)}")
    board = answer.json()
    assert (board["me"]["position"], board["me"]["position_exact"], board["provisional"]) == (2, True, True)
    assert [(one["position"], one["score"], one["is_me"]) for one in board["top"]] == [
        (1, 2_000, False),
        (2, 1_000, True),
    ]
    assert "p-a" not in answer.text
    assert board["top"][0]["name"].startswith("Player ")
    assert board["me"]["name"] == board["top"][1]["name"], "everybody knows what others call them"
    assert board["around"] == board["top"]
    same = await b.get("leaderboards/race")
    assert same.json() == board
    assert (await b.get("leaderboards/race", **{"If-None-Match": same.headers["ETag"]})).status_code == 304
    assert (await b.get("leaderboards/race?period=previous")).json()["top"] == []
    assert (await b.get("leaderboards/nothing")).status_code == 404
    assert (await b.get("tournaments/race:1999-01-01")).status_code == 404, "no Monday"


async def version_of(api: Api, player: str) -> str:
    """Another one whenever the player's row was written."""
    async with api.engine.database.reading() as connection:
        found = await connection.execute(
            text("SELECT xmin::text FROM players WHERE brand = :brand AND id = :id"), {"brand": api.brand, "id": player}
        )
    return str(found.scalar_one())


async def test_a_name_is_kept_from_boards_and_an_excluded_one_is_in_no_list(
    api: Api, backend: httpx.AsyncClient
) -> None:
    a, b = [await browser_of(api, backend, one) for one in ("p-a", "p-b")]
    await plays(a, 2_000)
    await plays(b, 1_000)
    put = await a.client.put("/v1/me/board-name", headers=a.headers, json={"shown": False})
    assert (put.status_code, put.json()) == (200, {"shown": False})
    written = await version_of(api, "p-a")
    again = await a.client.put("/v1/me/board-name", headers=a.headers, json={"shown": False})
    assert (again.json(), await version_of(api, "p-a")) == ({"shown": False}, written), "nothing is written"
    top = (await b.get("leaderboards/race")).json()["top"]
    assert [(one["name"] is None, one["score"]) for one in top] == [(True, 2_000), (False, 1_000)]
    await a.happens(ExclusionSet, kind="self_exclusion", until=None)
    assert [one["score"] for one in (await b.get("leaderboards/race")).json()["top"]] == [1_000]
    mine = (await a.get("leaderboards/race")).json()
    assert (mine["top"], mine["me"]) == ([], None)
    assert (await a.get("tournaments")).json() == []
    wrong = await a.client.put("/v1/me/board-name", headers=a.headers, json={"shown": 1})
    assert wrong.status_code == 422


async def test_the_last_seat_is_taken_once_by_whoever_comes_first(api: Api, backend: httpx.AsyncClient) -> None:
    browsers = [await browser_of(api, backend, f"p-{n}") for n in range(6)]
    path = f"/v1/me/tournaments/{this(api, cup)}/register"
    answers = await asyncio.gather(*(one.press(path, "k-1") for one in browsers))
    assert sorted(one.status_code for one in answers) == [200, 200, 200, 409, 409, 409]
    assert {one.json()["reason"] for one in answers if one.status_code == 409} == {"full"}
    seated = browsers[next(n for n, one in enumerate(answers) if one.status_code == 200)]
    again = await asyncio.gather(*(seated.press(path, "k-2") for _ in range(3)))
    assert {one.status_code for one in again} == {200}, "pressed twice is as good as once"
    card = {one["id"]: one for one in (await seated.get("tournaments")).json()}[this(api, cup)]
    assert (card["registration"], card["registration_count"], card["score"]) == ("registered", 3, 0)
    await plays(seated, 100, win=700)
    assert (await seated.get(f"tournaments/{this(api, cup)}")).json()["me"]["score"] == 700
    assert (await seated.press("/v1/me/tournaments/none:2026-01-01/register", "k-3")).status_code == 404
    assert (await seated.press(f"/v1/me/tournaments/{this(api)}/register", "k-4")).json()["reason"] == "no_opt_in"


async def test_i29_an_excluded_player_gets_no_seat(api: Api, backend: httpx.AsyncClient) -> None:
    player = await browser_of(api, backend, "p-x")
    await player.happens(ExclusionSet, kind="self_exclusion", until=None)
    refused = await player.press(f"/v1/me/tournaments/{this(api, cup)}/register", "k-1")
    assert (refused.status_code, refused.json()["reason"]) == (409, "self_excluded")


async def test_an_operator_sees_whose_place_it_is_takes_one_and_ends_the_whole(
    api: Api, backend: httpx.AsyncClient, operator: httpx.AsyncClient
) -> None:
    a, b = [await browser_of(api, backend, one) for one in ("p-a", "p-b")]
    await plays(a, 2_000)
    await plays(b, 1_000)
    instance = race.newest(api.engine.clock())
    path = f"/v1/tournaments/{instance.id}"
    assert (await operator.get(path)).status_code == 404
    async with api.engine.database.transaction() as connection:
        await open_instance(connection, api.brand, race, instance)
    listed = (await operator.get("/v1/tournaments")).json()["items"]
    assert [(one["id"], one["phase"]) for one in listed] == [(instance.id, "running")]
    assert [one["player_id"] for one in (await operator.get(f"{path}/places")).json()] == ["p-a", "p-b"]
    out = {"player_id": "p-a", "reason": "Two accounts."}
    assert (await operator.post(f"{path}/disqualify", json=out)).status_code == 204
    assert (await operator.post(f"{path}/disqualify", json=out)).status_code == 404
    await plays(a, 3_000)
    assert [one["player_id"] for one in (await operator.get(f"{path}/places")).json()] == ["p-b"]
    ended = await operator.post(f"{path}/cancel", json={"reason": "The game was faulty."})
    assert (ended.json()["phase"], ended.json()["reason"]) == ("cancelled", "The game was faulty.")
    assert (await operator.post(f"{path}/cancel", json={"reason": "Again."})).status_code == 409
    await plays(b, 500)
    assert (await b.get("leaderboards/race")).json()["me"]["score"] == 1_000
