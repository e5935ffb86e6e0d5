"""Players are found by what people know of them, and a host sees theirs at a glance."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select, text
from sqlalchemy.dialects import postgresql

from activities.actors import Actor
from activities.people import Person, add_person, give
from activities.player_hosts import set_host
from activities.player_lookups import found_by
from activities.player_notes import add_note
from activities.tables import players
from tests.support.api_client import Api, serving
from workflows.events import PlayerRegistered, SessionLogin

NAMED = {"first_name": "Anna", "username": "lucky_anna", "email": "Anna@Example.com", "phone": "+380 (67) 123-45-67"}


@pytest.fixture(scope="module")
async def served(module_postgres_url: str) -> AsyncIterator[Api]:
    async with serving(module_postgres_url) as api:
        yield api


@pytest.fixture
async def desk(api: Api) -> httpx.AsyncClient:
    return await api.client("players:read", "tasks:work")


async def known(api: Api, player_id: str, **about: Any) -> None:
    nobody = {"first_name": None, "username": None, "email": None, "phone": None, "birth_date": None}
    registered = PlayerRegistered.example().model_copy(
        update={"event_id": f"r-{player_id}", "occurred_at": datetime.now(UTC) - timedelta(days=30)} | nobody | about
    )
    await api.engine.intake.ingest(api.brand, [(player_id, registered)], datetime.now(UTC))


async def host(api: Api, *player_ids: str) -> Person:
    now = datetime.now(UTC)
    async with api.engine.database.transaction() as connection:
        person = await add_person(connection, api.brand, f"olena@{api.brand}.example", "Olena", now)
        for player_id in player_ids:
            await set_host(connection, api.brand, player_id, person.id, "test", now)
    return person


async def found(desk: httpx.AsyncClient, **query: Any) -> list[str]:
    answer = await desk.get("/v1/players", params=query)
    assert answer.status_code == 200, answer.text
    return [one["id"] for one in answer.json()["items"]]


@pytest.mark.parametrize(
    "typed",
    [
        *("p-1", "anna", "ANN", " Anna ", "lucky_a", "anna@example.com", "ANNA@EX"),
        *("+380671234567", "067 123 45 67", "234567"),
    ],
)
async def test_a_player_is_found_however_somebody_writes_what_they_know(
    api: Api, desk: httpx.AsyncClient, typed: str
) -> None:
    await known(api, "p-1", **NAMED)
    await known(api, "p-2", first_name="Boris", email="boris@example.com", phone="+380501111111")
    assert await found(desk, q=typed) == ["p-1"]


@pytest.mark.parametrize("typed", ["%%", "__", "nna", "example.com", "12345", "\\\\", "p-", "anna@example.org"])
async def test_what_is_typed_is_no_pattern_and_no_middle(api: Api, desk: httpx.AsyncClient, typed: str) -> None:
    await known(api, "p-1", **NAMED)
    assert await found(desk, q=typed) == []


async def test_who_was_erased_is_found_no_more(api: Api, desk: httpx.AsyncClient) -> None:
    await known(api, "p-1", **NAMED)
    eraser = await api.client("players:erase")
    assert (await eraser.delete("/v1/players/p-1", params={"reference": "T-1"})).status_code == 202
    assert await found(desk, q="anna") == []


async def test_a_look_up_uses_its_index_among_many(api: Api) -> None:
    await known(api, "p-1", **NAMED)
    query = select(players.c.id).where(players.c.brand == api.brand, found_by(api.brand, "anna"))
    statement = str(query.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True}))  # type: ignore[no-untyped-call]  # of the library
    async with api.engine.database.transaction() as connection:
        await connection.execute(text("SET LOCAL enable_seqscan = off"))
        plan = "\n".join((await connection.execute(text("EXPLAIN " + statement.replace(":", "\\:")))).scalars())
    assert "ix_players_first_name" in plan
    assert "ix_players_username" in plan


async def test_pages_of_what_is_found_follow_each_other(api: Api, desk: httpx.AsyncClient) -> None:
    for number in range(5):
        await known(api, f"p-{number}", first_name="Anna")
    first = (await desk.get("/v1/players", params={"q": "anna", "page_size": 3})).json()
    token = first["next_page_token"]
    rest = await found(desk, q="anna", page_size=3, page_token=token)
    assert [one["id"] for one in first["items"]] + rest == [f"p-{number}" for number in range(5)]


@pytest.mark.parametrize("of_all", ["tier", "silent", "birthday"])
async def test_what_needs_a_look_at_each_is_asked_of_few(desk: httpx.AsyncClient, of_all: str) -> None:
    assert (await desk.get("/v1/players", params={of_all: "7"})).status_code == 422


async def test_a_host_sees_whose_birthday_comes_and_who_stays_away(api: Api, desk: httpx.AsyncClient) -> None:
    now = datetime.now(UTC)
    soon = (now + timedelta(days=3)).date().replace(year=1992)
    await known(api, "p-soon", birth_date=soon, timezone="UTC")
    await known(api, "p-later", birth_date=(now + timedelta(days=40)).date().replace(year=1992), timezone="UTC")
    login = SessionLogin.example().model_copy(update={"event_id": "l", "occurred_at": now - timedelta(days=1)})
    await api.engine.intake.ingest(api.brand, [("p-later", login)], now)
    olena = await host(api, "p-soon", "p-later")
    assert await found(desk, host=olena.email, birthday=7) == ["p-soon"]
    assert await found(desk, host=olena.email, birthday=60) == ["p-later", "p-soon"]
    assert await found(desk, host=olena.email, silent=7) == ["p-soon"]
    assert await found(desk, host=olena.email) == ["p-later", "p-soon"]


async def test_a_portfolio_tells_birthday_contact_and_what_is_due(api: Api, desk: httpx.AsyncClient) -> None:
    now = datetime.now(UTC)
    await known(api, "p-1", birth_date=now.date().replace(year=1992), timezone="UTC", **NAMED)
    olena = await host(api, "p-1")
    async with api.engine.database.transaction() as connection:
        await add_note(connection, (api.brand, "p-1"), olena.email, "contact", "Called.", now - timedelta(days=9))
        await add_note(connection, (api.brand, "p-1"), olena.email, "note", "A note.", now)
    task = {"kind": "birthday_call", "player_id": "p-1", "reason": "Her birthday."}
    opened = (await desk.post("/v1/tasks", json=task)).json()
    query: dict[str, str | bool] = {"host": olena.email, "show_portfolio": True, "show_names": True}
    (one,) = (await desk.get("/v1/players", params=query)).json()["items"]
    assert one["name"] == "Anna"
    assert one["portfolio"]["birthday_in"] == 0
    assert one["portfolio"]["next_task_due"] == opened["due_at"]
    assert one["portfolio"]["next_task_id"] == opened["id"]
    assert datetime.fromisoformat(one["portfolio"]["last_contact"]) == now - timedelta(days=9)
    await desk.post(f"/v1/tasks/{opened['id']}/complete", json={"answer": {"outcome": "reached"}})
    (one,) = (await desk.get("/v1/players", params=query)).json()["items"]
    assert datetime.fromisoformat(one["portfolio"]["last_contact"]) > now - timedelta(minutes=5)
    assert one["portfolio"].get("next_task_due") is None


async def test_the_next_task_of_a_player_is_one_that_who_asks_may_do(api: Api, desk: httpx.AsyncClient) -> None:
    await known(api, "p-1", **NAMED)
    colleague = await api.client("tasks:work", name="colleague")
    # The sooner a task is due, the earlier it stands here: payments, then the skill `rg`, then two of anybody's.
    opened = {}
    for kind in ("disputed_transaction", "large_loss_talk", "birthday_call", "vip_inactivity_call"):
        task = {"kind": kind, "player_id": "p-1", "reason": "To be done."}
        opened[kind] = (await desk.post("/v1/tasks", json=task)).json()
    team = opened["birthday_call"]["team"]

    async def next_for(name: str, **bound: Any) -> str | None:
        client = await api.client("players:read", "tasks:work", name=name, **bound)
        (one,) = (await client.get("/v1/players", params={"q": "p-1", "show_portfolio": True})).json()["items"]
        return next((kind for kind, task in opened.items() if task["id"] == one["portfolio"].get("next_task_id")), None)

    assert await next_for("all", skills=["rg"]) == "disputed_transaction"
    assert await next_for("safer", teams=[team], skills=["rg"]) == "large_loss_talk"
    assert await next_for("host", teams=[team]) == "birthday_call"
    assert await next_for("stranger", teams=["nobody"]) is None
    assert (await colleague.post(f"/v1/tasks/{opened['birthday_call']['id']}/claim")).status_code == 200
    assert await next_for("host", teams=[team]) == "vip_inactivity_call", "The other is in a colleague's hands."
    assert await next_for("colleague", teams=[team]) == "birthday_call"


async def test_who_asks_through_a_desks_key_is_told_their_own_next_task(api: Api, desk: httpx.AsyncClient) -> None:
    await known(api, "p-1", **NAMED)
    payments, call = [
        (await desk.post("/v1/tasks", json={"kind": kind, "player_id": "p-1", "reason": "To be done."})).json()
        for kind in ("disputed_transaction", "birthday_call")
    ]
    olena, boss = await host(api), Actor(api.brand, "boss", id="boss")
    async with api.engine.database.transaction() as connection:
        await give(connection, olena, "role", "manager", boss, datetime.now(UTC))
        await give(connection, olena, "team", call["team"], boss, datetime.now(UTC))

    async def next_for(**headers: str) -> str:
        asked: dict[str, str | bool] = {"q": "p-1", "show_portfolio": True}
        (one,) = (await desk.get("/v1/players", params=asked, headers=headers)).json()["items"]
        return str(one["portfolio"]["next_task_id"])

    assert await next_for() == payments["id"]
    assert await next_for(**{"X-Actor": olena.email}) == call["id"]


async def test_another_brands_players_are_found_by_nobody(api: Api) -> None:
    await known(api, "p-1", **NAMED)
    stranger = await api.client("players:read", brand=f"{api.brand}-not")
    assert await found(stranger, q="anna") == []
