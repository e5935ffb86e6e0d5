"""Many players let into a journey: exactly those who were meant, once, until somebody holds it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from sqlalchemy import text

from activities.loops.enrolment import forecast
from activities.run_delivery.deliveries import BULK
from local.ports import free_port
from tests.support.api_client import Api, serving
from tests.support.enrolment import OFFER, depositors, enrolled, enrolments, entries, happens, ids, status, worked_off
from workflows.events import DepositApproved, ExclusionSet, PlayerRegistered


@pytest.fixture(scope="module")
async def served(module_postgres_url: str) -> AsyncIterator[Api]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TEMPORAL_ADDRESS", f"127.0.0.1:{free_port()}")
        async with serving(module_postgres_url, journeys="tests.support.api_journeys") as application:
            yield application


@pytest.fixture
async def crm(api: Api) -> httpx.AsyncClient:
    return await api.client("journeys:manage", name="crm")


# ---- who enters ---------------------------------------------------------------------------------


async def test_what_the_preview_tells_is_what_happens(api: Api, crm: httpx.AsyncClient) -> None:
    players = await depositors(api, 300)
    for player in players[:5]:
        await crm.post("/v1/runs", json={"journey": "api_offer", "player_id": player})
    await happens(api, ExclusionSet, players[3:10], kind="self_exclusion", until=None)
    await happens(api, ExclusionSet, players[10:14], kind="time_out", until=None)
    await happens(api, PlayerRegistered, ids(20, "stranger"))
    said = (await crm.post("/v1/enrolments/preview", json={"journey": "api_offer", "segment": "api_depositor"})).json()
    assert (said["members"], said["looked_at"], said["estimate"]) == (300, 300, False)
    assert said["refused"] == {"in_it": 5, "self_excluded": 5, "time_out": 4}
    assert said["entering"] + said["control"] == 286
    assert said["control"] > 100
    done = await worked_off(api, crm, await enrolled(crm))
    assert (done["state"], done["total"], done["done"]) == ("done", 300, 300)
    assert (done["entered"], done["control"], done["refused"]) == (said["entering"], said["control"], said["refused"])
    assert await entries(api) == Counter(players)


async def test_a_protected_player_enters_in_the_books_alone(api: Api, crm: httpx.AsyncClient) -> None:
    (player,) = await depositors(api, 1)
    await happens(api, ExclusionSet, [player], kind="time_out", until=None)
    done = await worked_off(api, crm, await enrolled(crm))
    assert (done["entered"], done["control"], done["refused"]) == (0, 0, {"time_out": 1})
    (run,) = (await crm.get("/v1/runs", params={"player": player})).json()["items"]
    assert (run["state"], run["outcome"]) == ("ended", "refused:time_out")
    assert (await worked_off(api, crm, await enrolled(crm)))["refused"] == {"once": 1}


async def test_a_run_says_who_enrolled_its_player_and_waits_behind_what_others_cause(
    api: Api, crm: httpx.AsyncClient
) -> None:
    players = await depositors(api, 20)
    made = await enrolled(crm)
    await worked_off(api, crm, made)
    runs = (await crm.get("/v1/runs", params={"journey": "api_offer", "page_size": 50})).json()["items"]
    assert {run["player_id"] for run in runs} == set(players)
    assert all(run["trigger"] == {"type": "enrolment", "id": made["id"], "source": "crm"} for run in runs)
    reader = await api.client("players:read")
    ends = {"treated": "enrolled by crm.", "control": "in the control group, which gets no offers."}
    of_arm = {run["arm"]: run["player_id"] for run in runs}
    assert set(of_arm) == set(ends), "Of twenty players in halves each arm has somebody, all but once in 500,000 draws."
    for arm, player in of_arm.items():
        story = (await reader.get(f"/v1/players/{player}/timeline", params={"kind": "run"})).json()["items"]
        assert "enrolled by crm" in story[0]["text"]
        assert story[0]["text"].endswith(ends[arm])
    async with api.engine.database.reading() as connection:
        query = text("SELECT DISTINCT priority FROM deliveries WHERE brand = :brand")
        assert (await connection.execute(query, {"brand": api.brand})).scalars().all() == [BULK]


async def test_who_joins_later_or_has_left_is_not_enrolled(api: Api, crm: httpx.AsyncClient) -> None:
    now = datetime.now(UTC)
    players = ids(10)
    await happens(api, DepositApproved, players, amount_minor=6_000)
    made = await enrolled(crm, segment="api_spender")
    later = ids(5, "later")
    await happens(api, DepositApproved, later, amount_minor=6_000)
    await happens(api, DepositApproved, players[:3], now + timedelta(days=40), amount_minor=1)
    done = await worked_off(api, crm, made)
    assert (done["total"], done["done"], done["refused"]) == (10, 10, {"left_segment": 3})
    assert await entries(api) == Counter(players[3:])


async def test_of_very_many_members_a_sample_is_asked_and_the_preview_says_so(api: Api) -> None:
    await depositors(api, 400)
    journey = api.engine.registry.journeys["api_offer"]
    async with api.engine.database.reading() as connection:
        said = await forecast(connection, api.brand, journey, "api_depositor", datetime.now(UTC), exact=399, sample=100)
    assert (said.members, said.estimate, said.refused) == (400, True, {})
    assert 50 < said.looked_at < 150
    assert abs(said.entering + said.control - 400) <= 1


async def test_what_cannot_be_entered_without_an_event_is_refused_at_once(crm: httpx.AsyncClient) -> None:
    refused = await crm.post("/v1/enrolments", json=OFFER | {"journey": "api_withdrawal"})
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:journeys:problem:entry-refused")
    # It reads `failed.reason` in its first line.
    refused = await crm.post("/v1/enrolments", json=OFFER | {"journey": "failed_deposit"})
    assert (refused.status_code, "reads the event it begins with" in refused.json()["detail"]) == (409, True)
    for unknown in ({"journey": "unheard_of"}, {"segment": "unheard_of"}):
        assert (await crm.post("/v1/enrolments", json=OFFER | unknown)).status_code == 404
        preview = {"journey": "api_offer", "segment": "api_depositor"} | unknown
        assert (await crm.post("/v1/enrolments/preview", json=preview)).status_code == 404


# ---- once ---------------------------------------------------------------------------------------


async def test_an_idempotency_key_makes_one_enrolment(api: Api, crm: httpx.AsyncClient) -> None:
    players = await depositors(api, 10)
    headers = {"Idempotency-Key": "wish-1"}
    answers = await asyncio.gather(*(crm.post("/v1/enrolments", json=OFFER, headers=headers) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [201]
    (made,) = {answer.json()["id"] for answer in answers}
    await depositors(api, 3, "later")
    done = await worked_off(api, crm, {"id": made})
    again = await crm.post("/v1/enrolments", json=OFFER, headers=headers)
    assert (again.status_code, again.json()) == (200, done)
    assert await entries(api) == Counter(players)
    other = await crm.post("/v1/enrolments", json=OFFER | {"per_second": 7}, headers=headers)
    assert (other.status_code, other.json()["type"]) == (422, "urn:journeys:problem:key-reused")


async def test_workers_who_work_on_one_enrolment_at_once_take_turns(api: Api, crm: httpx.AsyncClient) -> None:
    players = await depositors(api, 300)
    made = await enrolled(crm, per_second=20)

    async def work() -> None:
        at_work = enrolments(api)
        while await at_work.batch(made["id"]) is not None:
            pass

    await asyncio.gather(*(work() for _ in range(4)))
    done = await status(crm, made)
    assert (done["state"], done["done"], done["entered"] + done["control"]) == ("done", 300, 300)
    assert await entries(api) == Counter(players)


# ---- held, ended --------------------------------------------------------------------------------


async def test_a_paused_enrolment_lets_nobody_in_until_it_is_resumed(api: Api, crm: httpx.AsyncClient) -> None:
    await depositors(api, 90)
    made = await enrolled(crm, per_second=30)
    at_work, path = enrolments(api), f"/v1/enrolments/{made['id']}"
    assert await at_work.batch(made["id"]) == 1
    for _ in range(2):
        paused = await crm.post(f"{path}/pause")
        assert (paused.status_code, paused.json()["state"], paused.json()["done"]) == (200, "paused", 30)
    assert await at_work.batch(made["id"]) is None
    assert (await status(crm, made))["done"] == 30
    for _ in range(2):
        resumed = await crm.post(f"{path}/resume")
        assert (resumed.status_code, resumed.json()["state"]) == (200, "running")
    assert (await worked_off(api, crm, made))["done"] == 90
    for wish in ("pause", "resume", "cancel"):
        refused = await crm.post(f"{path}/{wish}")
        assert (refused.status_code, refused.json()["type"]) == (409, "urn:journeys:problem:enrolment-ended")


async def test_a_cancelled_enrolment_is_over_for_good(api: Api, crm: httpx.AsyncClient) -> None:
    await depositors(api, 90)
    made = await enrolled(crm, per_second=30)
    path = f"/v1/enrolments/{made['id']}"
    await enrolments(api).batch(made["id"])
    for _ in range(2):
        cancelled = await crm.post(f"{path}/cancel")
        assert (cancelled.status_code, cancelled.json()["state"], cancelled.json()["done"]) == (200, "cancelled", 30)
    assert (await crm.post(f"{path}/resume")).status_code == 409
    assert (await worked_off(api, crm, made))["done"] == 30
    assert (await entries(api)).total() == 30
    async with api.engine.database.reading() as connection:
        query = text("SELECT count(*) FROM enrolment_players WHERE brand = :brand")
        assert (await connection.execute(query, {"brand": api.brand})).scalar_one() == 0


async def test_enrolments_are_listed_newest_first(crm: httpx.AsyncClient) -> None:
    made = [(await enrolled(crm, journey=journey))["id"] for journey in ("api_offer", "api_call", "api_offer")]
    await crm.post(f"/v1/enrolments/{made[0]}/pause")

    async def listed(**query: str) -> list[str]:
        return [item["id"] for item in (await crm.get("/v1/enrolments", params=query)).json()["items"]]

    assert await listed() == made[::-1]
    assert await listed(journey="api_call") == [made[1]]
    assert await listed(state="paused") == [made[0]]
