"""Tasks that people open by hand: whose they become, how they are answered, and who moves their time."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from activities.actors import Actor
from activities.erasures import ErasureRequest, request_erasure
from activities.people import Person, add_person, give
from activities.player_hosts import set_host
from activities.tables import runs
from activities.task_effects import TaskEffects
from activities.work_profiles import WorkProfile, add_absence, write_profile
from tests.support.api_client import Api, serving
from tests.support.api_journeys import Affordability
from tests.support.engine import done
from workflows.effects import OpenTask
from workflows.events import DepositFailed, Event, ExclusionSet, PlayerRegistered, StatusChanged
from workflows.player_facts import PlayerFacts
from workflows.task_kinds import CONTACT_KINDS, HOUSE_FORMS, TASK_KINDS, WithdrawalUpdate

CALL = {"kind": "withdrawal_comfort", "player_id": "p-1", "reason": "She wrote twice."}
ANSWERS: dict[str, dict[str, Any]] = {
    "PieceOfWork": {"outcome": "done"},
    "DisputedTransaction": {"outcome": "done", "told_player": True},
    "BigWinFault": {"outcome": "done", "told_player": True},
    "TierUpNote": {"outcome": "done"},
    "HandwrittenGift": {"outcome": "done", "cost_minor": 5_000},
    "OfferCodeHelp": {"outcome": "done", "told_player": False},
    "ComplaintHandling": {"outcome": "done", "told_player": True},
    "LargeLossTalk": {"outcome": "reached", "signs_of_harm": True},
    "SaferPlayTalk": {"outcome": "reached", "agreed": "limit"},
    "SpendReview": {"outcome": "affordable", "note": "Payslips seen."},
    "SourceOfFundsRequest": {"outcome": "proven"},
    "PortfolioReview": {"outcome": "keep"},
}


@pytest.fixture(scope="module")
async def served(module_postgres_url: str) -> AsyncIterator[Api]:
    async with serving(module_postgres_url, journeys="tests.support.api_journeys") as application:
        yield application


@pytest.fixture
async def desk(api: Api) -> httpx.AsyncClient:
    registered = PlayerRegistered.example().model_copy(
        update={"occurred_at": datetime.now(UTC) - timedelta(days=1), "language": "uk"}
    )
    await api.engine.intake.ingest(api.brand, [("p-1", registered)], datetime.now(UTC))
    return await api.client("tasks:work", skills=["aml", "rg"])


async def colleague(
    api: Api, name: str, *, minutes: int | None = None, languages: tuple[str, ...] = (), team: str = "vip"
) -> Person:
    """Somebody who may answer a team's tasks."""
    now, giver = datetime.now(UTC), Actor(api.brand, "test", id="test")
    async with api.engine.database.transaction() as connection:
        person = await add_person(connection, api.brand, f"{name}@{api.brand}.example", name, now)
        await give(connection, person, "role", "manager", giver, now)
        await give(connection, person, "team", team, giver, now)
        await write_profile(connection, api.brand, person.id, WorkProfile(languages, minutes), now)
    return person


async def hosted(api: Api, person: Person) -> None:
    async with api.engine.database.transaction() as connection:
        await set_host(connection, api.brand, "p-1", person.id, "test", datetime.now(UTC))


async def opened(desk: httpx.AsyncClient, **changes: Any) -> dict[str, Any]:
    answer = await desk.post("/v1/tasks", json=CALL | changes)
    assert answer.status_code == 201, answer.text
    return answer.json()  # type: ignore[no-any-return]  # JSON


@pytest.mark.parametrize("kind", TASK_KINDS)
async def test_every_kind_is_opened_with_its_form_and_answered_without_a_journey(
    api: Api, desk: httpx.AsyncClient, kind: str
) -> None:
    task = await opened(desk, kind=kind)
    known = TASK_KINDS[kind]
    assert (task["form"], task["team"], task.get("skill")) == (known.form.__name__, known.team, known.skill)
    assert task.get("run_id") is None
    assert task["history"][0]["actor"] == "tester"
    assert datetime.fromisoformat(task["due_at"]) - datetime.fromisoformat(task["created_at"]) == known.due
    answer = ANSWERS.get(task["form"], {"outcome": "reached", "note": "She is well."})
    # What counts pairs of eyes is for registered people.
    people = [(await colleague(api, f"c{number}")).email for number in range(known.approvals) if known.approvals > 1]
    states = []
    for headers in [{"X-Actor": name} for name in people] or [{}]:
        answered = await desk.post(f"/v1/tasks/{task['id']}/complete", json={"answer": answer}, headers=headers)
        assert answered.status_code == 200, answered.text
        states.append((answered.json()["state"], answered.json()["answer"]))
    assert states == [("open", None)] * (known.approvals - 1) + [("completed", answer)]


