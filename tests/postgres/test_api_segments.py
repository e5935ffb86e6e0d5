"""Segments over HTTP: counted, looked into, taken away as a file; and a player's own page and timeline."""

import csv
import io
import json
import tracemalloc
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from api.segments import FILE_BATCH, file_of, piece_of
from tests.support.api_client import Api, serving
from workflows.events import DepositApproved

SPENDER = "api_spender"
DEPOSITED = "total:payment.deposit_approved:amount_minor:d:2592000"


@pytest.fixture(scope="module")
async def served(module_postgres_url: str) -> AsyncIterator[Api]:
    async with serving(module_postgres_url, journeys="tests.support.api_journeys") as application:
        yield application


@pytest.fixture
async def reader(api: Api) -> httpx.AsyncClient:
    return await api.client("players:read")


async def deposits(api: Api, *player_ids: str, amount_minor: int = 6_000, at: datetime | None = None) -> None:
    at = at or datetime.now(UTC)
    given: dict[str, Any] = {**DepositApproved.example_data, "event_source": "/t", "occurred_at": at}
    given["amount_minor"] = amount_minor
    given["payment_id"] = at.isoformat()
    facts = [(p, DepositApproved(**given | {"event_id": f"{p}-{at}"})) for p in player_ids]
    await api.engine.intake.ingest(api.brand, facts, at, mode="history")


async def many(api: Api, count: int) -> list[str]:
    """So many members, written down as intake would."""
    players = [f"p-{n:06}" for n in range(count)]
    async with api.engine.database.transaction() as connection:
        await connection.execute(
            text(
                "INSERT INTO memberships (brand, segment, player_id, entered_at) "
                "SELECT :brand, :segment, 'p-' || lpad(n::text, 6, '0'), :at FROM generate_series(0, :last) n"
            ),
            {"brand": api.brand, "segment": SPENDER, "at": datetime(2026, 1, 15, 12, tzinfo=UTC), "last": count - 1},
        )
    return players


async def test_a_segment_tells_who_is_in_it_and_what_it_looks_at(api: Api, reader: httpx.AsyncClient) -> None:
    await deposits(api, "p-1", "p-2")
    await deposits(api, "p-3", amount_minor=100)
    listed = {item["name"]: item for item in (await reader.get("/v1/segments")).json()["items"]}
    assert {"api_depositor", SPENDER, "high_roller"} <= listed.keys()
    assert {name: item["members"] for name, item in listed.items() if item["members"]} == {
        "api_depositor": 3,
        SPENDER: 2,
    }
    spender = (await reader.get(f"/v1/segments/{SPENDER}")).json()
    assert spender == listed[SPENDER]
    assert spender["description"] == "Whoever deposited 50 or more in the last 30 days."
    assert [(read["kind"], read["name"]) for read in spender["reads"]] == [("measure", DEPOSITED)]
    assert [(read["kind"], read["name"]) for read in listed["api_depositor"]["reads"]] == [
        ("event", "payment.deposit_approved")
    ]
    for path in ("", "/players", "/export"):
        assert (await reader.get(f"/v1/segments/unheard_of{path}")).status_code == 404


async def test_members_come_in_pages_by_id(api: Api, reader: httpx.AsyncClient) -> None:
    players = [f"p-{n}" for n in range(5)]
    await deposits(api, *reversed(players))
    seen: list[str] = []
    query: dict[str, Any] = {"page_size": 2}
    while True:
        page = (await reader.get(f"/v1/segments/{SPENDER}/players", params=query)).json()
        seen += [member["player_id"] for member in page["items"]]
        if (token := page["next_page_token"]) is None:
            break
        query["page_token"] = token
    assert seen == players
    strange = await reader.get("/v1/segments/api_depositor/players", params=query)
    assert (strange.status_code, strange.json()["type"]) == (400, "urn:journeys:problem:page-token")


