"""Events name the API key that posted them, whichever way they came in."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from activities.audit.lines import lines_of
from activities.tables import api_keys, events, failed_events
from tests.support.api_client import BACKEND, Api, serving
from tests.support.engine import execute, rows
from workflows.events import ExclusionSet, HarmSignal, PlayerRegistered, SessionLogin


@pytest.fixture(scope="module")
async def served(module_postgres_url: str) -> AsyncIterator[Api]:
    async with serving(module_postgres_url, journeys="tests.support.api_journeys") as application:
        yield application


async def key_id(api: Api, name: str) -> str:
    (row,) = await rows(api.engine.database, api_keys, brand=api.brand, name=name)
    return str(row["id"])


async def kept(api: Api) -> dict[str, str | None]:
    return {row["type"]: row["key_id"] for row in await rows(api.engine.database, events, brand=api.brand)}


def wire(kind: Any, number: int = 1) -> dict[str, Any]:
    now = datetime.now(UTC)
    named = {"event_id": f"{kind.type}-{number}", "event_source": "/cashier", "occurred_at": now}
    event: dict[str, Any] = kind.example().model_copy(update=named).to_wire()
    return event | {"subject": "p-1", "specversion": "1.0"}


async def test_what_is_posted_names_its_key_in_the_timeline_and_in_the_lines_of_the_audit(api: Api) -> None:
    backend = await api.client(*BACKEND, name="cashier")
    desk = await api.client("players:read", "events:write", name="desk")
    for kind in (PlayerRegistered, ExclusionSet):
        told = await backend.post("/v1/events", json=wire(kind))
        assert told.status_code in {200, 202}, told.text
    assert (await desk.post("/v1/players/p-1/pause-promotions", json={"hours": 1, "why": "Asked."})).status_code == 202
    cashier, by_desk = await key_id(api, "cashier"), await key_id(api, "desk")
    assert await kept(api) == {
        "player.registered": cashier,
        "compliance.exclusion_set": cashier,
        "compliance.promotions_paused": by_desk,
    }
    told = (await desk.get("/v1/players/p-1/timeline?kind=event")).json()["items"]
    assert {entry["detail"]["key"] for entry in told} == {cashier, by_desk}
    async with api.engine.database.reading() as connection:
        found = [line async for line in lines_of(connection, api.brand, player_id="p-1")]
    assert {line.detail["key"] for line in found if line.record == "event"} == {cashier, by_desk}


async def test_what_the_engine_tells_names_none(api: Api) -> None:
    now = datetime.now(UTC)
    told = HarmSignal.example().model_copy(update={"event_id": "h", "event_source": "/x", "occurred_at": now})
    await api.engine.intake.ingest(api.brand, [("p-1", told)], now)
    assert await kept(api) == {"compliance.harm_signal": None}
    desk = await api.client("players:read", name="desk")
    (entry,) = (await desk.get("/v1/players/p-1/timeline?kind=event")).json()["items"]
    assert "key" not in entry["detail"]


async def test_an_event_that_failed_keeps_its_key_until_it_is_tried_again(api: Api) -> None:
    backend = await api.client(*BACKEND, "admin", name="cashier")
    await backend.post("/v1/events", json=wire(PlayerRegistered))
    database = api.engine.database
    await execute(database, "UPDATE players SET state = '{\"runs\": 7}' WHERE brand = :b", b=api.brand)
    told = await backend.post("/v1/events", json=wire(SessionLogin))
    assert told.status_code in {200, 202}, told.text
    cashier = await key_id(api, "cashier")
    assert [row["key_id"] for row in await rows(database, failed_events, brand=api.brand)] == [cashier]
    await execute(database, "UPDATE players SET state = '{}' WHERE brand = :b", b=api.brand)
    tried = await backend.post("/v1/failed-events/retry")
    assert tried.status_code == 202, tried.text
    assert (await kept(api))["session.login"] == cashier
