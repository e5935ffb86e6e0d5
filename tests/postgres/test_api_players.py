"""Players over HTTP: what is known, what happened and why, and being left alone."""

import asyncio
import io
import json
import secrets
import zipfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from sqlalchemy import text

from tests.support.api_client import BACKEND, Api, serving
from tests.support.api_seed import JOURNEY, PLAYER, seeded
from workflows.events import (
    DepositApproved,
    DepositFailed,
    DeviceRegistered,
)

BATCH = {"Content-Type": "application/cloudevents-batch+json"}
FOR_EVER = {"kind": "self_exclusion", "scope": "brand", "reason": "Asked on the phone."}


@pytest.fixture(scope="module")
async def served(module_postgres_url: str) -> AsyncIterator[Api]:
    settings: dict[str, Any] = {"journeys": "tests.support.api_journeys", "self_exclusion_minimum": timedelta(0)}
    async with serving(module_postgres_url, **settings) as application:
        yield application


@pytest.fixture
async def desk(api: Api) -> httpx.AsyncClient:
    return await api.client("players:read", "tasks:work", name="desk")


async def player(desk: httpx.AsyncClient, player_id: str = PLAYER) -> dict[str, Any]:
    answer = await desk.get(f"/v1/players/{player_id}")
    assert answer.status_code == 200, answer.text
    known: dict[str, Any] = answer.json()
    return known


async def test_a_player_shows_profile_facts_statistics_consents_and_runs(api: Api, desk: httpx.AsyncClient) -> None:
    await seeded(api)
    known = await player(desk)
    assert known["profile"]["email"] == "anna@example.com"
    assert (known["facts"]["language"], known["facts"]["timezone"]) == ("uk", "Europe/Kyiv")
    assert "email" not in known["facts"]
    assert known["statistics"]["deposits"] == 1
    assert known["statistics"]["deposited_minor"] == known["statistics"]["mean_deposit_minor"] == 5000
    measured = {one["measure"].partition(":")[0]: one for one in known["statistics"]["measures"]}
    usual = measured["gap"]
    assert (usual["value"], usual["is_known"]) == (0, False), "One who never logged in has no usual gap, of 0 or more."
    assert measured["count"]["is_known"]
    pattern = measured["choices"]
    assert (pattern["value"], pattern["is_known"]) == (0, False), "Of how they play no change is seen."
    assert {consent["channel"]: consent["opted_in"] for consent in known["consents"]} == {"email": True, "in_app": True}
    assert (known["status"], known["protected"], known["exclusions"]) == ("active", None, [])
    assert JOURNEY in [run["journey"] for run in known["running"]]
    assert known["runs"] == len(known["running"])


async def test_players_are_listed_by_id_without_personal_data(api: Api, desk: httpx.AsyncClient) -> None:
    now = datetime.now(UTC)
    made = DepositApproved.example()
    facts = [(f"p-{n}", made.model_copy(update={"event_id": str(n), "occurred_at": now})) for n in range(5)]
    await api.engine.intake.ingest(api.brand, facts, now)
    first = (await desk.get("/v1/players", params={"page_size": "3"})).json()
    second = (await desk.get("/v1/players", params={"page_size": "3", "page_token": first["next_page_token"]})).json()
    assert [p["id"] for p in first["items"] + second["items"]] == [f"p-{n}" for n in range(5)]
    assert second["next_page_token"] is None
    assert "profile" not in first["items"][0]


async def test_the_timeline_tells_everything_newest_first_in_sentences(api: Api, desk: httpx.AsyncClient) -> None:
    ids = await seeded(api)
    await desk.post(f"/v1/tasks/{ids['task_id']}/comment", json={"text": "Called twice."})
    entries = (await desk.get(f"/v1/players/{PLAYER}/timeline", params={"page_size": "200"})).json()["items"]
    moments = [entry["at"] for entry in entries]
    assert moments == sorted(moments, reverse=True)
    assert {entry["kind"] for entry in entries} == {"event", "segment", "run", "step", "message", "grant", "task"}
    told = [entry["text"] for entry in entries]
    for sentence in (
        "Deposit approved, €50.00, told by /example.",
        f"Entered {JOURNEY} because of deposit failed.",
        f"Reached the goal of {JOURNEY}.",
        "E-mail “welcome” was not sent: the player did not opt in to this channel.",
        "In-app message “welcome” was sent.",
        "Free spins may or may not have been given; the bonus engine is being asked: the bonus engine never answered.",
        "Task Affordability was put before people.",
        "Task Affordability was commented by desk: “Called twice”.",
        f"{JOURNEY}, mark seen: marked.",
    ):
        assert sentence in told
    assert all(entry["text"].endswith(".") for entry in entries)