async def test_an_answer_that_does_not_fit_the_form_of_the_house_is_pointed_at(desk: httpx.AsyncClient) -> None:
    task = await opened(desk, kind="affordability_review")
    refused = await desk.post(f"/v1/tasks/{task['id']}/complete", json={"answer": {"outcome": "affordable"}})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == "/answer/note"


async def test_the_same_wish_twice_is_one_task(desk: httpx.AsyncClient) -> None:
    once = {"Idempotency-Key": "wish-1"}
    first = await desk.post("/v1/tasks", json=CALL, headers=once)
    again = await desk.post("/v1/tasks", json=CALL, headers=once)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    assert first.json()["id"] != (await opened(desk))["id"]


async def test_a_task_is_about_somebody_who_is_known_and_in_a_time_to_come(desk: httpx.AsyncClient) -> None:
    assert (await desk.post("/v1/tasks", json=CALL | {"player_id": "nobody"})).status_code == 404
    past = await desk.post("/v1/tasks", json=CALL | {"due_at": "2020-01-01T00:00:00Z"})
    assert (past.status_code, past.json()["errors"][0]["pointer"]) == (422, "/due_at")


async def test_it_goes_to_the_players_host(api: Api, desk: httpx.AsyncClient) -> None:
    olena = await colleague(api, "olena")
    await colleague(api, "ivan", minutes=300)
    await hosted(api, olena)
    task = await opened(desk)
    assert (task["state"], task["assignee"]) == ("claimed", olena.email)


async def test_it_goes_to_who_stands_in_while_the_host_is_away(api: Api, desk: httpx.AsyncClient) -> None:
    olena, ivan, now = await colleague(api, "olena"), await colleague(api, "ivan"), datetime.now(UTC)
    await hosted(api, olena)
    async with api.engine.database.transaction() as connection:
        await add_absence(connection, api.brand, olena.id, now, now + timedelta(days=1), stand_in=ivan.id, by="test")
    assert (await opened(desk))["assignee"] == ivan.email


async def test_without_a_host_it_goes_to_who_speaks_the_language_and_has_the_time(
    api: Api, desk: httpx.AsyncClient
) -> None:
    await colleague(api, "ivan", minutes=300, languages=("en",))
    olena = await colleague(api, "olena", minutes=20, languages=("uk",))
    first, second, third = await opened(desk), await opened(desk), await opened(desk)
    assert [one.get("assignee") for one in (first, second)] == [olena.email, olena.email]
    assert third.get("assignee") is None, "Twenty minutes are two of ten; nobody else speaks Ukrainian."
    assert third["state"] == "open"


async def test_nobody_is_given_what_they_did_not_ask_for(api: Api, desk: httpx.AsyncClient) -> None:
    await colleague(api, "olena")
    task = await opened(desk)
    assert (task["state"], task.get("assignee")) == ("open", None)


async def asked_by_a_journey(api: Api, form: str = "Affordability") -> str:
    """The id of a task that a journey asks about the player."""
    now = datetime.now(UTC)
    failed = DepositFailed.example().model_copy(update={"event_id": "failed-1", "occurred_at": now})
    await api.engine.intake.ingest(api.brand, [("p-1", failed)], now)
    async with api.engine.database.reading() as connection:
        found = await connection.execute(
            select(runs.c.id).where(runs.c.brand == api.brand, runs.c.journey == "api_review")
        )
        run_id = found.scalar_one()
    asking = OpenTask(
        brand=api.brand,
        player_id="p-1",
        journey="api_review",
        run_id=run_id,
        step=f"ask:{form}#1",
        form=form,
        question="?",
        form_schema=Affordability.model_json_schema(),
        team="vip",
        due_at=now + timedelta(hours=1),
        facts=PlayerFacts(player_id="p-1"),
    )
    task_id = done(await TaskEffects(api.engine.database, lambda: now).open(asking)).task_id
    assert task_id is not None
    return task_id


