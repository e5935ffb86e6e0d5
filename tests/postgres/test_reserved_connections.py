"""What ordinary work and strangers cannot take: the connections for keys, and those for what protects players."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest
from sqlalchemy import event

from activities.api_keys import ALPHABET, LENGTH, _check
from activities.tables import events
from api.key_lookup import FREE_FAILURES
from tests.support.api_client import Api, serving
from tests.support.engine import rows

BATCH = {"Content-Type": "application/cloudevents-batch+json"}


@pytest.fixture
async def api(postgres_url: str) -> AsyncIterator[Api]:
    async with serving(postgres_url, pool_size=2) as served:
        yield served


@pytest.fixture
async def backend(api: Api) -> httpx.AsyncClient:
    return await api.client("events:write")


def wire(kind: str, subject: str, /, **data: object) -> dict[str, object]:
    about = {"specversion": "1.0", "id": secrets.token_hex(8), "source": "/bulkheads", "subject": subject}
    return {**about, "type": f"igaming.{kind}.v1", "data": data}


def stranger() -> dict[str, str]:
    """A key that is well formed and that nobody made."""
    body = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
    return {"Authorization": f"Bearer jx_{body}_{_check(body)}"}


@asynccontextmanager
async def ordinary_work(api: Api) -> AsyncIterator[None]:
    """All connections for ordinary work are in use."""
    async with AsyncExitStack() as held:
        for _ in range(2):
            _ = await held.enter_async_context(api.engine.database.reading())
        yield


async def test_while_ordinary_work_has_all_its_connections_players_are_protected(
    api: Api, backend: httpx.AsyncClient
) -> None:
    link = api.engine.links.token(api.brand, "click", "email")
    async with ordinary_work(api):
        login = await backend.post("/v1/events", json=wire("session.login", "p"))
        mixed = [wire("session.login", "mixed"), wire("compliance.exclusion_set", "mixed", kind="self_exclusion")]
        taken = await backend.post("/v1/events", json=mixed, headers=BATCH)
        by_event = await backend.post(
            "/v1/events", json=wire("compliance.harm_signal", "p", indicator="chasing", strength="strong")
        )
        by_route = await backend.post("/v1/players/route/exclusion", json={"kind": "self_exclusion"})
        clicked = await api.anonymous.post(f"/v1/unsubscribe/{link}")
        ready = await api.anonymous.get("/readyz")
    assert login.status_code == 503
    assert [result["status"] for result in taken.json()["results"]] == ["later", "accepted"]
    assert (by_event.status_code, by_route.status_code, clicked.status_code) == (202, 202, 200)
    assert by_route.json()["protected"]["reason"] == "self_excluded"
    assert ready.json()["postgres"] == "ok"


async def test_a_burst_of_exclusions_stands_in_line_and_none_is_refused(api: Api, backend: httpx.AsyncClient) -> None:
    async with ordinary_work(api):
        answers = await asyncio.gather(
            *(backend.post(f"/v1/players/burst-{n}/exclusion", json={"kind": "self_exclusion"}) for n in range(60))
        )
    assert {answer.status_code for answer in answers} == {202}
    assert len(await rows(api.engine.database, events, brand=api.brand)) == 60


async def test_strangers_take_one_connection_however_many_they_are(
    api: Api, backend: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if each came from an address of its own: from one they would be told later and later.
    monkeypatch.setattr("api.key_lookup.FREE_FAILURES", 1_000)
    asked: list[str] = []
    at_once = most = 0

    def begins(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        asked.append(statement)

    def ends(*_: Any) -> None:
        nonlocal at_once
        at_once -= 1

    engine = api.engine.pools.keys.engine.sync_engine
    event.listen(engine, "before_cursor_execute", begins)
    event.listen(engine, "after_cursor_execute", ends)
    strangers = [api.anonymous.get("/v1/limits", headers=stranger()) for _ in range(200)]
    *refused, known = await asyncio.gather(*strangers, backend.get("/v1/limits"))
    assert {answer.status_code for answer in refused} == {401}
    assert known.status_code == 200
    assert most == 1
    assert len(asked) <= 5


async def test_an_unknown_key_is_not_asked_for_again_at_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    # Else it would be no more at once when the machine has stood still.
    monkeypatch.setattr("api.key_lookup.REMEMBERED", 600.0)
    unknown = stranger()
    assert (await api.anonymous.get("/v1/limits", headers=unknown)).status_code == 401
    async with AsyncExitStack() as held:
        for _ in range(2):
            _ = await held.enter_async_context(api.engine.pools.keys.reading())
        assert (await api.anonymous.get("/v1/limits", headers=unknown)).status_code == 401


async def test_only_wrong_keys_wait_when_an_address_has_sent_too_many(
    api: Api, backend: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.key_lookup.FAILURES_A_SECOND", 0.0)
    wrong = {"Authorization": "Bearer guessed"}
    for _ in range(FREE_FAILURES):
        assert (await api.anonymous.get("/v1/limits", headers=wrong)).status_code == 401
    with monkeypatch.context() as longer:
        # Longer than it takes to ask for the others, whatever the machine does meanwhile.
        longer.setattr("api.key_lookup.DELAY", 600.0)
        longer.setattr("api.key_lookup.LONGEST_DELAY", 600.0)
        waiting = asyncio.create_task(api.anonymous.get("/v1/limits", headers=wrong))
        assert (await backend.get("/v1/limits")).status_code == 200
        assert (await (await api.client("events:write")).get("/v1/limits")).status_code == 200
        assert not waiting.done()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    assert (await api.anonymous.get("/v1/limits", headers=wrong)).status_code == 401
