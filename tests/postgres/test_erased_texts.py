"""Words about a player that come after their erasure: what was decided is kept, and no word of why."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from activities.answer_links import OPEN_FOR, AnswerLinks, SurveyLink
from activities.erasures import erase_due
from activities.tables import events, player_notes, task_drafts, task_history, tasks
from tests.support.api_client import Api, serving
from tests.support.engine import connected, rows
from tests.support.servers import owners
from workflows.events import Event, HarmSignal, PlayerRegistered

CANARY = "Kanarienvogel lost his job"


@pytest.fixture(scope="module")
async def served(module_postgres_url: str) -> AsyncIterator[Api]:
    async with serving(module_postgres_url, journeys="tests.support.api_journeys") as application:
        yield application


@pytest.fixture
async def reviewer(api: Api) -> httpx.AsyncClient:
    scopes = ("tasks:work", "players:read", "harm:review", "events:write", "players:erase")
    return await api.client(*scopes, name="olena", skills=["harm_review"])


async def happens(api: Api, kind: type[Event], **data: Any) -> None:
    now = datetime.now(UTC)
    about = {"event_id": f"{kind.type}-{now.timestamp()}", "event_source": "/test", "occurred_at": now}
    event = kind.example().model_copy(update=about | data)
    assert await api.engine.intake.ingest(api.brand, [("p-1", event)], now) == ["accepted"]


async def erase(api: Api, client: httpx.AsyncClient) -> None:
    """The player is erased, and every table was gone through."""
    asked = await client.delete("/v1/players/p-1?ground=objection&reference=T-1")
    assert asked.status_code == 202, asked.text
    async with connected(owners(api.engine.database.url)) as owner:
        async for _ in erase_due(owner):
            pass


async def review_of(client: httpx.AsyncClient) -> str:
    return str((await client.get("/v1/players/p-1/harm")).json()["review"])


async def said(api: Api) -> str:
    """Everything that is kept of tasks, events, notes and drafts."""
    kept = [await rows(api.engine.database, table, brand=api.brand) for table in (tasks, events, player_notes)]
    kept += [await rows(api.engine.database, table, brand=api.brand) for table in (task_history, task_drafts)]
    return str(kept)


async def test_a_review_answered_after_the_erasure_decides_and_keeps_no_reason(
    api: Api, reviewer: httpx.AsyncClient
) -> None:
    await happens(api, PlayerRegistered)
    await happens(api, HarmSignal, strength="strong")
    task_id = await review_of(reviewer)
    await erase(api, reviewer)
    answer = {"answer": {"to": "weak", "reason": CANARY}}
    done = await reviewer.post(f"/v1/tasks/{task_id}/complete", json=answer)
    assert (done.status_code, done.json()["answer"]) == (200, {"to": "weak"}), done.text
    (judged,) = await rows(api.engine.database, events, brand=api.brand, type="compliance.harm_reviewed")
    assert (judged["data"]["to"], judged["data"].get("reason")) == ("weak", None)
    assert (await reviewer.get("/v1/players/p-1/harm")).json()["strength"] == "weak"
    assert CANARY not in await said(api)


async def test_comments_and_drafts_of_a_task_from_before_are_not_kept(api: Api, reviewer: httpx.AsyncClient) -> None:
    await happens(api, HarmSignal, strength="strong")
    task_id = await review_of(reviewer)
    await erase(api, reviewer)
    told = await reviewer.post(f"/v1/tasks/{task_id}/comment", json={"text": CANARY})
    assert (told.status_code, told.json()["history"][-1]["action"]) == (200, "commented"), told.text
    await reviewer.post(f"/v1/tasks/{task_id}/claim")
    assert (await reviewer.post(f"/v1/tasks/{task_id}/release", json={"comment": CANARY})).status_code == 200
    draft = {"fields": {"answer.reason": CANARY}, "task_version": 1}
    assert (await reviewer.put(f"/v1/tasks/{task_id}/draft", json=draft)).status_code == 409
    assert CANARY not in await said(api)


async def test_what_was_said_at_a_task_from_before_goes_also_when_it_came_between(
    api: Api, reviewer: httpx.AsyncClient
) -> None:
    await happens(api, HarmSignal, strength="strong")
    task_id = await review_of(reviewer)
    await reviewer.post(f"/v1/tasks/{task_id}/comment", json={"text": CANARY})
    assert CANARY in await said(api)
    await erase(api, reviewer)
    assert CANARY not in await said(api)


async def test_nothing_new_is_written_about_who_was_erased_until_they_come_back(
    api: Api, reviewer: httpx.AsyncClient
) -> None:
    await happens(api, PlayerRegistered)
    await erase(api, reviewer)
    tried = [
        await reviewer.post("/v1/players/p-1/notes", json={"text": CANARY}),
        await reviewer.post("/v1/players/p-1/contest", json={"words": CANARY}),
        await reviewer.post("/v1/players/p-1/harm-review", json={"to": "medium", "reason": CANARY}),
        await reviewer.post("/v1/players/p-1/pause-promotions", json={"hours": 2, "why": CANARY}),
    ]
    assert [answer.status_code for answer in tried] == [409, 404, 200, 202], [answer.text for answer in tried]
    assert CANARY not in await said(api)
    await happens(api, PlayerRegistered)
    assert (await reviewer.post("/v1/players/p-1/notes", json={"text": "New here."})).status_code == 201


async def test_a_survey_from_before_the_erasure_is_closed(api: Api, reviewer: httpx.AsyncClient) -> None:
    await happens(api, PlayerRegistered)
    links = AnswerLinks(api.engine.settings.link_secrets)
    now = api.engine.clock()
    before, after = (int((now + more + OPEN_FOR).timestamp()) for more in (timedelta(0), timedelta(minutes=5)))
    await erase(api, reviewer)
    for until, kept in ((before, 0), (after, 1)):
        token = links.token(SurveyLink(api.brand, "p-1", f"step-{until}", "reward-thumb", None, until))
        assert (await api.anonymous.post(f"/v1/answers/{token}/1")).status_code == 200
        assert len(await rows(api.engine.database, events, brand=api.brand, type="feedback.answered")) == kept
