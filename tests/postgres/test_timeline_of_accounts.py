"""The timeline of a person with several accounts: what protects this one is told, and found among very many events."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson
import pytest
from sqlalchemy import text

from api.timeline import _SHARED
from tests.support.api_client import Api, serving
from workflows.events import (
    ConsentChanged,
    Event,
    ExclusionEnded,
    ExclusionSet,
    HarmSignal,
    MessageReceived,
    MessageStatus,
    PlayerMerged,
    SessionLogin,
    StatusChanged,
)
from workflows.player_state.merging import is_shared

#: What players write; some of it is a stop word and nothing else.
SAID = ("Stop!", "STOP ALL", "opt-out", "СТОП.", "arrêt", "please stop", "stopped", "stop 2", "unstop", "")
MANY = 20_000
#: What the account did, and what is said of others in the brand.
OTHER_EVENTS = text(
    """
    INSERT INTO events (brand, source, id, seq, type, player_id, occurred_at, received_at, data)
    SELECT :brand, '/' || kind, n, -row_number() OVER (), kind, player, now() - n * interval '1 second', now(), '{}'
    FROM generate_series(1, :many) AS n,
    LATERAL (VALUES ('session.login', 'old'), ('compliance.exclusion_set', 'other-' || n)) AS told (kind, player)
    """
)


@pytest.fixture(scope="module")
async def served(module_postgres_url: str) -> AsyncIterator[Api]:
    async with serving(module_postgres_url) as application:
        yield application


@pytest.fixture
async def desk(api: Api) -> httpx.AsyncClient:
    return await api.client("players:read", name="desk")


async def test_the_timeline_tells_what_another_account_of_the_person_shares(api: Api, desk: httpx.AsyncClient) -> None:
    now = datetime.now(UTC)
    merge = {"survivor_id": "new", "absorbed_id": "old", "rule": "same_document"}
    sent: list[tuple[str, type[Event], dict[str, Any]]] = [
        ("old", PlayerMerged, merge),
        ("new", PlayerMerged, merge),
        ("old", ExclusionSet, {"kind": "self_exclusion", "scope": "brand", "until": None}),
        ("old", ExclusionEnded, {"kind": "self_exclusion", "scope": "brand"}),
        ("old", SessionLogin, {}),
        ("old", HarmSignal, {"strength": "strong"}),
        *(("old", ConsentChanged, {"channel": "email", "opted_in": given}) for given in (True, False)),
        *(("old", MessageStatus, {"channel": "email", "status": status}) for status in ("complained", "delivered")),
        *(("old", StatusChanged, {"to": to, "reason": why}) for to in ("active", "closed") for why in ("", "merge")),
    ]
    sent += [("old", MessageReceived, {"channel": "sms", "text": said}) for said in SAID]
    events = [
        (whose, kind.example().model_copy(update={"event_id": f"shared-{n}", "occurred_at": now, **data}))
        for n, (whose, kind, data) in enumerate(sent)
    ]
    await api.engine.intake.ingest(api.brand, events, now)
    other = {
        event.event_id for whose, event in events if whose == "old" and (is_shared(event) or event is events[0][1])
    }
    entries = (await desk.get("/v1/players/new/timeline", params={"page_size": "200", "kind": "event"})).json()["items"]
    shared = [entry for entry in entries if "account" in entry["detail"]]
    assert {entry["detail"]["id"] for entry in shared} == other
    assert {entry["detail"]["account"] for entry in shared} == {"old"}
    assert "Exclusion set, told by /example of old, another account of the person." in [one["text"] for one in shared]
    assert [entry["detail"]["id"] for entry in entries if entry not in shared] == ["shared-1"]
    pages = await desk.get("/v1/players/new/timeline", params={"page_size": "2", "kind": "event"})
    rest = {"page_size": "200", "kind": "event", "page_token": pages.json()["next_page_token"]}
    following = (await desk.get("/v1/players/new/timeline", params=rest)).json()["items"]
    assert [one["id"] for one in pages.json()["items"] + following] == [one["id"] for one in entries]


async def test_of_an_account_with_a_long_history_only_what_is_shared_is_read(api: Api) -> None:
    now = datetime.now(UTC)
    merge = {"survivor_id": "new", "absorbed_id": "old", "rule": "same_document"}
    told: list[tuple[type[Event], dict[str, Any]]] = [
        (PlayerMerged, merge),
        (ExclusionSet, {"kind": "self_exclusion", "scope": "brand", "until": None}),
    ]
    events = [
        ("old", kind.example().model_copy(update={"event_id": f"long-{n}", "occurred_at": now, **data}))
        for n, (kind, data) in enumerate(told)
    ]
    await api.engine.intake.ingest(api.brand, events, now)
    async with api.engine.database.transaction() as connection:
        await connection.execute(OTHER_EVENTS, {"brand": api.brand, "many": MANY})
        await connection.execute(text("ANALYZE events"))
        asked = f"EXPLAIN (ANALYZE, FORMAT JSON) SELECT * FROM {_SHARED} AS e WHERE brand = :brand"
        plan = (await connection.execute(text(asked), {"brand": api.brand})).scalar_one()
    assert plan[0]["Plan"]["Actual Rows"] == len(told)
    assert events_read(plan[0]["Plan"]) == len(told), orjson.dumps(plan).decode()


def events_read(plan: dict[str, Any]) -> int:
    """How many rows of events a plan read, those that it threw away among them."""
    read = 0
    if plan.get("Relation Name", "").startswith("events"):
        read = round((plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)) * plan["Actual Loops"])
    return read + sum(events_read(part) for part in plan.get("Plans", ()))
