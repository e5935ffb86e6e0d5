"""A player who cannot be advanced costs nobody else an event: theirs is kept, told, and tried again."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from activities.database import Database
from activities.intake.failed_events import FAILED
from activities.intake.receipts import Kept
from activities.tables import events, failed_events, players
from tests.support.api_client import BACKEND, Api, serving
from tests.support.engine import BRAND, NOON, Casino, connected, execute, rows
from tests.support.exactness import JOURNEYS
from workflows import DepositApproved, ExclusionSet, SessionLogin

#: A row that no release can read, as a bug or a hand may leave it.
BROKEN = '{"runs": 7}'


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    async with connected(postgres_url) as database:
        yield database


@pytest.fixture
def casino(database: Database) -> Casino:
    return Casino.of(database, JOURNEYS)


async def breaks(database: Database, player: str, state: str = BROKEN) -> None:
    await execute(
        database,
        "INSERT INTO players (brand, id, state) VALUES (:brand, :player, CAST(:state AS jsonb)) "
        "ON CONFLICT (brand, id) DO UPDATE SET state = excluded.state",
        brand=BRAND,
        player=player,
        state=state,
    )


async def counts(database: Database) -> dict[str, int]:
    return {
        row["id"]: row["state"].get("counts", {}).get(SessionLogin.type, 0)
        for row in await rows(database, players)
        if isinstance(row["state"].get("counts", {}), dict)
    }


async def test_one_player_who_cannot_be_advanced_costs_the_others_of_the_batch_nothing(
    casino: Casino, database: Database
) -> None:
    names = [casino.player(f"p{number:02}") for number in range(20)]
    await breaks(database, names[7])
    before = FAILED._value.get()
    batch = [(player, casino.event(SessionLogin)) for player in names for _ in range(2)]
    receipts = await casino.intake.ingest(BRAND, batch, NOON)
    expected = [Kept() if player == names[7] else "accepted" for player, _ in batch]
    assert receipts == expected
    assert FAILED._value.get() == before + 2
    found = await counts(database)
    assert {name: found[name] for name in names if name != names[7]} == dict.fromkeys(
        [name for name in names if name != names[7]], 2
    )
    kept = await rows(database, failed_events)
    assert [(row["player_id"], row["event_id"]) for row in kept] == [
        (names[7], event.event_id) for player, event in batch if player == names[7]
    ]
    assert kept[0]["error"].startswith("ValidationError")
    assert names[7] not in {row["player_id"] for row in await rows(database, events)}


async def test_sent_again_it_is_tried_again_and_still_one(casino: Casino, database: Database) -> None:
    player = casino.player()
    await breaks(database, player)
    batch = [(player, casino.event(SessionLogin))]
    assert [await casino.intake.ingest(BRAND, batch, NOON) for _ in range(2)] == [[Kept()], [Kept()]]
    assert len(await rows(database, failed_events)) == 1
    await breaks(database, player, "{}")
    assert await casino.intake.ingest(BRAND, batch, NOON) == ["accepted"]
    assert await casino.intake.ingest(BRAND, batch, NOON) == ["duplicate"]
    assert await counts(database) == {player: 1}


async def test_what_protects_is_never_answered_as_if_it_were_in_force(casino: Casino, database: Database) -> None:
    broken, other = casino.player("broken"), casino.player("other")
    await breaks(database, broken)
    batch = [(player, casino.event(ExclusionSet, kind="self_exclusion", until=None)) for player in (broken, other)]
    assert await casino.intake.ingest(BRAND, batch, NOON) == ["later", "accepted"]
    (kept,) = await rows(database, failed_events)
    assert kept["player_id"] == broken


async def test_what_is_wrong_with_the_database_is_nobodys_own_and_is_raised(casino: Casino, database: Database) -> None:
    await execute(database, "ALTER TABLE runs RENAME TO runs_away")
    batch = [(casino.player(name), casino.event(DepositApproved)) for name in ("a", "b")]
    with pytest.raises(Exception, match="runs"):
        await casino.intake.ingest(BRAND, batch, NOON)
    assert await rows(database, failed_events) == []


class TestOverHttp:
    @pytest.fixture
    async def api(self, postgres_url: str) -> AsyncIterator[Api]:
        async with serving(postgres_url) as served:
            yield served

    def event(self, player: str) -> dict[str, Any]:
        wire = SessionLogin.example().to_wire() | {"id": f"login-{player}", "source": "/game"}
        return {"specversion": "1.0", "subject": player, **wire}

    async def test_the_sender_is_told_people_see_it_and_try_it_again(self, api: Api) -> None:
        backend, manager = await api.client(*BACKEND), await api.client("journeys:manage")
        await execute(
            api.engine.database,
            "INSERT INTO players (brand, id, state) VALUES (:brand, 'p-broken', CAST(:state AS jsonb))",
            brand=api.brand,
            state=BROKEN,
        )
        answer = await backend.post("/v1/events", json=[self.event("p-broken"), self.event("p-good")])
        broken, good = answer.json()["results"]
        assert (answer.status_code, broken["status"], good["status"]) == (202, "accepted", "accepted")
        assert broken["kept"].startswith("It is kept and has caused nothing yet")
        assert "kept" not in good
        (listed,) = (await manager.get("/v1/failed-events")).json()["items"]
        assert (listed["player_id"], listed["event_id"], listed.get("retried_at")) == (
            "p-broken",
            "login-p-broken",
            None,
        )
        again = await manager.post("/v1/failed-events/retry")
        assert again.json() == {"applied": 0, "failed": 1, "left": 1}
        await execute(api.engine.database, "UPDATE players SET state = '{}' WHERE id = 'p-broken'")
        assert (await manager.post("/v1/failed-events/retry")).json() == {"applied": 1, "failed": 0, "left": 0}
        assert (await manager.get("/v1/failed-events", params={"retried": False})).json()["items"] == []
        assert (await backend.post("/v1/events", json=[self.event("p-broken")])).json()["duplicate"] == 1