async def test_what_a_journey_asks_goes_to_the_host_too(api: Api, desk: httpx.AsyncClient) -> None:
    olena = await colleague(api, "olena")
    await hosted(api, olena)
    task_id = await asked_by_a_journey(api)
    task = (await desk.get(f"/v1/tasks/{task_id}")).json()
    assert (task["state"], task["assignee"]) == ("claimed", olena.email)


async def test_it_is_given_to_whom_it_is_meant_for_and_to_nobody_who_may_not_have_it(
    api: Api, desk: httpx.AsyncClient
) -> None:
    olena = await colleague(api, "olena")
    assert (await opened(desk, assignee=olena.email))["assignee"] == olena.email
    sam = await colleague(api, "sam", team="support")
    refused = await desk.post("/v1/tasks", json=CALL | {"assignee": sam.email})
    assert (refused.status_code, refused.json()["rule"]) == (403, "team")
    unknown = await desk.post("/v1/tasks", json=CALL | {"assignee": "nobody@example.com"})
    assert unknown.status_code == 404
    listed = (await desk.get("/v1/tasks", params={"player": "p-1"})).json()["items"]
    assert len(listed) == 1, "What is refused opens nothing."


async def test_its_time_is_moved_by_who_leads_with_a_reason(api: Api, desk: httpx.AsyncClient) -> None:
    task = await opened(desk)
    later = {"due_at": "2099-01-01T10:00:00Z", "reason": "She asked for Friday."}
    assert (await desk.post(f"/v1/tasks/{task['id']}/due", json=later)).status_code == 403
    head = await api.client("tasks:lead", name="marta")
    moved = await head.post(f"/v1/tasks/{task['id']}/due", json=later)
    assert moved.status_code == 200, moved.text
    assert moved.json()["due_at"] == "2099-01-01T10:00:00Z"
    line = moved.json()["history"][-1]
    assert (line["actor"], line["action"], line["text"]) == ("marta", "changed", "She asked for Friday.")
    assert (
        await head.post(f"/v1/tasks/{task['id']}/due", json=later | {"due_at": "2020-01-01T10:00:00Z"})
    ).status_code == 422


@pytest.mark.usefixtures("desk")
async def test_the_time_of_what_a_journey_asks_is_not_moved_although_its_form_is_called_like_one_of_the_house(
    api: Api,
) -> None:
    task_id, head = await asked_by_a_journey(api, WithdrawalUpdate.__name__), await api.client("tasks:lead")
    later = {"due_at": "2099-01-01T10:00:00Z", "reason": "She asked for Friday."}
    refused = await head.post(f"/v1/tasks/{task_id}/due", json=later)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:journeys:problem:due-fixed")


async def test_how_somebody_works_and_when_they_are_away_is_said_and_taken_back(api: Api) -> None:
    olena, ivan = await colleague(api, "olena"), await colleague(api, "ivan")
    head = await api.client("tasks:lead")
    said = await head.put(f"/v1/people/{olena.email}/work", json={"languages": ["uk", "uk"], "minutes_a_day": 240})
    known = said.json()
    assert (known["languages"], known["minutes_a_day"], known["absences"]) == (["uk"], 240, [])
    away = {"since": "2099-07-01T00:00:00Z", "until": "2099-07-15T00:00:00Z", "stand_in": ivan.email}
    added = await head.post(f"/v1/people/{olena.id}/absences", json=away)
    assert added.status_code == 201
    (one,) = added.json()["absences"]
    assert one["stand_in"] == ivan.email
    own = await head.post(f"/v1/people/{olena.id}/absences", json=away | {"stand_in": olena.email})
    assert (own.status_code, own.json()["errors"][0]["pointer"]) == (422, "/stand_in")
    backwards = await head.post(f"/v1/people/{olena.id}/absences", json=away | {"until": "2099-06-01T00:00:00Z"})
    assert backwards.status_code == 422
    back = await head.delete(f"/v1/people/{olena.id}/absences/{one['id']}")
    assert back.json()["absences"] == []
    assert (await head.delete(f"/v1/people/{olena.id}/absences/{one['id']}")).status_code == 404


def test_every_form_of_the_house_is_answered_in_these_tests() -> None:
    conversations = {name for name, form in HOUSE_FORMS.items() if form.__mro__[1].__name__ == "Conversation"}
    assert HOUSE_FORMS.keys() <= ANSWERS.keys() | conversations