async def test_a_file_holds_every_member_once_as_the_reader_wants_it(api: Api, reader: httpx.AsyncClient) -> None:
    players = await many(api, 2 * FILE_BATCH + 1)
    path = f"/v1/segments/{SPENDER}/export"
    lines = await reader.get(path)
    assert lines.headers["content-type"] == "application/x-ndjson"
    assert f"{SPENDER}.ndjson" in lines.headers["content-disposition"]
    told = [json.loads(line) for line in lines.text.splitlines()]
    assert [line["player_id"] for line in told] == players
    assert told[0] == {"player_id": "p-000000", "entered_at": "2026-01-15T12:00:00Z"}
    table = await reader.get(path, headers={"Accept": "text/csv"})
    assert table.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert [row["player_id"] for row in rows] == players
    assert datetime.fromisoformat(rows[0]["entered_at"]) == datetime(2026, 1, 15, 12, tzinfo=UTC)
    chosen = await reader.get(path, headers={"Accept": "text/csv"}, params={"format": "ndjson"})
    assert chosen.text == lines.text
    assert (await reader.get(path, params={"format": "xlsx"})).status_code == 422


async def test_a_file_costs_no_more_memory_however_long_it_is(api: Api) -> None:
    """The pieces are asked for one by one, as a server sends them; a test's client would keep them all."""
    players = await many(api, 15 * FILE_BATCH)
    first = await piece_of(api.engine, api.brand, SPENDER, None)
    sent, peaks = 0, []
    tracemalloc.start()
    async for piece in file_of(api.engine, api.brand, SPENDER, first, as_csv=False):
        sent += piece.count(b"\n")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.reset_peak()
    tracemalloc.stop()
    assert sent == len(players)
    assert max(peaks[8:]) < 1.1 * max(peaks[:8])


async def test_another_brand_sees_the_same_segments_without_their_members(api: Api) -> None:
    await deposits(api, "p-1")
    stranger = await api.client("players:read", brand=f"{api.brand}-not")
    listed = (await stranger.get("/v1/segments")).json()["items"]
    assert {item["members"] for item in listed} == {0}
    assert (await stranger.get(f"/v1/segments/{SPENDER}")).json()["members"] == 0
    assert (await stranger.get(f"/v1/segments/{SPENDER}/players")).json()["items"] == []
    assert (await stranger.get(f"/v1/segments/{SPENDER}/export")).text == ""


async def test_a_players_page_shows_segments_and_measures_of_this_moment(api: Api, reader: httpx.AsyncClient) -> None:
    at = datetime.now(UTC) - timedelta(days=2)
    await deposits(api, "p-1", at=at)
    shown = (await reader.get("/v1/players/p-1")).json()
    since = {item["segment"]: datetime.fromisoformat(item["since"]) for item in shown["segments"]}
    assert since == {"api_depositor": at, SPENDER: at}
    measures = {item["measure"]: item["value"] for item in shown["statistics"]["measures"]}
    assert measures[DEPOSITED] == 6_000
    await deposits(api, "p-2", at=at - timedelta(days=60))
    old = (await reader.get("/v1/players/p-2")).json()
    # What no event and no sweep has told yet, the moment itself does.
    assert {item["measure"]: item["value"] for item in old["statistics"]["measures"]}[DEPOSITED] == 0


async def test_the_timeline_tells_segments_entered_and_left(api: Api, reader: httpx.AsyncClient) -> None:
    now = datetime.now(UTC)
    await deposits(api, "p-1", at=now - timedelta(days=50))
    await deposits(api, "p-1", amount_minor=1, at=now)
    path = "/v1/players/p-1/timeline"
    story = (await reader.get(path, params={"kind": "segment"})).json()["items"]
    assert [entry["text"] for entry in story] == [
        f"Left the segment {SPENDER}.",
        f"Entered the segment {SPENDER}.",
        "Entered the segment api_depositor.",
    ]
    assert datetime.fromisoformat(story[0]["at"]) == now
    kinds = [entry["kind"] for entry in (await reader.get(path)).json()["items"]]
    assert sorted(kinds) == ["event", "event", "segment", "segment", "segment"]
