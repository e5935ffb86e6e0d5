"""Postgres set back: what is sent again finds the run it began, and nothing else meets a run of the lost time."""

from collections.abc import AsyncIterator

import pytest

from activities.database import Database
from activities.runs import FIRST_CHECK, is_active
from activities.tables import deliveries, runs
from tests.support.engine import BRAND, NOON, Casino, connected, effects, execute, rows, run_of, runs_of
from tests.support.exactness import JOURNEYS
from workflows import DepositApproved, TierChanged
from workflows.effects import RUN_OVER, End


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    async with connected(postgres_url) as database:
        yield database


async def set_back(database: Database) -> None:
    """To before anything happened."""
    for table in ("deliveries", "runs", "memberships", "players", "events", "event_ids"):
        await execute(database, f"DELETE FROM {table}")


async def told(database: Database) -> set[tuple[str, str, str]]:
    return {(row["run_id"], row["kind"], row["id"]) for row in await rows(database, deliveries)}


async def test_what_is_sent_again_is_the_same_run_and_the_same_delivery_whatever_came_first(
    database: Database,
) -> None:
    casino = Casino.of(database, JOURNEYS)
    player = casino.player()
    batch = [(player, casino.event(kind)) for kind in (DepositApproved, TierChanged)]
    await casino.intake.ingest(BRAND, batch, NOON)
    before, heard = await runs_of(database, player, "exact_each"), await told(database)
    await set_back(database)
    await casino.happens(player, DepositApproved)
    (other,) = await runs_of(database, player, "exact_each")
    await casino.intake.ingest(BRAND, batch, NOON)
    after = await runs_of(database, player, "exact_each")
    assert {*after} == {*before, other}
    assert other not in before
    events = {one for one in heard if one[1] == "event" and one[0] in before}
    assert events
    assert events <= await told(database)


async def test_a_run_that_was_refused_before_it_was_entered_again_ends_nothing_of_it(module_postgres_url: str) -> None:
    """Its effect came while the books did not have it; what ends in Temporal then is the run of the lost time."""
    async with effects(module_postgres_url) as parts:
        casino, database = Casino.of(parts.database, JOURNEYS), parts.database
        player = casino.player()
        await casino.happens(player, DepositApproved)
        run_id = await run_of(database, player, "exact_first")
        refused = parts.given(End, run_id, "end", outcome=RUN_OVER)
        await parts.runs.end(refused)
        async with database.reading() as connection:
            assert await is_active(connection, run_id)
        (row,) = await rows(database, runs, id=run_id)
        assert row["check_at"] > NOON + 2 * FIRST_CHECK, "it is compared next"
        await execute(database, "DELETE FROM players WHERE id = :player", player=player)
        await parts.runs.end(refused)
        (row,) = await rows(database, runs, id=run_id)
        assert (row["state"], row["outcome"]) == ("ended", RUN_OVER), "without a player nothing could ever end it"