EXCLUDED = ExclusionSet.example().model_copy(update={"kind": "self_exclusion", "until": None})
BEGINNINGS: dict[str, tuple[Event, str]] = {
    "self-excluded": (EXCLUDED, "The player is self-excluded"),
    "time-out": (
        EXCLUDED.model_copy(update={"kind": "time_out", "until": datetime(2099, 1, 1, tzinfo=UTC)}),
        "The player takes a time-out",
    ),
    "deceased": (StatusChanged.example().model_copy(update={"to": "deceased", "until": None}), "The player has died"),
    "suspended": (
        StatusChanged.example().model_copy(update={"to": "suspended", "until": None}),
        "The player's account is not active",
    ),
}


async def happens(api: Api, event: Event) -> None:
    now = datetime.now(UTC)
    given = event.model_copy(update={"event_id": f"{event.type}-{now.timestamp()}", "occurred_at": now})
    await api.engine.intake.ingest(api.brand, [("p-1", given)], now)


@pytest.mark.parametrize("beginning", BEGINNINGS)
async def test_nobody_is_sent_to_a_protected_player_and_what_is_owed_to_them_goes_on(
    api: Api, desk: httpx.AsyncClient, beginning: str
) -> None:
    event, sentence = BEGINNINGS[beginning]
    await happens(api, event)
    for kind in TASK_KINDS:
        answer = await desk.post("/v1/tasks", json=CALL | {"kind": kind})
        if kind in CONTACT_KINDS:
            assert (answer.status_code, answer.json()["type"]) == (409, "urn:journeys:problem:player-protected")
            assert answer.json()["detail"].startswith(sentence)
        else:
            assert answer.status_code == 201, answer.text


@pytest.mark.parametrize("beginning", BEGINNINGS)
async def test_what_would_approach_a_player_is_closed_where_their_protection_begins(
    api: Api, desk: httpx.AsyncClient, beginning: str
) -> None:
    once = {"Idempotency-Key": "wish-1"}
    tasks = {kind: await opened(desk, kind=kind) for kind in TASK_KINDS if kind != "birthday_call"}
    birthday = (await desk.post("/v1/tasks", json=CALL | {"kind": "birthday_call"}, headers=once)).json()
    await happens(api, BEGINNINGS[beginning][0])
    for kind, task in (tasks | {"birthday_call": birthday}).items():
        known = (await desk.get(f"/v1/tasks/{task['id']}")).json()
        assert known["state"] == ("cancelled" if kind in CONTACT_KINDS else "open")
    last = (await desk.get(f"/v1/tasks/{birthday['id']}")).json()["history"][-1]
    assert (last["action"], last["text"]) == ("cancelled", "The player is protected.")
    again = await desk.post("/v1/tasks", json=CALL | {"kind": "birthday_call"}, headers=once)
    assert (again.status_code, again.json()["id"]) == (200, birthday["id"])


def test_what_a_birthday_an_event_and_a_silence_call_for_approaches_the_player() -> None:
    assert {"birthday_call", "event_invite", "vip_inactivity_call"} <= CONTACT_KINDS
    assert CONTACT_KINDS.isdisjoint({"withdrawal_comfort", "complaint", "rg_interaction", "kyc_help"})


async def test_what_is_open_by_hand_about_a_player_is_closed_with_the_request_to_erase_them(
    api: Api, desk: httpx.AsyncClient
) -> None:
    tasks = [await opened(desk, kind=kind) for kind in ("withdrawal_comfort", "birthday_call")]
    erasure = ErasureRequest(api.brand, "p-1", "consent_withdrawn", "T-1", "olena")
    async with api.engine.database.transaction() as connection:
        await request_erasure(connection, api.engine.intake, erasure, datetime.now(UTC))
    for task in tasks:
        assert (await desk.get(f"/v1/tasks/{task['id']}")).json()["state"] == "cancelled"
        answer = {"answer": {"outcome": "reached", "note": "She is well."}}
        assert (await desk.post(f"/v1/tasks/{task['id']}/complete", json=answer)).status_code == 409
    for kind in ("withdrawal_comfort", "birthday_call"):
        refused = await desk.post("/v1/tasks", json=CALL | {"kind": kind})
        assert (refused.status_code, refused.json()["detail"][:23]) == (409, "The player was erased: ")
