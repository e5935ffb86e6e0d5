"""Signs of harm over HTTP: restricted at once, put before people in the same transaction, lowered by them alone."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.player_rows import accounts_of
from activities.tables import events, players, task_history, tasks
from tests.support.api_client import Api, serving
from tests.support.engine import execute, rows
from workflows.events import Event, HarmSignal, PlayerMerged, PlayerRegistered

WHY = "Spoke to the player; they had a windfall."


@pytest.fixture(scope="module")
async def served(module_postgres_url: str) -> AsyncIterator[Api]:
    async with serving(module_postgres_url, journeys="tests.support.api_journeys") as application:
        yield application


@pytest.fixture
async def reviewer(api: Api) -> httpx.AsyncClient:
    return await api.client("tasks:work", "players:read", "harm:review", name="olena", skills=["harm_review"])


@pytest.fixture
async def desk(api: Api) -> httpx.AsyncClient:
    return await api.client("tasks:work", "players:read", "events:write", name="desk")


async def happens(api: Api, kind: type[Event], player: str = "p-1", **data: Any) -> None:
    now = datetime.now(UTC)
    about = {"event_id": f"{kind.type}-{player}-{now.timestamp()}", "event_source": "/test", "occurred_at": now}
    event = kind.example().model_copy(update=about | data)
    (receipt,) = await api.engine.intake.ingest(api.brand, [(player, event)], now)
    assert receipt == "accepted"


async def harm(client: httpx.AsyncClient, player: str = "p-1") -> dict[str, Any]:
    answer = await client.get(f"/v1/players/{player}/harm")
    assert answer.status_code == 200, answer.text
    known: dict[str, Any] = answer.json()
    return known


async def reviews(api: Api, **where: Any) -> list[dict[str, Any]]:
    return await rows(api.engine.database, tasks, brand=api.brand, **where)


async def test_a_strong_sign_opens_a_review_with_what_is_known_and_no_run(
    api: Api, reviewer: httpx.AsyncClient
) -> None:
    await happens(api, PlayerRegistered)
    await happens(api, HarmSignal, strength="strong", indicator="chasing")
    known = await harm(reviewer)
    assert known["strength"] == "strong"
    task = (await reviewer.get(f"/v1/tasks/{known['review']}")).json()
    assert (task["form"], task["team"], task["skill"], task["state"]) == (
        "HarmReview",
        "compliance",
        "harm_review",
        "open",
    )
    assert (task.get("run_id"), task.get("journey")) == (None, None)
    assert [*task["snapshot"]["signs"]] == ["chasing/strong"]
    assert "chasing" in task["reason"]
    assert datetime.fromisoformat(task["due_at"]) - datetime.fromisoformat(task["created_at"]) == timedelta(days=1)
    assert [line["action"] for line in task["history"]] == ["opened"]
    listed = (await reviewer.get("/v1/tasks?team=compliance")).json()["items"]
    assert [one["id"] for one in listed] == [task["id"]]


async def test_the_sign_and_its_review_are_one_transaction(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    await happens(api, PlayerRegistered)

    def fail(*_: Any) -> Any:
        raise RuntimeError("the process dies here")

    with monkeypatch.context() as dying:
        dying.setattr("activities.intake.decision_writes.StandaloneTask.reviewing", fail)
        with pytest.raises(RuntimeError):
            await happens(api, HarmSignal, strength="strong")
    (row,) = await rows(api.engine.database, players, brand=api.brand)
    assert "watch" not in row["state"]
    assert await reviews(api) == []


async def test_who_completes_the_review_lowers_it_and_the_judgement_is_kept(
    api: Api, reviewer: httpx.AsyncClient
) -> None:
    await happens(api, HarmSignal, strength="strong")
    task_id = (await harm(reviewer))["review"]
    answer = {"answer": {"to": "weak", "reason": WHY}}
    for _ in range(2):
        done = await reviewer.post(f"/v1/tasks/{task_id}/complete", json=answer)
        assert (done.status_code, done.json()["answered_by"]) == (200, "olena"), done.text
    known = await harm(reviewer)
    assert (known["strength"], known.get("review"), [*known["signs"]]) == ("weak", None, ["review/weak"])
    (judged,) = await rows(api.engine.database, events, brand=api.brand, type="compliance.harm_reviewed")
    assert (judged["data"]["reason"], judged["data"]["task_id"]) == (WHY, task_id)
    other = await reviewer.post(f"/v1/tasks/{task_id}/complete", json={"answer": {"to": "none", "reason": WHY}})
    assert other.json()["type"].endswith("task-answered")


async def test_only_who_is_trained_lowers_it(api: Api, desk: httpx.AsyncClient) -> None:
    await happens(api, HarmSignal, strength="strong")
    task_id = (await harm(desk))["review"]
    body = {"to": "none", "reason": WHY}
    for answer in (
        await desk.post(f"/v1/tasks/{task_id}/complete", json={"answer": body}),
        await desk.post("/v1/players/p-1/harm-review", json=body),
    ):
        assert (answer.status_code, "harm:review" in answer.json()["detail"]) == (403, True), answer.text
    assert (await harm(desk))["strength"] == "strong"


@pytest.mark.parametrize("reason", ["", None])
async def test_no_judgement_goes_without_a_reason(api: Api, reviewer: httpx.AsyncClient, reason: str | None) -> None:
    await happens(api, HarmSignal, strength="strong")
    task_id = (await harm(reviewer))["review"]
    body = {"to": "none"} | ({} if reason is None else {"reason": reason})
    assert (await reviewer.post(f"/v1/tasks/{task_id}/complete", json={"answer": body})).status_code == 422
    assert (await reviewer.post("/v1/players/p-1/harm-review", json=body)).status_code == 422
    assert (await harm(reviewer))["strength"] == "strong"


async def test_a_judgement_completes_the_open_review_and_needs_none(api: Api, reviewer: httpx.AsyncClient) -> None:
    await happens(api, HarmSignal, strength="strong")
    for to in ("medium", "none"):
        answer = await reviewer.post("/v1/players/p-1/harm-review", json={"to": to, "reason": WHY})
        assert (answer.status_code, answer.json()["strength"]) == (200, to), answer.text
    (review,) = await reviews(api)
    assert (review["state"], review["answer"]["to"]) == ("completed", "medium")


async def test_of_two_who_judge_at_once_one_is_told_so(api: Api, reviewer: httpx.AsyncClient) -> None:
    await happens(api, HarmSignal, strength="strong")
    task_id = (await harm(reviewer))["review"]
    answers = await asyncio.gather(
        *(
            reviewer.post(f"/v1/tasks/{task_id}/complete", json={"answer": {"to": to, "reason": WHY}})
            for to in ("none", "weak")
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    assert len(await rows(api.engine.database, events, brand=api.brand, type="compliance.harm_reviewed")) == 1


async def test_one_review_is_for_the_person_and_its_judgement_for_every_account(
    api: Api, reviewer: httpx.AsyncClient
) -> None:
    for player in ("p-1", "p-2"):
        await happens(api, PlayerRegistered, player)
    await happens(api, PlayerMerged, survivor_id="p-1", absorbed_id="p-2")
    await happens(api, HarmSignal, strength="strong")
    await happens(api, HarmSignal, "p-2", strength="strong", indicator="night_play")
    assert [(await harm(reviewer, one))["strength"] for one in ("p-1", "p-2")] == ["strong", "strong"]
    (review,) = await reviews(api)
    answer = {"answer": {"to": "none", "reason": WHY}}
    done = await reviewer.post(f"/v1/tasks/{review['id']}/complete", json=answer)
    assert done.status_code == 200, done.text
    assert [(await harm(reviewer, one))["strength"] for one in ("p-1", "p-2")] == ["none", "none"]


async def test_a_pause_is_in_force_when_it_is_answered_and_a_repetition_is_the_same(desk: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "pause-1"}
    body = {"hours": 72, "why": "A large loss."}
    told = [await desk.post("/v1/players/p-1/pause-promotions", json=body, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in told] == [202, 202], told[0].text
    assert told[0].json()["paused_until"] == told[1].json()["paused_until"]
    other = await desk.post("/v1/players/p-1/pause-promotions", json=body | {"hours": 1}, headers=headers)
    assert other.status_code == 422


async def test_a_contest_is_one_task_and_lifts_nothing_until_it_is_judged(
    api: Api, desk: httpx.AsyncClient, reviewer: httpx.AsyncClient
) -> None:
    assert (await desk.post("/v1/players/nobody/contest", json={"words": "Why?"})).status_code == 404
    await happens(api, HarmSignal, strength="strong")
    first = await desk.post("/v1/players/p-1/contest", json={"words": "I play as I always did."})
    again = await desk.post("/v1/players/p-1/contest", json={"words": "Please look again."})
    assert (first.status_code, again.status_code) == (201, 200), first.text
    assert first.json()["task_id"] == again.json()["task_id"]
    assert (await harm(desk))["strength"] == "strong"
    (contest,) = await reviews(api, form="ContestedRestriction")
    assert contest["reason"] == "I play as I always did."
    history = await rows(api.engine.database, task_history, task_id=contest["id"])
    said = [(line["action"], line["text"]) for line in history]
    assert said == [("opened", None), ("commented", "Please look again.")]
    judged = {"to": "none", "reason": WHY, "answer_to_player": "You are right, and we are sorry."}
    done = await reviewer.post(f"/v1/tasks/{contest['id']}/complete", json={"answer": judged})
    assert done.status_code == 200, done.text
    assert (await harm(desk))["strength"] == "none"


async def test_a_contest_is_judged_by_who_is_trained_and_by_nobody_else(api: Api, desk: httpx.AsyncClient) -> None:
    await happens(api, HarmSignal, strength="strong")
    task_id = (await desk.post("/v1/players/p-1/contest", json={"words": "Why?"})).json()["task_id"]
    judged = {"to": "none", "reason": WHY, "answer_to_player": "Done."}
    refused = await desk.post(f"/v1/tasks/{task_id}/complete", json={"answer": judged})
    assert (refused.status_code, "harm:review" in refused.json()["detail"]) == (403, True), refused.text
    assert (await desk.post(f"/v1/tasks/{task_id}/claim")).status_code == 403, "without the skill"
    assert (await harm(desk))["strength"] == "strong"


async def test_the_review_of_the_signs_stays_for_people_when_a_contest_is_judged_before_it(
    api: Api, desk: httpx.AsyncClient, reviewer: httpx.AsyncClient
) -> None:
    await happens(api, HarmSignal, strength="strong")
    review = (await harm(desk))["review"]
    contest = (await desk.post("/v1/players/p-1/contest", json={"words": "Why?"})).json()["task_id"]
    judged = {"to": "none", "reason": WHY, "answer_to_player": "Done."}
    assert (await reviewer.post(f"/v1/tasks/{contest}/complete", json={"answer": judged})).status_code == 200
    known = await harm(desk)
    assert (known["strength"], known["review"]) == ("none", review)
    await happens(api, HarmSignal, strength="strong", indicator="night_play")
    known = await harm(desk)
    assert (known["strength"], known["review"]) == ("strong", review), "a judgement is of what was seen until then"
    again = await desk.post("/v1/players/p-1/contest", json={"words": "And again?"})
    assert (again.status_code, again.json()["task_id"] == contest) == (201, False)


async def test_a_contest_of_either_account_is_the_person_s_one(
    api: Api, desk: httpx.AsyncClient, reviewer: httpx.AsyncClient
) -> None:
    for player in ("p-1", "p-2"):
        await happens(api, PlayerRegistered, player)
    await happens(api, PlayerMerged, survivor_id="p-1", absorbed_id="p-2")
    await happens(api, HarmSignal, strength="strong")
    told = await asyncio.gather(
        *(desk.post(f"/v1/players/{one}/contest", json={"words": f"By {one}."}) for one in ("p-1", "p-2", "p-1", "p-2"))
    )
    assert sorted(answer.status_code for answer in told) == [200] * 3 + [201]
    (contest,) = await reviews(api, form="ContestedRestriction")
    judged = {"to": "none", "reason": WHY, "answer_to_player": "Done."}
    assert (await reviewer.post(f"/v1/tasks/{contest['id']}/complete", json={"answer": judged})).status_code == 200
    assert [(await harm(desk, one))["strength"] for one in ("p-1", "p-2")] == ["none", "none"]


async def test_contests_at_once_are_one_task(api: Api, desk: httpx.AsyncClient) -> None:
    await happens(api, HarmSignal, strength="strong")
    bodies = [{"words": f"Words {number}."} for number in range(5)]
    told = await asyncio.gather(*(desk.post("/v1/players/p-1/contest", json=body) for body in bodies))
    assert sorted(answer.status_code for answer in told) == [200] * 4 + [201]
    assert len(await reviews(api, form="ContestedRestriction")) == 1


async def test_of_a_player_nobody_heard_of_nothing_is_judged(api: Api, reviewer: httpx.AsyncClient) -> None:
    answer = await reviewer.post("/v1/players/p-mistyped/harm-review", json={"to": "none", "reason": WHY})
    assert answer.status_code == 404, answer.text
    assert await rows(api.engine.database, players, brand=api.brand) == []


async def contests(client: httpx.AsyncClient, player: str, words: str) -> httpx.Response:
    return await client.post(f"/v1/players/{player}/contest", json={"words": words})


async def judges(api: Api, reviewer: httpx.AsyncClient, contest: dict[str, Any]) -> None:
    """The contest is judged once, and that is the word on both accounts."""
    judged = {"to": "none", "reason": WHY, "answer_to_player": "Done."}
    done = await reviewer.post(f"/v1/tasks/{contest['id']}/complete", json={"answer": judged})
    assert done.status_code == 200, done.text
    assert [(await harm(reviewer, one))["strength"] for one in ("p-1", "p-2")] == ["none", "none"]
    assert len(await rows(api.engine.database, events, brand=api.brand, type="compliance.harm_reviewed")) == 1


async def test_contests_of_two_accounts_end_as_one_with_the_account_that_stays(
    api: Api, desk: httpx.AsyncClient, reviewer: httpx.AsyncClient
) -> None:
    for player in ("p-1", "p-2"):
        await happens(api, PlayerRegistered, player)
    await happens(api, HarmSignal, "p-2", strength="strong")
    of_gone = (await contests(desk, "p-2", "I am the elder one.")).json()
    of_stays = (await contests(desk, "p-1", "And I the other.")).json()
    for ends in (("p-1", "p-2"), ("p-2", "p-1")):
        await happens(api, PlayerMerged, survivor_id=ends[0], absorbed_id=ends[1])
    (contest,) = await reviews(api, form="ContestedRestriction", state="open")
    assert (contest["id"], contest["player_id"], contest["snapshot"]["player_id"]) == (of_gone["task_id"], "p-1", "p-2")
    history = await rows(api.engine.database, task_history, task_id=contest["id"])
    assert [(line["action"], line["text"]) for line in history] == [
        ("opened", None),
        ("commented", "And I the other."),
        ("changed", "p-2 is p-1 from now on."),
    ]
    (other,) = await reviews(api, id=of_stays["task_id"])
    assert other["state"] == "cancelled"
    told = await contests(desk, "p-2", "I still wait.")
    assert (told.status_code, told.json()["task_id"]) == (200, contest["id"])
    await judges(api, reviewer, contest)


async def test_the_contest_that_somebody_works_on_stays_and_the_earlier_time_holds(
    api: Api, desk: httpx.AsyncClient, reviewer: httpx.AsyncClient
) -> None:
    for player in ("p-1", "p-2"):
        await happens(api, PlayerRegistered, player)
    await happens(api, HarmSignal, "p-1", strength="strong")
    first, second = [(await contests(desk, one, f"By {one}.")).json() for one in ("p-1", "p-2")]
    assert (await reviewer.post(f"/v1/tasks/{second['task_id']}/claim")).status_code == 200
    await happens(api, PlayerMerged, survivor_id="p-1", absorbed_id="p-2")
    (contest,) = await reviews(api, form="ContestedRestriction", state="claimed")
    assert (contest["id"], contest["player_id"]) == (second["task_id"], "p-1")
    assert contest["due_at"] == datetime.fromisoformat(first["due_at"])
    assert await reviews(api, form="ContestedRestriction", state="open") == []
    await judges(api, reviewer, contest)


async def test_contests_that_race_the_merge_end_as_one_with_the_account_that_stays(
    api: Api, desk: httpx.AsyncClient, reviewer: httpx.AsyncClient
) -> None:
    for player in ("p-1", "p-2"):
        await happens(api, PlayerRegistered, player)
    await happens(api, HarmSignal, "p-2", strength="strong")
    said = [contests(desk, one, f"{number} by {one}.") for number in range(4) for one in ("p-1", "p-2")]
    merged = happens(api, PlayerMerged, survivor_id="p-1", absorbed_id="p-2")
    told = await asyncio.gather(*said[:4], merged, *said[4:])
    assert {answer.status_code for answer in told if answer is not None} <= {200, 201}
    (contest,) = await reviews(api, form="ContestedRestriction", state="open")
    assert contest["player_id"] == "p-1"
    await judges(api, reviewer, contest)


async def test_a_contest_that_waited_for_the_merge_is_of_the_account_that_stays(
    api: Api, desk: httpx.AsyncClient, reviewer: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for player in ("p-1", "p-2"):
        await happens(api, PlayerRegistered, player)
    await happens(api, HarmSignal, "p-2", strength="strong")

    async def reads_and_then_they_are_merged(connection: AsyncConnection, brand: str, player: str) -> list[str]:
        known = await accounts_of(connection, brand, player)
        monkeypatch.undo()
        await happens(api, PlayerMerged, survivor_id="p-1", absorbed_id="p-2")
        return known

    # What was read is old by the time the rows are locked.
    monkeypatch.setattr("activities.harm_reviews.accounts_of", reads_and_then_they_are_merged)
    assert (await contests(desk, "p-2", "Why?")).status_code == 201
    (contest,) = await reviews(api, form="ContestedRestriction", state="open")
    assert contest["player_id"] == "p-1"
    await judges(api, reviewer, contest)


async def test_of_an_erased_account_no_words_go_on_with_the_one_that_stays(api: Api, desk: httpx.AsyncClient) -> None:
    eraser = await api.client("players:erase", name="eraser")
    for player in ("p-1", "p-2"):
        await happens(api, PlayerRegistered, player)
    await contests(desk, "p-1", "I am p-1.")
    await contests(desk, "p-2", "I am p-2, and leave.")
    assert (await eraser.delete("/v1/players/p-2")).status_code == 202
    await happens(api, PlayerMerged, survivor_id="p-1", absorbed_id="p-2")
    (contest,) = await reviews(api, form="ContestedRestriction", state="open")
    history = await rows(api.engine.database, task_history, task_id=contest["id"])
    assert (contest["player_id"], contest["reason"]) == ("p-1", "I am p-1.")
    assert all("leave" not in (line["text"] or "") for line in history)


async def test_of_an_erased_account_no_words_go_on_though_the_player_came_back(
    api: Api, desk: httpx.AsyncClient
) -> None:
    eraser = await api.client("players:erase", name="eraser")
    for player in ("p-1", "p-2"):
        await happens(api, PlayerRegistered, player)
    await contests(desk, "p-1", "I am p-1.")
    await contests(desk, "p-2", "I am p-2, and leave.")
    assert (await eraser.delete("/v1/players/p-2")).status_code == 202
    await happens(api, PlayerRegistered, "p-2")
    await happens(api, PlayerMerged, survivor_id="p-1", absorbed_id="p-2")
    (contest,) = await reviews(api, form="ContestedRestriction", state="open")
    history = await rows(api.engine.database, task_history, task_id=contest["id"])
    assert (contest["player_id"], contest["reason"]) == ("p-1", "I am p-1.")
    assert all("leave" not in (line["text"] or "") for line in history)


async def test_an_account_whose_survivor_was_erased_may_still_contest(api: Api, desk: httpx.AsyncClient) -> None:
    eraser = await api.client("players:erase", name="eraser")
    for player in ("p-1", "p-2"):
        await happens(api, PlayerRegistered, player)
    await contests(desk, "p-1", "I am p-1, and leave.")
    await happens(api, PlayerMerged, survivor_id="p-1", absorbed_id="p-2")
    assert (await eraser.delete("/v1/players/p-1")).status_code == 202
    told = await contests(desk, "p-2", "I am still here.")
    assert told.status_code == 201, told.text
    (contest,) = await reviews(api, id=told.json()["task_id"])
    assert (contest["player_id"], contest["reason"]) == ("p-2", "I am still here.")
    assert (await contests(desk, "p-1", "And I not.")).status_code == 404


async def test_a_joined_account_whose_row_was_removed_keeps_nobody_from_contesting(
    api: Api, desk: httpx.AsyncClient
) -> None:
    for player in ("p-1", "p-2"):
        await happens(api, PlayerRegistered, player)
    await happens(api, PlayerMerged, survivor_id="p-1", absorbed_id="p-2")
    await execute(api.engine.database, "DELETE FROM players WHERE brand = :brand AND id = 'p-1'", brand=api.brand)
    told = await contests(desk, "p-2", "Where am I?")
    assert told.status_code == 201, told.text
