"""Likely doubles put before people: each pair once, and what the answer does."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from temporalio.testing import ActivityEnvironment

from activities import double_reviews, tables
from activities.actors import Actor
from activities.double_reviews import task_id_of
from activities.erasures import erase_due
from activities.loops.double_search import DoubleSearch
from activities.task_rows import TaskRequest, TaskRow
from activities.tasks import complete_alone
from tests.support.api_client import Api, serving
from tests.support.engine import connected, rows
from tests.support.servers import owners
from workflows.background.maintenance import PlayerShare
from workflows.events import PlayerRegistered

CANARY = "Kanarienvogel shares a flat with his brother"


@pytest.fixture(scope="module")
async def served(module_postgres_url: str) -> AsyncIterator[Api]:
    async with serving(module_postgres_url, journeys="tests.support.api_journeys") as application:
        yield application


@pytest.fixture
async def desk(api: Api) -> httpx.AsyncClient:
    return await api.client("tasks:work", "players:read", "players:erase", name="desk")


async def registers(api: Api, player: str, day: int, **profile: Any) -> None:
    now = datetime(2026, 3, day, tzinfo=UTC)
    values = {"event_id": f"r-{player}", "event_source": "/test", "occurred_at": now, "email": None, "phone": None}
    event = PlayerRegistered.example().model_copy(update=values | {"first_name": player} | profile)
    assert await api.engine.intake.ingest(api.brand, [(player, event)], now) == ["accepted"]


def search(api: Api, least: int = 9_000) -> DoubleSearch:
    engine = api.engine
    return DoubleSearch(engine.database, engine.intake, engine.clock, least=least)


async def asked(api: Api) -> list[dict[str, Any]]:
    return await rows(api.engine.database, tables.tasks, brand=api.brand)


async def accounts(api: Api) -> dict[str, list[str]]:
    found = await rows(api.engine.database, tables.players, brand=api.brand)
    return {row["id"]: row["state"].get("accounts", []) for row in found}


async def two_alike(api: Api) -> str:
    """A newer `anna` and an elder `zoe` with one mail address, and the task about them."""
    await registers(api, "anna", 20, email="Anna+casino@example.com")
    await registers(api, "zoe", 2, email="anna@example.com")
    assert await search(api).search_brand(api.brand) == 1
    return task_id_of(api.brand, "anna", "zoe")


async def test_a_pair_becomes_one_task_that_names_ids_and_no_address(api: Api, desk: httpx.AsyncClient) -> None:
    task_id = await two_alike(api)
    for _ in range(2):
        assert await search(api).search_brand(api.brand) == 0
    task = (await desk.get(f"/v1/tasks/{task_id}")).json()
    assert (task["form"], task["team"], task["state"], task["player_id"]) == (
        "DoubleAccount",
        "data-quality",
        "open",
        "zoe",
    )
    assert task["snapshot"] == {"player_id": "zoe", "other_id": "anna", "by": ["email"], "score": 9_500}
    assert "example.com" not in str((await asked(api))[0])


async def test_who_says_that_they_are_one_person_joins_them_also_by_the_same_answer_again(
    api: Api, desk: httpx.AsyncClient
) -> None:
    task_id = await two_alike(api)
    answer = {"answer": {"outcome": "one_person"}}
    for _ in range(2):
        done = await desk.post(f"/v1/tasks/{task_id}/complete", json=answer)
        assert (done.status_code, done.json()["state"]) == (200, "completed"), done.text
    assert await accounts(api) == {"anna": ["zoe"], "zoe": ["anna"]}
    (merged,) = await rows(api.engine.database, tables.events, brand=api.brand, type="player.merged")
    assert merged["data"] == {"survivor_id": "zoe", "absorbed_id": "anna", "rule": "reviewed:email", "score": 9_500}
    assert await search(api).search_brand(api.brand) == 0


async def test_two_people_stay_two_and_nobody_is_asked_again(api: Api, desk: httpx.AsyncClient) -> None:
    task_id = await two_alike(api)
    done = await desk.post(f"/v1/tasks/{task_id}/complete", json={"answer": {"outcome": "two_people"}})
    assert done.status_code == 200, done.text
    assert await search(api).search_brand(api.brand) == 0
    assert await accounts(api) == {"anna": [], "zoe": []}
    other = await desk.post(f"/v1/tasks/{task_id}/complete", json={"answer": {"outcome": "one_person"}})
    assert other.json()["type"].endswith("task-answered")
    assert await accounts(api) == {"anna": [], "zoe": []}


async def test_a_process_that_died_between_the_answer_and_the_join_leaves_it_to_the_night(api: Api) -> None:
    task_id = await two_alike(api)
    request = TaskRequest(api.brand, task_id, Actor(api.brand, "desk", id="desk"), api.engine.clock())
    async with api.engine.database.transaction() as connection:
        closed = await complete_alone(connection, request, {"outcome": "one_person"})
    assert isinstance(closed, TaskRow)
    assert await accounts(api) == {"anna": [], "zoe": []}
    await search(api).search_brand(api.brand)
    assert await accounts(api) == {"anna": ["zoe"], "zoe": ["anna"]}


async def test_a_task_about_an_erased_player_is_closed_and_joins_nobody(api: Api, desk: httpx.AsyncClient) -> None:
    task_id = await two_alike(api)
    assert (await desk.delete("/v1/players/anna?ground=objection&reference=T-1")).status_code == 202
    await search(api).search_brand(api.brand)
    answered = await desk.post(f"/v1/tasks/{task_id}/complete", json={"answer": {"outcome": "one_person"}})
    assert answered.json()["type"].endswith("task-closed")


async def erased(api: Api, desk: httpx.AsyncClient, player: str) -> None:
    assert (await desk.delete(f"/v1/players/{player}?ground=objection&reference=T-1")).status_code == 202
    async with connected(owners(api.engine.database.url)) as owner:
        async for _ in erase_due(owner):
            pass


async def said(api: Api) -> str:
    """Everything that is kept of tasks."""
    kept = (tables.tasks, tables.task_history, tables.task_drafts)
    return str([await rows(api.engine.database, table, brand=api.brand) for table in kept])


@pytest.mark.parametrize("player", ["anna", "zoe"])
async def test_of_either_who_is_erased_no_word_is_kept(api: Api, desk: httpx.AsyncClient, player: str) -> None:
    task_id = await two_alike(api)
    assert (await desk.post(f"/v1/tasks/{task_id}/comment", json={"text": CANARY})).status_code == 200
    draft = {"fields": {"answer.note": CANARY}, "task_version": 1}
    assert (await desk.put(f"/v1/tasks/{task_id}/draft", json=draft)).status_code == 200
    answer = {"answer": {"outcome": "two_people", "note": CANARY}}
    other = await api.client("tasks:work", name="other")
    assert (await other.post(f"/v1/tasks/{task_id}/complete", json=answer)).status_code == 200
    assert said_of(await said(api)) == (True, True)
    await erased(api, desk, player)
    assert said_of(await said(api)) == (False, False)


@pytest.mark.parametrize("player", ["anna", "zoe"])
async def test_no_word_comes_after_either_was_erased_and_nobody_is_joined(
    api: Api, desk: httpx.AsyncClient, player: str
) -> None:
    task_id = await two_alike(api)
    await erased(api, desk, player)
    assert (await desk.post(f"/v1/tasks/{task_id}/comment", json={"text": CANARY})).status_code == 200
    draft = {"fields": {"answer.note": CANARY}, "task_version": 1}
    assert (await desk.put(f"/v1/tasks/{task_id}/draft", json=draft)).status_code == 409
    answer = {"answer": {"outcome": "one_person", "note": CANARY}}
    assert (await desk.post(f"/v1/tasks/{task_id}/complete", json=answer)).status_code == 200
    await search(api).search_brand(api.brand)
    assert said_of(await said(api)) == (False, False)
    assert await accounts(api) == {"anna": [], "zoe": []}


def said_of(kept: str) -> tuple[bool, bool]:
    """Whether people's words are kept, and by what the two are alike."""
    return CANARY in kept, "mail address" in kept