async def test_the_timeline_is_paged_without_loss_or_repetition(api: Api, desk: httpx.AsyncClient) -> None:
    await seeded(api)
    whole = (await desk.get(f"/v1/players/{PLAYER}/timeline", params={"page_size": "200"})).json()["items"]
    paged: list[dict[str, Any]] = []
    query = {"page_size": "2"}
    while True:
        page = (await desk.get(f"/v1/players/{PLAYER}/timeline", params=query)).json()
        paged += page["items"]
        if page["next_page_token"] is None:
            break
        query["page_token"] = page["next_page_token"]
    assert [entry["id"] for entry in paged] == [entry["id"] for entry in whole]
    assert len({entry["id"] for entry in whole}) == len(whole)


async def test_the_timeline_can_be_narrowed(api: Api, desk: httpx.AsyncClient) -> None:
    ids = await seeded(api)
    path = f"/v1/players/{PLAYER}/timeline"
    for kinds in (["message", "grant"], ["task"], ["run"]):
        entries = (await desk.get(path, params={"kind": kinds})).json()["items"]
        assert {entry["kind"] for entry in entries} == set(kinds)
    of_run = (await desk.get(path, params={"run": ids["run_id"]})).json()["items"]
    assert {entry["run_id"] for entry in of_run} == {ids["run_id"]}
    assert (await desk.get("/v1/players/unknown/timeline")).status_code == 404


async def test_an_exclusion_is_in_force_when_it_is_answered(api: Api, desk: httpx.AsyncClient) -> None:
    ids = await seeded(api)
    answer = await desk.post(f"/v1/players/{PLAYER}/exclusion", json=FOR_EVER, headers={"X-Actor": "olena"})
    assert (answer.status_code, answer.json()["protected"]["reason"]) == (202, "self_excluded")
    known = await player(desk)
    assert known["protected"]["reason"] == "self_excluded"
    assert [(e["kind"], e["until"], e["in_force"]) for e in known["exclusions"]] == [("self_exclusion", None, True)]
    async with api.engine.database.reading() as connection:
        stops = await connection.execute(
            text("SELECT run_id, priority FROM deliveries WHERE kind = 'stop' AND brand = :brand"),
            {"brand": api.brand},
        )
        stored = await connection.execute(
            text("SELECT source, data FROM events WHERE brand = :brand AND type = 'compliance.exclusion_set'"),
            {"brand": api.brand},
        )
        assert (ids["run_id"], 0) in [tuple(stop) for stop in stops]
        event = stored.one()
    assert (event.source, event.data["reason"]) == ("api:olena", "Asked on the phone.")


@pytest.mark.parametrize("scope", ["group", "national"])
async def test_an_exclusion_says_where_it_holds_whatever_its_scope(
    api: Api, desk: httpx.AsyncClient, scope: str
) -> None:
    told = (await desk.post("/v1/players/p-far/exclusion", json={"kind": "register", "scope": scope})).json()
    assert (told["scope"], told["brand"]) == (scope, api.brand)
    document = (await desk.get("/openapi.json")).json()
    described = document["components"]["schemas"]["ExclusionBody"]["properties"]["scope"]["description"]
    assert "`BRAND_GROUPS`" in described


async def test_an_exclusion_of_an_unusual_length_is_in_force_and_told(api: Api, desk: httpx.AsyncClient) -> None:
    backend = await api.client("events:write")

    def wire(kind: str, /, **data: object) -> dict[str, object]:
        about = {"specversion": "1.0", "id": secrets.token_hex(8), "source": "/lengths", "subject": "p-gb"}
        return about | {"type": f"igaming.{kind}.v1", "data": data}

    await backend.post("/v1/events", json=wire("player.registered", country="GB"))
    long = (datetime.now(UTC) + timedelta(days=50)).isoformat()
    (told,) = (
        await backend.post("/v1/events", json=wire("compliance.exclusion_set", kind="time_out", until=long))
    ).json()["results"]
    assert told["status"] == "accepted"
    assert "42 days at most" in told["warning"]
    assert (await player(desk, "p-gb"))["protected"]["reason"] == "time_out"
    by_hand = await desk.post("/v1/players/p-gb/exclusion", json={"kind": "time_out", "scope": "group", "until": long})
    assert by_hand.status_code == 202
    assert "42 days at most" in by_hand.json()["warning"]
    usual = await desk.post("/v1/players/p-gb/exclusion", json=FOR_EVER)
    assert usual.json()["warning"] is None


