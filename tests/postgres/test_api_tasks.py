"""Human tasks over HTTP: one winner a claim, one answer a task, no edit lost."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text, update

from activities.run_effects import RunEffects
from activities.tables import tasks
from activities.task_effects import TaskEffects
from api.task_actions import ANSWER_LIMIT
from api.tasks import HISTORY_SHOWN
from tests.support.api_client import Api, serving
from tests.support.api_journeys import Affordability
from tests.support.engine import done
from workflows.effects import End, MoveTask, OpenTask
from workflows.events import DepositFailed
from workflows.player_facts import PlayerFacts
from workflows.player_state.identities import run_id_of

APPROVED = {"outcome": "approve", "note": "Payslips seen."}


@pytest.fixture(scope="module")
async def served(module_postgres_url: str) -> AsyncIterator[Api]:
    async with serving(module_postgres_url, journeys="tests.support.api_journeys") as application:
        yield application


@pytest.fixture
async def anna(api: Api) -> httpx.AsyncClient:
    return await api.client("tasks:work", skills=["aml"], name="anna")


@pytest.fixture
async def boris(api: Api) -> httpx.AsyncClient:
    return await api.client("tasks:work", skills=["aml"], name="boris")


async def opened(api: Api, player_id: str = "p-1", **changes: Any) -> str:
    """A task of a run that really is under way."""
    now = datetime.now(UTC)
    await api.engine.intake.ingest(api.brand, [(player_id, _failed(player_id, now))], now)
    given = _asked(api, player_id, now).model_copy(update=changes)
    return done(await TaskEffects(api.engine.database, lambda: now).open(given)).task_id


def _failed(player_id: str, now: datetime) -> DepositFailed:
    return DepositFailed.example().model_copy(update={"event_id": f"failed-{player_id}", "occurred_at": now})


def _asked(api: Api, player_id: str, now: datetime) -> OpenTask:
    failed = _failed(player_id, now)
    cause = {"type": failed.type, "id": failed.event_id, "source": failed.event_source}
    return OpenTask(
        brand=api.brand,
        player_id=player_id,
        journey="api_review",
        run_id=run_id_of("api_review", api.brand, player_id, cause, timedelta(0), 0),
        step="ask:Affordability#1",
        form="Affordability",
        question="Is this player's spend affordable and sustainable?",
        form_schema=Affordability.model_json_schema(),
        team="vip",
        skill="aml",
        forbidden=["offer a bonus"],
        due_at=now + timedelta(hours=48),
        escalate_to="vip-head",
        facts=PlayerFacts(player_id=player_id),
    )


async def answers(api: Api) -> list[Any]:
    async with api.engine.database.reading() as connection:
        query = "SELECT payload FROM deliveries WHERE kind = 'answer' AND brand = :brand ORDER BY seq"
        found = await connection.execute(text(query), {"brand": api.brand})
        return list(found.scalars())


async def test_a_task_shows_the_question_the_form_and_the_player(api: Api, anna: httpx.AsyncClient) -> None:
    task_id = await opened(api)
    answer = await anna.get(f"/v1/tasks/{task_id}")
    task = answer.json()
    assert answer.headers["etag"] == '"1"'
    assert task["question"] == "Is this player's spend affordable and sustainable?"
    assert task["form_schema"]["required"] == ["outcome"]
    assert task["snapshot"]["player_id"] == "p-1"
    assert task["forbidden"] == ["offer a bonus"]
    assert [(line["actor"], line["action"]) for line in task["history"]] == [("engine", "opened")]


async def test_of_twenty_claimants_one_wins_and_the_others_are_told_who(api: Api) -> None:
    task_id = await opened(api)
    clients = [await api.client("tasks:work", skills=["aml"], name=f"manager-{n}") for n in range(20)]
    claims = await asyncio.gather(*(client.post(f"/v1/tasks/{task_id}/claim") for client in clients))
    assert sorted(claim.status_code for claim in claims) == [200] + [409] * 19
    winner = next(claim.json()["assignee"] for claim in claims if claim.status_code == 200)
    assert all(winner in claim.json()["detail"] for claim in claims if claim.status_code == 409)


async def test_claiming_twice_is_one_claim(api: Api, anna: httpx.AsyncClient) -> None:
    task_id = await opened(api)
    first = await anna.post(f"/v1/tasks/{task_id}/claim", headers={"If-Match": '"1"'})
    second = await anna.post(f"/v1/tasks/{task_id}/claim", headers={"If-Match": '"1"'})
    assert (first.status_code, second.status_code) == (200, 200)
    assert second.json()["version"] == first.json()["version"] == 2
    assert [line["action"] for line in second.json()["history"]] == ["opened", "claimed"]


async def test_a_released_task_is_free_for_others(api: Api, anna: httpx.AsyncClient, boris: httpx.AsyncClient) -> None:
    task_id = await opened(api)
    await anna.post(f"/v1/tasks/{task_id}/claim")
    assert (await boris.post(f"/v1/tasks/{task_id}/release")).status_code == 409
    released = await anna.post(f"/v1/tasks/{task_id}/release", json={"comment": "I am away tomorrow."})
    assert (released.json()["state"], released.json()["assignee"]) == ("open", None)
    assert released.json()["history"][-1]["text"] == "I am away tomorrow."
    assert (await anna.post(f"/v1/tasks/{task_id}/release")).json()["version"] == released.json()["version"]
    assert (await boris.post(f"/v1/tasks/{task_id}/claim")).status_code == 200


async def test_an_answer_is_recorded_and_delivered_in_one_commit(api: Api, anna: httpx.AsyncClient) -> None:
    task_id = await opened(api)
    done = await anna.post(f"/v1/tasks/{task_id}/complete", json={"answer": APPROVED})
    assert done.status_code == 200
    assert (done.json()["state"], done.json()["answered_by"], done.json()["assignee"]) == ("completed", "anna", "anna")
    assert await answers(api) == [{"step": "ask:Affordability#1", "answer": APPROVED}]


async def test_the_same_answer_again_is_the_same_answer_and_another_is_a_conflict(
    api: Api, anna: httpx.AsyncClient, boris: httpx.AsyncClient
) -> None:
    task_id = await opened(api)
    first = await anna.post(f"/v1/tasks/{task_id}/complete", json={"answer": APPROVED}, headers={"If-Match": '"1"'})
    again = await anna.post(f"/v1/tasks/{task_id}/complete", json={"answer": APPROVED}, headers={"If-Match": '"1"'})
    other = await boris.post(f"/v1/tasks/{task_id}/complete", json={"answer": {"outcome": "more_documents"}})
    assert (again.status_code, again.json()) == (200, first.json())
    assert (other.status_code, other.json()["type"]) == (409, "urn:journeys:problem:task-answered")
    assert "anna" in other.json()["detail"]
    assert len(await answers(api)) == 1


async def test_many_answers_at_once_are_one_answer(api: Api) -> None:
    task_id = await opened(api)
    clients = [await api.client("tasks:work", skills=["aml"], name=f"manager-{n}") for n in range(8)]
    given = [{"outcome": "approve", "note": f"from {n}"} for n in range(8)]
    done = await asyncio.gather(
        *(
            client.post(f"/v1/tasks/{task_id}/complete", json={"answer": answer})
            for client, answer in zip(clients, given, strict=True)
        )
    )
    assert sorted(answer.status_code for answer in done) == [200] + [409] * 7
    assert len(await answers(api)) == 1


async def test_only_who_claimed_a_task_answers_it(api: Api, anna: httpx.AsyncClient, boris: httpx.AsyncClient) -> None:
    task_id = await opened(api)
    await anna.post(f"/v1/tasks/{task_id}/claim")
    refused = await boris.post(f"/v1/tasks/{task_id}/complete", json={"answer": APPROVED})
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:journeys:problem:task-claimed")
    assert await answers(api) == []


@pytest.mark.parametrize(
    ("answer", "pointer"),
    [
        ({}, "/answer/outcome"),
        ({"outcome": "perhaps"}, "/answer/outcome"),
        ({"outcome": "approve", "note": 7}, "/answer/note"),
        ({"outcome": "approve", "since": "2026-02-30"}, "/answer/since"),
        ({"outcome": "approve", "surprise": 1}, "/answer"),
        ({"outcome": "reject"}, "/answer"),
    ],
)
async def test_an_answer_that_does_not_fit_the_form_is_pointed_at(
    api: Api, anna: httpx.AsyncClient, answer: dict[str, Any], pointer: str
) -> None:
    task_id = await opened(api)
    refused = await anna.post(f"/v1/tasks/{task_id}/complete", json={"answer": answer})
    assert refused.status_code == 422
    assert pointer in [fault["pointer"] for fault in refused.json()["errors"]]
    assert (await anna.get(f"/v1/tasks/{task_id}")).json()["state"] == "open"


async def test_an_answer_that_is_too_long_to_travel_is_refused(api: Api, anna: httpx.AsyncClient) -> None:
    task_id = await opened(api)
    answer = {"outcome": "approve", "note": "x" * ANSWER_LIMIT}
    refused = await anna.post(f"/v1/tasks/{task_id}/complete", json={"answer": answer})
    assert refused.status_code == 422
    (fault,) = refused.json()["errors"]
    assert fault["pointer"] == "/answer"
    assert fault["detail"].startswith("Must have at most 65,536 bytes as JSON, not ")
    assert len(refused.content) < 1_000
    answer = {"outcome": "approve", "note": "x" * 3_000_000}
    refused = await anna.post(f"/v1/tasks/{task_id}/complete", json={"answer": answer})
    assert refused.status_code == 413
    assert len(refused.content) < 1_000
    assert await answers(api) == []
    answer = {"outcome": "approve", "note": "x" * 60_000}
    taken = await anna.post(f"/v1/tasks/{task_id}/complete", json={"answer": answer})
    assert taken.status_code == 200


async def test_what_a_form_marks_as_personal_stays_here_and_the_run_hears_a_reference(
    api: Api, anna: httpx.AsyncClient
) -> None:
    task_id = await opened(api)
    answer = APPROVED | {"source": "Zoya inherited it."}
    taken = await anna.post(f"/v1/tasks/{task_id}/complete", json={"answer": answer})
    assert taken.json()["answer"] == answer
    (heard,) = await answers(api)
    assert heard["answer"] == APPROVED | {"source": "text-of:ask:Affordability#1/source"}
    again = await anna.post(f"/v1/tasks/{task_id}/complete", json={"answer": answer})
    assert again.status_code == 200


@pytest.mark.parametrize("body", [b'{"answer": {"note": "\\u0000"}}', b'{"answer": {"n": NaN}}', b'{"answer": {"n": 1'])
async def test_an_answer_that_could_not_be_kept_is_refused(api: Api, anna: httpx.AsyncClient, body: bytes) -> None:
    task_id = await opened(api)
    headers = {"Content-Type": "application/json"}
    refused = await anna.post(f"/v1/tasks/{task_id}/complete", content=body, headers=headers)
    assert refused.status_code in {400, 422}
    assert refused.headers["content-type"] == "application/problem+json"


async def test_a_stale_edit_is_refused_and_an_edit_without_a_version_too(
    api: Api, anna: httpx.AsyncClient, boris: httpx.AsyncClient
) -> None:
    task_id = await opened(api)
    path = f"/v1/tasks/{task_id}"
    assert (await anna.patch(path, json={"priority": 80})).status_code == 428
    changed = await anna.patch(path, json={"priority": 80}, headers={"If-Match": '"1"'})
    assert (changed.status_code, changed.json()["priority"], changed.headers["etag"]) == (200, 80, '"2"')
    stale = await boris.patch(path, json={"priority": 10}, headers={"If-Match": '"1"'})
    assert (stale.status_code, stale.headers["etag"]) == (412, '"2"')
    for move, body in (("claim", None), ("complete", {"answer": APPROVED}), ("reassign", {"team": "compliance"})):
        moved = await boris.post(f"{path}/{move}", json=body, headers={"If-Match": '"1"'})
        assert moved.status_code == 412
    assert (await anna.get(path)).json()["priority"] == 80


@pytest.mark.parametrize("tag", ['"' + "9" * 190 + '"', '"9223372036854775808"', "W/", '"-1"'])
async def test_an_etag_that_no_version_has_is_a_stale_one(api: Api, anna: httpx.AsyncClient, tag: str) -> None:
    task_id = await opened(api)
    answer = await anna.patch(f"/v1/tasks/{task_id}", json={"priority": 80}, headers={"If-Match": tag})
    assert answer.status_code == 412, answer.text
    assert answer.headers["etag"] == '"1"'


async def test_of_many_edits_of_one_version_one_is_kept(api: Api, anna: httpx.AsyncClient) -> None:
    task_id = await opened(api)
    headers = {"If-Match": '"1"'}
    edits = (anna.patch(f"/v1/tasks/{task_id}", json={"priority": n}, headers=headers) for n in range(10))
    statuses = [edit.status_code for edit in await asyncio.gather(*edits)]
    assert sorted(statuses) == [200] + [412] * 9


async def test_a_follow_up_hides_a_task_until_its_day(api: Api, anna: httpx.AsyncClient) -> None:
    task_id = await opened(api)
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    path, headers = f"/v1/tasks/{task_id}", {"If-Match": "*"}
    await anna.patch(path, json={"follow_up_at": tomorrow}, headers=headers)

    async def listed(**query: str) -> list[str]:
        return [task["id"] for task in (await anna.get("/v1/tasks", params=query)).json()["items"]]

    assert await listed() == []
    assert await listed(follow_up="later") == await listed(follow_up="all") == [task_id]
    await anna.patch(path, json={"follow_up_at": None}, headers=headers)
    assert await listed() == [task_id]


async def test_a_task_is_passed_on_to_a_person_or_a_team(
    api: Api, anna: httpx.AsyncClient, boris: httpx.AsyncClient
) -> None:
    task_id = await opened(api)
    path = f"/v1/tasks/{task_id}/reassign"
    to_boris = await anna.post(path, json={"assignee": "boris", "comment": "You know the player."})
    assert (to_boris.json()["state"], to_boris.json()["assignee"]) == ("claimed", "boris")
    assert (await boris.post(f"/v1/tasks/{task_id}/claim")).json()["version"] == to_boris.json()["version"]
    to_team = await boris.post(path, json={"team": "compliance"})
    task = to_team.json()
    assert (task["state"], task["assignee"], task["team"]) == ("open", None, "compliance")
    assert (await boris.post(path, json={"team": "a", "assignee": "b"})).status_code == 422
    assert (await boris.post(path, json={})).status_code == 422


async def test_a_desk_tool_acts_for_the_person_it_names(api: Api, anna: httpx.AsyncClient) -> None:
    task_id = await opened(api)
    claimed = await anna.post(f"/v1/tasks/{task_id}/claim", headers={"X-Actor": "olena@example.com"})
    assert claimed.json()["assignee"] == "olena@example.com"
    assert claimed.json()["history"][-1]["actor"] == "olena@example.com"
    assert (await anna.post(f"/v1/tasks/{task_id}/claim")).status_code == 409
    assert (await anna.post(f"/v1/tasks/{task_id}/claim", headers={"X-Actor": "a b"})).status_code == 422


@pytest.mark.parametrize("name", ["engine", "Engine"])
async def test_nobody_acts_under_the_name_of_the_engine(api: Api, anna: httpx.AsyncClient, name: str) -> None:
    refused = await anna.post(f"/v1/tasks/{await opened(api)}/claim", headers={"X-Actor": name})
    assert (refused.status_code, refused.json()["errors"][0]["parameter"]) == (422, "X-Actor")
    with pytest.raises(ValueError, match="the engine itself"):
        await api.key("tasks:work", name=name)


async def test_a_closed_task_can_only_be_read_and_commented(api: Api, anna: httpx.AsyncClient) -> None:
    task_id = await opened(api)
    now = datetime.now(UTC)
    move = MoveTask(
        **_asked(api, "p-1", now).model_dump(include={"brand", "player_id", "journey", "run_id", "step"}),
        task_id=task_id,
        move="expire",
    )
    await TaskEffects(api.engine.database, lambda: now).move(move)
    path = f"/v1/tasks/{task_id}"
    for action, body in (("claim", None), ("complete", {"answer": APPROVED}), ("reassign", {"team": "x"})):
        refused = await anna.post(f"{path}/{action}", json=body)
        assert (refused.status_code, refused.json()["type"]) == (409, "urn:journeys:problem:task-closed")
    commented = await anna.post(f"{path}/comment", json={"text": "Too late."})
    assert (commented.status_code, commented.json()["history"][-1]["text"]) == (200, "Too late.")


async def test_an_answer_to_a_run_that_is_over_is_a_conflict(api: Api, anna: httpx.AsyncClient) -> None:
    task_id = await opened(api)
    now = datetime.now(UTC)
    common = _asked(api, "p-1", now).model_dump(include={"brand", "player_id", "journey", "run_id"})
    await RunEffects(api.engine.database, api.engine.intake, lambda: now).end(
        End(**common, step="end", outcome="stopped")
    )
    # The end cancelled the task; what is tried here is the moment before that.
    async with api.engine.database.transaction() as connection:
        await connection.execute(update(tasks).where(tasks.c.id == task_id).values(state="open"))
    refused = await anna.post(f"/v1/tasks/{task_id}/complete", json={"answer": APPROVED})
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:journeys:problem:run-ended")
    assert (await anna.get(f"/v1/tasks/{task_id}")).json()["answer"] is None


async def test_an_answer_and_the_end_of_its_run_never_deadlock(api: Api, anna: httpx.AsyncClient) -> None:
    now = datetime.now(UTC)
    ids = [await opened(api, f"p-{n}") for n in range(10)]
    effects = RunEffects(api.engine.database, api.engine.intake, lambda: now)

    async def end(number: int) -> None:
        common = _asked(api, f"p-{number}", now).model_dump(include={"brand", "player_id", "journey", "run_id"})
        await effects.end(End(**common, step="end", outcome="stopped"))

    async def answer(number: int) -> int:
        return (await anna.post(f"/v1/tasks/{ids[number]}/complete", json={"answer": APPROVED})).status_code

    outcomes = await asyncio.gather(*(work(n) for n in range(10) for work in (end, answer)))
    assert {status for status in outcomes if status is not None} <= {200, 409}


async def test_the_list_is_filtered_sorted_and_paged(api: Api, anna: httpx.AsyncClient) -> None:
    now = datetime.now(UTC)
    for n in range(7):
        await opened(
            api,
            f"p-{n}",
            team="vip" if n % 2 else "risk",
            priority=10 * (n % 3),
            due_at=now + timedelta(hours=10 - n),
        )
    seen: list[dict[str, Any]] = []
    query = {"page_size": "2"}
    while True:
        page = (await anna.get("/v1/tasks", params=query)).json()
        seen += page["items"]
        if page["next_page_token"] is None:
            break
        query["page_token"] = page["next_page_token"]
    assert len({task["id"] for task in seen}) == 7
    assert [task["priority"] for task in seen] == sorted((task["priority"] for task in seen), reverse=True)

    async def players(**params: str) -> list[str]:
        return [task["player_id"] for task in (await anna.get("/v1/tasks", params=params)).json()["items"]]

    assert await players(sort="due") == [f"p-{n}" for n in reversed(range(7))]
    assert sorted(await players(team="vip")) == ["p-1", "p-3", "p-5"]
    assert await players(player="p-2") == ["p-2"]
    assert await players(due_before=(now + timedelta(hours=5)).isoformat(), sort="due") == ["p-6"]
    assert await players(state="completed") == []
    assert await players(assignee="anna") == []


@pytest.mark.parametrize("token", ["nonsense", "ÿ", "WyJ4Il0", "W10", "bnVsbA", "MTIz", "eyJhIjoxfQ"])
async def test_a_page_token_that_is_not_ours_is_refused(anna: httpx.AsyncClient, token: str) -> None:
    answer = await anna.get("/v1/tasks", params={"page_token": token})
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:journeys:problem:page-token")


async def test_a_page_token_belongs_to_its_filters(api: Api, anna: httpx.AsyncClient) -> None:
    for n in range(3):
        await opened(api, f"p-{n}")
    page = (await anna.get("/v1/tasks", params={"page_size": "1"})).json()
    moved = await anna.get("/v1/tasks", params={"team": "risk", "page_token": page["next_page_token"]})
    assert moved.status_code == 400
    assert (await anna.get("/v1/tasks", params={"page_size": "-1"})).status_code == 422
    assert len((await anna.get("/v1/tasks", params={"page_size": "100000"})).json()["items"]) == 3


async def test_a_misspelt_filter_is_refused(anna: httpx.AsyncClient) -> None:
    refused = await anna.get("/v1/tasks", params={"asignee": "anna"})
    assert (refused.status_code, refused.json()["errors"][0]["parameter"]) == (422, "asignee")


async def test_a_task_comes_with_its_newest_history_and_all_of_it_in_pages(api: Api, anna: httpx.AsyncClient) -> None:
    task_id = await opened(api, "p-history")
    path = f"/v1/tasks/{task_id}"
    for number in range(HISTORY_SHOWN + 4):
        await anna.post(f"{path}/comment", json={"text": f"call {number}"})
    task = (await anna.post(f"{path}/comment", json={"text": f"call {HISTORY_SHOWN + 4}"})).json()
    shown = [line["text"] for line in task["history"]]
    assert shown == [f"call {number}" for number in range(5, HISTORY_SHOWN + 5)]
    pages: list[list[str | None]] = []
    token: dict[str, str] = {}
    while True:
        page = (await anna.get(f"{path}/history", params={"page_size": 40, **token})).json()
        pages.append([line.get("text") for line in page["items"]])
        if page.get("next_page_token") is None:
            break
        token = {"page_token": page["next_page_token"]}
    assert [len(page) for page in pages] == [40, HISTORY_SHOWN + 6 - 40]
    assert [text for page in pages for text in page][:-1] == [f"call {n}" for n in reversed(range(HISTORY_SHOWN + 5))]
    other = await (await api.client("tasks:work", brand="another")).get(f"{path}/history")
    assert other.status_code == 404
