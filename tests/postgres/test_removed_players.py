"""A player whose row somebody removed by SQL: their id may come back, and holds up nobody else."""

from collections.abc import AsyncIterator

import pytest

from activities.database import Database
from activities.tables import failed_events, players, runs
from tests.support.engine import BRAND, NOON, Casino, connected, execute, rows
from tests.support.exactness import JOURNEYS
from workflows import DepositApproved


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    async with connected(postgres_url) as database:
        yield database


async def entered(database: Database, player: str) -> list[str]:
    return [row["id"] for row in await rows(database, runs, player_id=player, journey="exact_first")]


async def test_a_player_who_comes_back_after_an_erasure_gets_runs_of_their_own(database: Database) -> None:
    casino = Casino.of(database, JOURNEYS)
    gone, other = casino.player("gone:7"), casino.player("other")
    await casino.happens(gone, DepositApproved, payment_id="d-1")
    for number in (2, 3):
        await execute(database, "DELETE FROM players WHERE id = :gone", gone=gone)
        batch = [(player, casino.event(DepositApproved, payment_id=f"d-{number}")) for player in (gone, other)]
        assert await casino.intake.ingest(BRAND, batch, NOON) == ["accepted", "accepted"]
        assert await casino.intake.ingest(BRAND, batch, NOON) == ["duplicate", "duplicate"]
    assert len({*await entered(database, gone)}) == 3
    assert len(await entered(database, other)) == 1
    assert await rows(database, failed_events) == []
    (row,) = await rows(database, players, id=gone)
    assert row["state"]["taken"]["exact_first"] == 2


async def test_another_process_that_does_not_know_the_player_yet_changes_nothing(database: Database) -> None:
    casino = Casino.of(database, JOURNEYS)
    player = casino.player()
    await casino.happens(player, DepositApproved, payment_id="d-1")
    restarted = Casino.of(database, JOURNEYS)
    batch = [(player, casino.event(DepositApproved, payment_id="d-2"))]
    assert await restarted.intake.ingest(BRAND, batch, NOON) == ["accepted"]
    (row,) = await rows(database, players, id=player)
    assert "taken" not in row["state"]
    assert len(await entered(database, player)) == 1
