"""The local bonus engine keeps the promises our grants rely on."""

import asyncio
from datetime import timedelta
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest

from tests.support.machine import unhurried
from tests.support.servers import LocalBonusEngine, ready


def a_grant(**other: Any) -> dict[str, Any]:
    return {
        "grant_id": str(uuid4()),
        "player_id": "player-1",
        "brand": "demo",
        "reward": {"kind": "free_spins", "spins": 10},
        "journey": "welcome",
        "run_id": "welcome:demo:player-1:1",
        "step": "grant:free_spins#1",
        **other,
    }


def a_key() -> str:
    return f"welcome:demo:{uuid4()}:1/grant:free_spins#1"


async def ask(engine: LocalBonusEngine, key: str, body: dict[str, Any], *, timeout: float = 60) -> httpx.Response:
    async with httpx.AsyncClient(base_url=engine.url, timeout=timeout) as client:
        return await client.post("/grants", json=body, headers={"Idempotency-Key": key})


async def look_up(engine: LocalBonusEngine, key: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=engine.url) as client:
        return await client.get(f"/grants/{quote(key, safe='')}")


async def void(engine: LocalBonusEngine, key: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=engine.url) as client:
        return await client.post(f"/grants/{quote(key, safe='')}/void")


def paid(engine: LocalBonusEngine, key: str) -> int:
    return sum(record["key"] == key for record in engine.granted())


async def test_a_repeated_grant_is_paid_once_and_answered_alike(bonus_engine: LocalBonusEngine) -> None:
    key, body = a_key(), a_grant()
    first, second = await ask(bonus_engine, key, body), await ask(bonus_engine, key, body)
    assert first.json() == {
        "grant_id": body["grant_id"],
        "provider_ref": first.json()["provider_ref"],
        "status": "credited",
    }
    assert second.json() == first.json()
    assert paid(bonus_engine, key) == 1
    assert [record["action"] for record in bonus_engine.asked() if record["key"] == key] == ["grant", "grant"]


async def test_concurrent_grants_of_one_key_are_paid_once(bonus_engine: LocalBonusEngine) -> None:
    key, body = a_key(), a_grant()
    answers = await asyncio.gather(*(ask(bonus_engine, key, body) for _ in range(8)))
    assert len({answer.text for answer in answers}) == 1
    assert paid(bonus_engine, key) == 1


async def test_a_key_used_for_another_body_is_refused(bonus_engine: LocalBonusEngine) -> None:
    key, body = a_key(), a_grant()
    await ask(bonus_engine, key, body)
    answer = await ask(bonus_engine, key, body | {"reward": {"kind": "free_spins", "spins": 11}})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert paid(bonus_engine, key) == 1


async def test_a_grant_without_a_key_is_refused(bonus_engine: LocalBonusEngine) -> None:
    async with httpx.AsyncClient(base_url=bonus_engine.url) as client:
        answer = await client.post("/grants", json=a_grant())
    assert answer.status_code == 400


async def test_an_unknown_grant_is_not_found_and_a_known_one_is(bonus_engine: LocalBonusEngine) -> None:
    key = a_key()
    assert (await look_up(bonus_engine, key)).status_code == 404
    granted = await ask(bonus_engine, key, a_grant())
    assert (await look_up(bonus_engine, key)).json() == granted.json()


async def test_a_voided_grant_stays_voided(bonus_engine: LocalBonusEngine) -> None:
    key, body = a_key(), a_grant()
    await ask(bonus_engine, key, body)
    assert [(await void(bonus_engine, key)).status_code for _ in range(2)] == [200, 200]
    assert (await look_up(bonus_engine, key)).json()["status"] == "voided"
    assert (await ask(bonus_engine, key, body)).json()["status"] == "voided"


async def test_a_grant_that_arrives_after_its_void_is_not_paid(bonus_engine: LocalBonusEngine) -> None:
    key = a_key()
    await void(bonus_engine, key)
    assert (await ask(bonus_engine, key, a_grant())).status_code == 409
    assert paid(bonus_engine, key) == 0


@pytest.mark.parametrize(
    ("mode", "status", "times_paid"), [("error_500", 500, 0), ("refuse", 422, 0), ("error_after_commit", 500, 1)]
)
async def test_a_fault_spoils_one_answer_and_then_heals(
    bonus_engine: LocalBonusEngine, mode: str, status: int, times_paid: int
) -> None:
    key, body = a_key(), a_grant()
    await bonus_engine.fail(mode)
    assert (await ask(bonus_engine, key, body)).status_code == status
    assert paid(bonus_engine, key) == times_paid
    assert (await ask(bonus_engine, key, body)).status_code == 200
    assert paid(bonus_engine, key) == 1


async def test_a_grant_whose_answer_is_lost_can_be_looked_up(bonus_engine: LocalBonusEngine) -> None:
    async def attempt(timeout: timedelta) -> None:
        key = a_key()
        await bonus_engine.heal()
        await bonus_engine.fail("timeout_after_commit", seconds=60)
        with pytest.raises(httpx.ReadTimeout):
            await ask(bonus_engine, key, a_grant(), timeout=timeout.total_seconds())
        assert (await look_up(bonus_engine, key)).json()["status"] == "credited"

    await unhurried(attempt)


async def test_a_fault_for_one_player_spares_the_others(bonus_engine: LocalBonusEngine) -> None:
    await bonus_engine.fail("refuse", player_id="unlucky")
    assert (await ask(bonus_engine, a_key(), a_grant(player_id="lucky"))).status_code == 200
    assert (await ask(bonus_engine, a_key(), a_grant(player_id="unlucky"))).status_code == 422


async def test_acknowledged_grants_survive_a_kill_and_a_torn_line(bonus_engine: LocalBonusEngine) -> None:
    key, body = a_key(), a_grant()
    before = await ask(bonus_engine, key, body)
    await bonus_engine.process.kill()
    with bonus_engine.ledger.open("ab") as ledger:
        ledger.write(b'{"kind": "grant", "key": "never-ackn')
    await ready(bonus_engine.process)
    after, other = await ask(bonus_engine, key, body), await ask(bonus_engine, a_key(), a_grant())
    assert after.json() == before.json()
    assert other.json()["provider_ref"] != before.json()["provider_ref"]
    assert paid(bonus_engine, key) == 1