async def test_a_wish_in_force_already_changes_nothing(api: Api, desk: httpx.AsyncClient) -> None:
    await seeded(api)
    path = f"/v1/players/{PLAYER}/exclusion"
    later = {"kind": "time_out", "until": (datetime.now(UTC) + timedelta(days=7)).isoformat()}
    sooner = {"kind": "time_out", "until": (datetime.now(UTC) + timedelta(days=1)).isoformat()}
    assert (await desk.post(path, json=later)).status_code == 202
    assert (await desk.post(path, json=sooner)).status_code == 200
    assert (await desk.post(path, json={"kind": "time_out"})).status_code == 202
    assert (await desk.post(path, json=later)).json()["repeated"] is True
    # The one without an end says all that the one of a week said.
    assert [wish["until"] for wish in (await player(desk))["exclusions"]] == [None]


async def test_an_exclusion_set_again_after_it_ended_is_a_new_one(api: Api, desk: httpx.AsyncClient) -> None:
    """An id made of the content alone would make the second wish a duplicate, and leave the player unprotected."""
    await seeded(api)
    backend = await api.client(*BACKEND)
    path = f"/v1/players/{PLAYER}/exclusion"
    await desk.post(path, json=FOR_EVER)
    ended: dict[str, Any] = {"specversion": "1.0", "id": "ended", "source": "/register", "subject": PLAYER}
    ended |= {"type": "igaming.compliance.exclusion_ended.v1", "data": {"kind": "self_exclusion"}}
    await backend.post("/v1/events", json=ended)
    assert (await player(desk))["protected"] is None
    assert (await desk.post(path, json=FOR_EVER)).status_code == 202
    assert (await player(desk))["protected"]["reason"] == "self_excluded"


