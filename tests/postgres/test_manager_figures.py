"""Managers' own figures over HTTP: whose a caller sees, and what a team's come to."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from sqlalchemy import text

from activities.actors import Actor
from activities.figures.figure_store import store
from activities.people import Person, add_person, give
from api.manager_figures import MOST
from tests.support.api_client import Api, serving
from workflows.figures.definitions import Taken, week_of

ADDRESS = "/v1/figures/managers"
TODAY = datetime.now(UTC).date()
WEEK = week_of(TODAY - timedelta(days=7))


@pytest.fixture(scope="module")
async def served(module_postgres_url: str) -> AsyncIterator[Api]:
    async with serving(module_postgres_url) as application:
        yield application


async def person(api: Api, name: str, role: str, team: str) -> Person:
    now, giver = datetime.now(UTC), Actor(api.brand, "test", id="test")
    async with api.engine.database.transaction() as connection:
        added = await add_person(connection, api.brand, f"{name}@{api.brand}.example", name, now)
        await give(connection, added, "role", role, giver, now)
        await give(connection, added, "team", team, giver, now)
    return added


async def took(api: Api, *taken: Taken) -> None:
    async with api.engine.database.transaction() as connection:
        await store(connection, api.brand, TODAY, taken)


def of(who: Person, name: str, n: int, value: float | None) -> Taken:
    return Taken(name, "week", WEEK, n, value, split_by="manager", part=who.email)


async def told(client: httpx.AsyncClient, actor: str | None = None, **query: str) -> list[str]:
    headers = {"X-Actor": actor} if actor else {}
    answer = await client.get(ADDRESS, params=query, headers=headers)
    assert answer.status_code == 200, answer.text
    return [one["name"] for one in answer.json()["items"]]


async def test_everybody_sees_their_own_and_who_leads_a_team_that_teams(api: Api) -> None:
    olena, ivan = await person(api, "olena", "manager", "vip"), await person(api, "ivan", "manager", "vip")
    mira, kim = await person(api, "mira", "head", "vip"), await person(api, "kim", "manager", "aml")
    desk = await api.client("tasks:work", "tasks:lead")
    assert await told(desk, olena.email) == ["olena"]
    assert await told(desk, mira.email) == ["ivan", "mira", "olena"]
    assert await told(desk, mira.email, person=ivan.id) == ["ivan"]
    assert await told(desk, mira.email, person=kim.email) == []
    # A key lends nobody anything: through one that may not lead its holder does not.
    assert await told(await api.client("tasks:work"), mira.email) == ["mira"]
    # A key is nobody; one that may lead any team sees all.
    assert await told(await api.client("tasks:work")) == []
    assert await told(desk) == ["ivan", "kim", "mira", "olena"]


async def test_of_more_people_than_are_told_of_at_once_it_says_so_and_each_can_be_asked_for(api: Api) -> None:
    last = await person(api, "zoe", "manager", "vip")
    more = """
        INSERT INTO people (id, email, name, zone, locale, brands, active, created_at, updated_at)
        SELECT :brand || n, n || :brand, 'A', zone, locale, brands, true, now(), now()
        FROM people, generate_series(1, :others) n WHERE id = :id
    """
    many = {"brand": api.brand, "others": MOST, "id": last.id}
    desk = await api.client("tasks:work", "tasks:lead")
    assert (await desk.get(ADDRESS)).json()["is_cut"] is False
    async with api.engine.database.transaction() as connection:
        await connection.execute(text(more), many)
    all_of_them = (await desk.get(ADDRESS)).json()
    assert (len(all_of_them["items"]), all_of_them["is_cut"]) == (MOST, True)
    assert await told(desk, person=last.email) == ["zoe"]


async def test_a_team_comes_to_its_counts_added_up_and_its_shares_by_their_weight(api: Api) -> None:
    olena, ivan = await person(api, "olena", "manager", "vip"), await person(api, "ivan", "manager", "vip")
    await took(
        api,
        *(of(olena, "hosted_players", 500, 500.0), of(ivan, "hosted_players", 100, 100.0)),
        *(of(olena, "known_players", 500, 0.9), of(ivan, "known_players", 100, 0.3)),
        *(of(olena, "manager_minutes", 10, 300.0), of(ivan, "manager_minutes", 5, 100.0)),
        *(of(olena, "manager_with_players", 10, 0.5), of(ivan, "manager_with_players", 5, 0.9)),
        of(ivan, "milestones_missed", 0, None),
    )
    answer = (await (await api.client("tasks:lead")).get(ADDRESS)).json()
    together = {one["name"]: one for one in answer["together"]}
    assert together.keys() == {"hosted_players", "known_players", "manager_minutes", "manager_with_players"}
    assert together["hosted_players"]["value"] == 600
    assert together["known_players"]["value"] == pytest.approx((450 + 30) / 600)
    assert together["known_players"]["low"] < 0.8 < together["known_players"]["high"]
    # Half of 300 minutes and nine tenths of 100.
    assert together["manager_with_players"]["value"] == pytest.approx((150 + 90) / 400)


async def test_what_is_of_a_single_manager_is_not_among_the_brands_figures_for_who_leads_nobody(api: Api) -> None:
    olena = await person(api, "olena", "manager", "vip")
    await took(api, of(olena, "hosted_players", 500, 500.0), Taken("registered", "week", WEEK, 3, 3.0))

    async def names(*scopes: str, teams: Sequence[str] = ()) -> list[str]:
        answer = await (await api.client(*scopes, teams=teams)).get("/v1/figures")
        return [one["name"] for one in answer.json()["items"]]

    assert await names("players:read") == ["registered"]
    assert await names("players:read", "tasks:lead") == ["hosted_players", "registered"]
    assert await names("players:read", "tasks:lead", teams=["vip"]) == ["registered"]