async def test_names_and_days_of_birth_are_asked_about_only_where_the_house_wants_it(api: Api) -> None:
    for player, day in (("a", 1), ("b", 2)):
        await registers(api, player, day, first_name="Anna", birth_date=date(1990, 5, 17))
    assert await search(api).search_brand(api.brand) == 0
    assert await search(api, least=0).search_brand(api.brand) == 0
    assert await search(api, least=6_000).search_brand(api.brand) == 1


async def test_no_more_tasks_lie_open_than_people_can_bear(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(double_reviews, "MOST_OPEN", 2)
    for number in range(3):
        for half in "ab":
            await registers(api, f"{number}{half}", 1, email=f"p{number}@example.com")
    assert await search(api).search_brand(api.brand) == 2
    assert await search(api).search_brand(api.brand) == 0
    first = {one["id"] for one in await asked(api)}
    async with api.engine.database.transaction() as connection:
        await connection.execute(sa.update(tables.tasks).values(state="cancelled", closed_at=datetime.now(UTC)))
    assert await search(api).search_brand(api.brand) == 1
    assert len({one["id"] for one in await asked(api)} - first) == 1


async def test_every_brand_is_in_one_share_and_who_goes_on_passes_by_what_is_done(api: Api) -> None:
    await registers(api, "anna", 1, email="x@example.com")
    await registers(api, "zoe", 2, email="x@example.com")
    shares = [[*await search(api).brands(PlayerShare(number=number, of=2))] for number in range(2)]
    assert sum(share.count(api.brand) for share in shares) == 1
    number = next(number for number, share in enumerate(shares) if api.brand in share)
    given, opened = PlayerShare(number=number, of=2), []
    for done in ([api.brand], []):
        environment = ActivityEnvironment()
        environment.info = replace(environment.info, heartbeat_details=done)
        await environment.run(search(api).search, given)
        opened.append(len(await asked(api)))
    assert opened == [0, 1]


async def test_who_waits_past_a_week_is_late(api: Api) -> None:
    await two_alike(api)
    (task,) = await asked(api)
    assert task["due_at"] - task["created_at"] == timedelta(days=7)