async def test_an_idempotency_key_makes_one_exclusion_of_many_calls(api: Api, desk: httpx.AsyncClient) -> None:
    await seeded(api)
    path, headers = f"/v1/players/{PLAYER}/exclusion", {"Idempotency-Key": "wish-1"}
    answers = await asyncio.gather(*(desk.post(path, json=FOR_EVER, headers=headers) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [202]
    assert len((await player(desk))["exclusions"]) == 1
    other = await desk.post(path, json={"kind": "time_out"}, headers=headers)
    assert (other.status_code, other.json()["type"]) == (422, "urn:journeys:problem:key-reused")


async def test_a_player_nobody_heard_of_can_be_excluded(desk: httpx.AsyncClient) -> None:
    assert (await desk.post("/v1/players/newcomer/exclusion", json=FOR_EVER)).status_code == 202
    assert (await player(desk, "newcomer"))["protected"]["reason"] == "self_excluded"
    assert (await desk.post("/v1/players/not%20an%20id/exclusion", json=FOR_EVER)).status_code == 404


async def test_an_exclusion_that_is_over_already_is_refused(desk: httpx.AsyncClient) -> None:
    answer = await desk.post("/v1/players/p/exclusion", json={"kind": "time_out", "until": "2020-01-01T00:00:00Z"})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/until")


async def test_the_inbox_shows_in_app_messages_until_they_are_read(api: Api, desk: httpx.AsyncClient) -> None:
    ids = await seeded(api)
    site = await api.client("inbox:read")
    (message,) = (await desk.get(f"/v1/players/{PLAYER}/inbox")).json()["items"]
    assert (message["id"], message["body"], message["read_at"]) == (ids["message_id"], "Hello Anna", None)
    path = f"/v1/messages/{quote(ids['message_id'], safe='')}"
    first = await site.post(f"{path}/read")
    again = await site.post(f"{path}/read")
    assert first.json()["read_at"] == again.json()["read_at"] is not None
    assert (await desk.get(f"/v1/players/{PLAYER}/inbox", params={"unread": "true"})).json()["items"] == []
    email = path.replace("in_app", "email")
    assert (await site.post(f"{email}/read")).status_code == 409
    assert (await desk.get(email)).json()["read_at"] is None


async def test_messages_and_grants_are_found_by_what_became_of_them(api: Api, desk: httpx.AsyncClient) -> None:
    ids = await seeded(api)
    suppressed = (await desk.get("/v1/messages", params={"status": "suppressed"})).json()["items"]
    assert [(m["channel"], m["reason"]) for m in suppressed] == [("email", "no_consent")]
    assert "body" not in suppressed[0]
    unknown = (await desk.get("/v1/grants", params={"status": "unknown"})).json()["items"]
    assert [grant["id"] for grant in unknown] == [ids["grant_id"]]
    assert (await desk.get("/v1/grants", params={"status": "confirmed"})).json()["items"] == []


async def test_one_click_unsubscribes_and_looking_does_not(api: Api, desk: httpx.AsyncClient) -> None:
    ids = await seeded(api)

    async def opted_in() -> bool:
        consents = {consent["channel"]: consent["opted_in"] for consent in (await player(desk))["consents"]}
        return bool(consents["email"])

    page = await api.anonymous.get(f"/v1/unsubscribe/{ids['token']}")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "Відписатися" in page.text
    assert await opted_in()
    clicked = {"List-Unsubscribe": "One-Click"}
    for _ in range(2):
        assert (await api.anonymous.post(f"/v1/unsubscribe/{ids['token']}", data=clicked)).status_code == 200
    assert not await opted_in()
    assert (await player(desk))["statistics"]["events"]["consent.changed"] == 1
    for forged in ("x", ids["token"][:-3] + "abc", "é"):
        assert (await api.anonymous.post(f"/v1/unsubscribe/{forged}")).status_code == 404


async def test_done_is_said_when_it_is_in_force_whatever_the_clock_that_gave_the_consent(
    api: Api, desk: httpx.AsyncClient
) -> None:
    ids = await seeded(api)
    backend = await api.client("events:write", name="backend")
    ahead = {
        "specversion": "1.0",
        "id": "given-ahead",
        "source": "/site",
        "type": "igaming.consent.changed.v1",
        "subject": PLAYER,
        "time": (datetime.now(UTC) + timedelta(minutes=4)).isoformat(),
        "data": {"channel": "email", "opted_in": True},
    }
    assert (await backend.post("/v1/events", json=ahead)).json()["accepted"] == 1
    answer = await api.anonymous.post(f"/v1/unsubscribe/{ids['token']}", data={"List-Unsubscribe": "One-Click"})
    assert answer.status_code == 200
    consents = {consent["channel"]: consent["opted_in"] for consent in (await player(desk))["consents"]}
    assert consents["email"] is False
    # The registration sent again, under another id and without a time, ticks no box.
    again = {**ahead, "id": "registered-again", "type": "igaming.player.registered.v1", "data": {"opted_in": ["email"]}}
    del again["time"]
    assert (await backend.post("/v1/events", json=again)).json()["accepted"] == 1
    consents = {consent["channel"]: consent["opted_in"] for consent in (await player(desk))["consents"]}
    assert consents["email"] is False


async def test_a_failed_deposit_starts_nothing_for_an_excluded_player(api: Api, desk: httpx.AsyncClient) -> None:
    await desk.post("/v1/players/careful/exclusion", json=FOR_EVER)
    now = datetime.now(UTC)
    failed = DepositFailed.example().model_copy(update={"occurred_at": now})
    await api.engine.intake.ingest(api.brand, [("careful", failed)], now)
    told = (await desk.get("/v1/players/careful/timeline")).json()["items"]
    assert f"Did not enter {JOURNEY}: the player is self-excluded." in [entry["text"] for entry in told]
    assert (await player(desk, "careful"))["running"] == []


async def test_people_are_shown_that_a_device_came_and_not_its_token(api: Api, desk: httpx.AsyncClient) -> None:
    now = datetime.now(UTC)
    came = DeviceRegistered.example().model_copy(update={"token": "fMEp8rT3R0a-secret", "occurred_at": now})
    await api.engine.intake.ingest(api.brand, [("mobile", came)], now)
    (told,) = (await desk.get("/v1/players/mobile/timeline?kind=event")).json()["items"]
    assert told["detail"]["data"] == {"platform": "android"}
    assert "fMEp8rT3R0a-secret" not in str(await player(desk, "mobile"))


class TestErasure:
    async def test_it_is_answered_with_what_happens_when_and_holds_at_once(
        self, api: Api, desk: httpx.AsyncClient
    ) -> None:
        await seeded(api)
        officer = await api.client("players:erase", "tasks:work", name="officer")
        told = await officer.delete(
            f"/v1/players/{PLAYER}", params={"reference": "T-1"}, headers={"X-Actor": "olena@example.com"}
        )
        assert told.status_code == 202, told.text
        answer = told.json()
        assert (answer["asked_by"], answer["reference"], answer["done_at"]) == ("olena@example.com", "T-1", None)
        assert [one["when"] for one in answer["what_happens"]][:2] == ["now", "within two minutes"]
        known = await player(desk)
        assert (known["profile"], known["protected"]["reason"]) == ({}, "account_not_active")
        again = await officer.delete(f"/v1/players/{PLAYER}")
        assert (again.status_code, again.json()["id"]) == (200, answer["id"])
        listed = (await desk.get(f"/v1/players/{PLAYER}/erasures")).json()
        assert [one["id"] for one in listed] == [answer["id"]]

    async def test_it_takes_a_scope_of_its_own_and_says_its_grounds(self, api: Api, desk: httpx.AsyncClient) -> None:
        await seeded(api)
        assert (await desk.delete(f"/v1/players/{PLAYER}")).status_code == 403
        officer = await api.client("players:erase")
        assert (await officer.delete(f"/v1/players/{PLAYER}", params={"ground": "because"})).status_code == 422
        assert (await officer.delete("/v1/players/-")).status_code == 404

    async def test_what_comes_late_is_rejected_with_a_sentence(self, api: Api) -> None:
        await seeded(api)
        officer, backend = await api.client("players:erase"), await api.client(*BACKEND)
        await officer.delete(f"/v1/players/{PLAYER}")
        late = DepositApproved.example().model_copy(
            update={"event_id": "late", "payment_id": "late", "occurred_at": datetime.now(UTC) - timedelta(hours=1)}
        )
        told = await backend.post(
            "/v1/events", json=[late.to_wire() | {"specversion": "1.0", "subject": PLAYER}], headers=BATCH
        )
        (result,) = told.json()["results"]
        assert (result["status"], result["errors"][0]["pointer"]) == ("rejected", "/time")
        assert "was erased at" in result["errors"][0]["detail"]


class TestExport:
    async def test_it_has_everything_of_the_player_and_nothing_of_others(self, api: Api) -> None:
        ids = await seeded(api)
        stranger = DepositApproved.example().model_copy(update={"event_id": "s", "payment_id": "stranger"})
        await api.engine.intake.ingest(api.brand, [("p-stranger", stranger)], datetime.now(UTC))
        officer = await api.client("players:export")
        answer = await officer.get(f"/v1/players/{PLAYER}/export")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip")
        archive = zipfile.ZipFile(io.BytesIO(answer.content))
        tables = json.loads(archive.read("player.json"))["tables"]
        assert tables["players"][0]["profile"]["email"] == "anna@example.com"
        assert ids["task_id"] in {task["id"] for task in tables["tasks"]}
        for name in ("events", "messages", "grants", "runs", "steps", "task_history", "memberships"):
            assert tables[name], name
        assert "stranger" not in archive.read("player.json").decode()
        assert "anna@example.com" in archive.read("index.html").decode()

    async def test_it_takes_a_scope_of_its_own_and_two_are_made_at_a_time(
        self, api: Api, desk: httpx.AsyncClient
    ) -> None:
        await seeded(api)
        assert (await desk.get(f"/v1/players/{PLAYER}/export")).status_code == 403
        officer = await api.client("players:export")
        assert (await officer.get("/v1/players/unknown/export")).status_code == 404
        answers = await asyncio.gather(*(officer.get(f"/v1/players/{PLAYER}/export") for _ in range(6)))
        assert {answer.status_code for answer in answers} <= {200, 429}
        assert [answer.status_code for answer in answers].count(200) >= 2
