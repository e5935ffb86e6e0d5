"""Fast Track's feed over HTTP: each message once, rounds told whole, protection at once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY
from sqlalchemy import text

from tests.support.api_client import BACKEND, Api, serving
from tests.support.engine import execute

NOON = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)


@pytest.fixture(scope="module")
async def served(module_postgres_url: str) -> AsyncIterator[Api]:
    settings: dict[str, Any] = {"game_types": {"arcade": "slot"}, "self_exclusion_minimum": timedelta(0)}
    async with serving(module_postgres_url, **settings) as application:
        yield application


@pytest.fixture
async def feed(api: Api) -> httpx.AsyncClient:
    return await api.client(*BACKEND)


def message(**fields: Any) -> dict[str, Any]:
    return {"user_id": "p-1", "timestamp": NOON.isoformat(), "origin": "example.com", **fields}


def payment(status: str = "Approved", **changes: Any) -> dict[str, Any]:
    usual = {"payment_id": "23541", "type": "Credit", "amount": 32.76, "currency": "EUR", "vendor_name": "Skrill"}
    return message(**usual, status=status) | changes


def part(activity: str, kind: str, amount: float, **changes: Any) -> dict[str, Any]:
    usual = {"round_id": "r-1", "currency": "EUR", "game_id": "10911", "game_type": "Slots", "vendor_name": "Netent"}
    return message(**usual, activity_id=activity, type=kind, amount=amount) | changes


async def post(feed: httpx.AsyncClient, kind: str, body: dict[str, Any]) -> dict[str, Any]:
    """Send a message that must be taken, and hear what became of it."""
    answer = await feed.post(f"/v1/integration/{kind}", json=body)
    assert answer.status_code == 202, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def kept(api: Api, kind: str) -> list[dict[str, Any]]:
    """The data of the events of one type."""
    query = text("SELECT data FROM events WHERE brand = :brand AND type = :type ORDER BY seq")
    async with api.engine.database.reading() as connection:
        return list((await connection.execute(query, {"brand": api.brand, "type": kind})).scalars())


async def state(api: Api) -> dict[str, Any]:
    async with api.engine.database.reading() as connection:
        query = text("SELECT state FROM players WHERE brand = :brand AND id = 'p-1'")
        found: dict[str, Any] = (await connection.execute(query, {"brand": api.brand})).scalar_one()
        return found


async def test_a_step_of_a_payment_counts_once_and_each_step_counts(api: Api, feed: httpx.AsyncClient) -> None:
    steps = ["Requested", "Approved", "Approved", "Rollback"]
    told = [await post(feed, "payment", payment(status)) for status in steps]
    assert [answer["status"] for answer in told] == ["accepted", "accepted", "duplicate", "accepted"]
    assert [answer["events"][0]["type"] for answer in told] == [
        "payment.deposit_initiated",
        "payment.deposit_approved",
        "payment.deposit_approved",
        "payment.reversed",
    ]
    assert told[0]["events"][0]["id"] == "payment/Credit/23541/Requested"
    assert [data["amount_minor"] for data in await kept(api, "payment.deposit_approved")] == [3276]
    assert (await state(api))["deposited_minor"] == 3276


async def test_a_refused_message_says_where_and_keeps_nothing(api: Api, feed: httpx.AsyncClient) -> None:
    wrong = payment("Maybe", amount=32.765, currency="EUR", user_id="white space", timestamp="2026-01-15 12:00")
    answer = await feed.post("/v1/integration/payment", json=wrong)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    pointers = {fault["pointer"] for fault in answer.json()["errors"]}
    assert pointers == {"/user_id", "/timestamp", "/status", "/amount"}
    late = await feed.post("/v1/integration/payment", json=payment(payment_id="x" * 65))
    assert [fault["pointer"] for fault in late.json()["errors"]] == ["/payment_id"]
    assert await kept(api, "payment.deposit_approved") == []


BESIDE_A_FAULT: list[tuple[str, str, dict[str, Any], str, str]] = [
    ("PUT", "user", {"is_excluded": True, "birth_date": "17.05.1990"}, "/birth_date", "compliance.exclusion_set"),
    ("PUT", "user", {"is_excluded": True, "country": "Ukraine"}, "/country", "compliance.exclusion_set"),
    ("POST", "user", {"is_excluded": True, "country": "Ukraine"}, "/country", "compliance.exclusion_set"),
    (
        "POST",
        "user/blocks",
        {"blocks": [{"type": "Excluded", "active": True}, {"type": "Hexed", "active": True}]},
        "/blocks/1/type",
        "compliance.exclusion_set",
    ),
    (
        "POST",
        "user/blocks",
        {"blocks": ["Excluded", {"type": "Excluded", "active": True}]},
        "/blocks",
        "compliance.exclusion_set",
    ),
    (
        "POST",
        "user/consents",
        {"consents": [{"type": "email", "opted_in": False}, {"type": "pigeon", "opted_in": False}]},
        "/consents/1/type",
        "consent.changed",
    ),
]


@pytest.mark.parametrize(("method", "path", "said", "pointer", "kept_type"), BESIDE_A_FAULT)
async def test_a_fault_elsewhere_costs_no_exclusion_and_no_withdrawal(
    api: Api, feed: httpx.AsyncClient, method: str, path: str, said: dict[str, Any], pointer: str, kept_type: str
) -> None:
    answer = await feed.request(method, f"/v1/integration/{path}", json=message(**said))
    assert answer.status_code == 422
    problem = answer.json()
    assert pointer in {fault["pointer"] for fault in problem["errors"]}
    assert "only what protects the player was kept" in problem["detail"]
    assert [(one["type"], one["status"]) for one in problem["events"]] == [(kept_type, "accepted")]
    assert len(await kept(api, kept_type)) == 1
    known = await state(api)
    assert known.get("exclusions") or known["consents"]["email"][0] is False
    again = await feed.request(method, f"/v1/integration/{path}", json=message(**said))
    assert [one["status"] for one in again.json()["events"]] == ["duplicate"]


async def test_what_lifts_is_not_kept_beside_a_fault_nor_anything_of_an_unknown_player(
    api: Api, feed: httpx.AsyncClient
) -> None:
    ends = [{"type": "Excluded", "active": False}, {"type": "Hexed", "active": True}]
    for wrong in (message(blocks=ends), message(blocks=[{"type": "Excluded", "active": True}], user_id="white space")):
        answer = await feed.post("/v1/integration/user/blocks", json=wrong)
        assert answer.status_code == 422
        assert "events" not in answer.json()
    assert await kept(api, "compliance.exclusion_set") == await kept(api, "compliance.exclusion_ended") == []


async def test_a_list_that_lifts_is_kept_whole_or_not_at_all(api: Api, feed: httpx.AsyncClient) -> None:
    consents = [{"type": "email", "opted_in": True}, {"type": "pigeon", "opted_in": True}]
    answer = await feed.post("/v1/integration/user/consents", json=message(consents=consents))
    assert answer.status_code == 422
    assert [fault["pointer"] for fault in answer.json()["errors"]] == ["/consents/1/type"]
    assert await kept(api, "consent.changed") == []


async def test_a_round_is_told_when_it_is_whole_and_once(api: Api, feed: httpx.AsyncClient) -> None:
    bet = part("a-1", "Bet", 20, is_round_end=False)
    win = part("a-2", "Win", 50.5, is_round_end=True, timestamp=(NOON + timedelta(seconds=7)).isoformat())
    first = await post(feed, "casino", bet)
    assert [event["type"] for event in first["events"]] == ["fasttrack.round_part"]
    second = await post(feed, "casino", win)
    assert [(event["type"], event["status"]) for event in second["events"]] == [
        ("fasttrack.round_part", "accepted"),
        ("game.round_completed", "accepted"),
    ]
    again = await post(feed, "casino", win)
    assert [event["status"] for event in again["events"]] == ["duplicate", "duplicate"]
    [round_] = await kept(api, "game.round_completed")
    assert (round_["stake_minor"], round_["win_minor"], round_["duration"]) == (2000, 5050, 7)
    assert (round_["round_id"], round_["game_id"], round_["category"]) == ("r-1", "10911", "slot")
    found = await state(api)
    assert found["counts"]["game.round_completed"] == 1
    assert found["stakes"] == {"slot": 2000}


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_the_parts_of_a_round_may_overtake_each_other(
    api: Api, feed: httpx.AsyncClient, order: tuple[int, ...]
) -> None:
    parts = [part("a-1", "Bet", 20), part("a-2", "Win", 5, is_round_end=False), part("a-3", "Win", 7)]
    for index in order:
        await post(feed, "casino", parts[index])
    rounds = await kept(api, "game.round_completed")
    # The middle win does not end the round; when it comes last, the round has been told without it.
    expected = 700 if order[-1] == 1 else 1200
    assert [(found["stake_minor"], found["win_minor"]) for found in rounds] == [(2000, expected)]


async def test_rounds_of_many_players_at_one_table_at_once_are_each_told_once(
    api: Api, feed: httpx.AsyncClient
) -> None:
    bodies = [
        part(f"a-{player}-{kind}", kind, amount, user_id=f"p-{player}", game_type="Live Casino")
        for player in range(6)
        for kind, amount in (("Bet", 10 + player), ("Loss", 0))
    ]
    await asyncio.gather(*(post(feed, "casino", body) for body in [*bodies, *bodies]))
    rounds = await kept(api, "game.round_completed")
    assert sorted(found["stake_minor"] for found in rounds) == [1000 + 100 * player for player in range(6)]


async def test_a_round_left_untold_by_a_crash_is_told_when_its_end_is_sent_again(
    api: Api, feed: httpx.AsyncClient
) -> None:
    await post(feed, "casino", part("a-1", "Bet", 20))
    await post(feed, "casino", part("a-2", "Loss", 0))
    gone = (
        "WITH gone AS (DELETE FROM events WHERE brand = :brand AND type = 'game.round_completed' RETURNING seq)"
        " DELETE FROM event_ids i USING gone WHERE i.seq = gone.seq"
    )
    await execute(api.engine.database, gone, brand=api.brand)
    told = await post(feed, "casino", part("a-2", "Loss", 0))
    assert [event["status"] for event in told["events"]] == ["duplicate", "accepted"]
    assert len(await kept(api, "game.round_completed")) == 1


async def test_a_kind_of_game_the_deployment_names_is_known(api: Api, feed: httpx.AsyncClient) -> None:
    await post(feed, "casino", part("a-1", "Bet", 20, game_type="Arcade", is_round_end=True))
    assert [found["category"] for found in await kept(api, "game.round_completed")] == ["slot"]
    answer = await feed.post("/v1/integration/casino", json=part("a-2", "Bet", 20, game_type="unknown"))
    assert answer.status_code == 422


async def test_a_bonus_comes_back_under_our_grant_id(api: Api, feed: httpx.AsyncClient) -> None:
    ours = "welcome:acme:p-1:1/grant:free_spins#1"
    bonus = {"user_bonus_id": 863512, "bonus_id": "9821", "type": "FreeSpins", "amount": 10.3, "currency": "EUR"}
    references = {"activity_id": ours, "action_id": 2000}
    told = [
        await post(
            feed, "bonus", message(**bonus, status=status, bonus_turned_real=1.4, fasttrack_references=references)
        )
        for status in ("Created", "Ongoing", "Completed", "Completed")
    ]
    assert [answer["status"] for answer in told] == ["accepted", "accepted", "accepted", "duplicate"]
    [completed] = await kept(api, "reward.completed")
    assert (completed["grant_id"], completed["converted_minor"], completed["cost_minor"]) == (ours, 140, 140)
    assert len(await kept(api, "reward.activated")) == 1


async def test_consents_are_known_channel_by_channel(api: Api, feed: httpx.AsyncClient) -> None:
    consents = [{"type": "email", "opted_in": True}, {"type": "siteNotification", "opted_in": False}]
    told = await post(feed, "user/consents", message(consents=consents))
    assert len(told["events"]) == 2
    found = (await state(api))["consents"]
    assert {channel: given for channel, (given, _) in found.items()} == {"email": True, "in_app": False}


async def test_an_exclusion_is_in_force_when_the_answer_arrives_and_ends_only_itself(
    api: Api, feed: httpx.AsyncClient
) -> None:
    def blocks(minutes: int, *, excluded: bool, blocked: bool) -> dict[str, Any]:
        listed = [
            {"type": "Excluded", "active": excluded, "note": "by the player"},
            {"type": "Blocked", "active": blocked, "note": ""},
        ]
        return message(blocks=listed, timestamp=(NOON + timedelta(minutes=minutes)).isoformat(), skip_publishing=True)

    async def in_force() -> set[str]:
        found = await feed_reader.get("/v1/players/p-1")
        return {block["kind"] for block in found.json()["exclusions"]}

    feed_reader = await api.client("players:read")
    await post(feed, "user/blocks", blocks(0, excluded=True, blocked=True))
    assert await in_force() == {"self_exclusion", "operator"}
    await post(feed, "user/blocks", blocks(1, excluded=True, blocked=False))
    assert await in_force() == {"self_exclusion"}
    await post(feed, "user/blocks", blocks(2, excluded=False, blocked=False))
    assert await in_force() == set()


async def test_a_login_counts_unless_the_support_logs_in(api: Api, feed: httpx.AsyncClient) -> None:
    assert (await post(feed, "login", message()))["status"] == "accepted"
    assert (await post(feed, "login", message()))["status"] == "duplicate"
    ignored = await post(feed, "login", message(is_impersonated=True))
    assert (ignored["status"], ignored["reason"]) == ("ignored", "impersonated")
    assert (await state(api))["counts"] == {"session.login": 1}


async def test_a_player_registers_once_and_is_updated_after_that(api: Api, feed: httpx.AsyncClient) -> None:
    opened = message(email="anna@example.com", country="UA", birth_date="1990-05-17", registration_date="")
    assert (await post(feed, "user", opened))["status"] == "accepted"
    assert (await post(feed, "user", opened | {"timestamp": datetime.now(UTC).isoformat()}))["status"] == "duplicate"
    for body, status in (({"user_details": {"email": "new@example.com"}}, "accepted"), ({}, "ignored")):
        answer = await feed.put("/v1/integration/user", json=message(**body))
        assert (answer.status_code, answer.json()["status"]) == (202, status)
    async with api.engine.database.reading() as connection:
        query = text("SELECT profile FROM players WHERE brand = :brand")
        profile = (await connection.execute(query, {"brand": api.brand})).scalar_one()
    assert (profile["email"], profile["birth_date"]) == ("new@example.com", "1990-05-17")


async def test_two_updates_within_a_second_are_two(feed: httpx.AsyncClient) -> None:
    same = message(timestamp=datetime.now(UTC).replace(microsecond=0).isoformat())
    details = [{"email": "new@example.com"}, {"email": "newer@example.com"}, {"email": "new@example.com"}]
    answers = [await feed.put("/v1/integration/user", json=same | {"user_details": one}) for one in details]
    assert [answer.json()["status"] for answer in answers] == ["accepted", "accepted", "duplicate"]


async def test_what_is_not_to_be_published_is_kept_as_history(api: Api, feed: httpx.AsyncClient) -> None:
    await post(feed, "payment", payment(skip_publishing=True))
    await post(feed, "payment", payment(payment_id="2", skip_publishing=False))
    query = text("SELECT history FROM events WHERE brand = :brand ORDER BY id")
    async with api.engine.database.reading() as connection:
        assert list((await connection.execute(query, {"brand": api.brand})).scalars()) == [False, True]


async def test_a_key_may_come_in_the_header_of_the_feed(api: Api) -> None:
    key = await api.key("events:write")
    answers = [
        await api.anonymous.post("/v1/integration/login", json=message(), headers={"X-Api-Key": given})
        for given in (key, "no key", key[:-1])
    ]
    assert [answer.status_code for answer in answers] == [202, 401, 401]
    elsewhere = await api.anonymous.post("/v1/events", json=[], headers={"X-Api-Key": key})
    assert elsewhere.status_code == 401


async def test_what_became_of_messages_is_counted(feed: httpx.AsyncClient) -> None:
    def counted(status: str) -> float:
        labels = {"dialect": "fast_track", "kind": "payment", "status": status}
        return REGISTRY.get_sample_value("journeys_dialect_messages_total", labels) or 0.0

    before = {status: counted(status) for status in ("accepted", "duplicate", "rejected", "ignored")}
    for body in (payment(), payment(), payment("Maybe"), payment(type="Void")):
        await feed.post("/v1/integration/payment", json=body)
    assert {status: counted(status) - count for status, count in before.items()} == dict.fromkeys(before, 1.0)


async def test_a_manager_sees_the_parts_of_a_round_and_the_round(api: Api, feed: httpx.AsyncClient) -> None:
    for body in (part("a-1", "Bet", 20), part("a-2", "Loss", 0)):
        await post(feed, "casino", body)
    manager = await api.client("players:read")
    timeline = (await manager.get("/v1/players/p-1/timeline")).json()["items"]
    assert [entry["text"].partition(",")[0] for entry in timeline] == ["Round completed", "Round part", "Round part"]
