"""Whole worker processes that are killed while a tournament is open, closing and paying."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from temporalio.client import Client

from activities.database import Database
from activities.tables import point_transfers, standings, tournaments
from tests.support.engine import BRAND, SECRET, Casino, HeldClock, connected, execute, rows
from tests.support.machine import eventually
from tests.support.servers import owners
from tests.support.tournament_program import race
from workflows.background.tournament_run import PHASE
from workflows.loyalty.tournament_prizes import TournamentTerms
from workflows.loyalty.tournaments import board_of, run_of

ROOT = Path(__file__).parent.parent.parent
PROGRAM = "tests.support.tournament_program"
INSTANCE = "race:killed"
BOARD = board_of(BRAND, INSTANCE)
#: Postgres ends what is idle in a transaction for a minute.
_STAY = text("SET LOCAL idle_in_transaction_session_timeout = 0")


@asynccontextmanager
async def a_worker(database_url: str, temporal_address: str) -> AsyncIterator[None]:
    """A worker process that is killed when the block ends, whatever it does."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "worker"),
        cwd=ROOT,
        env=os.environ
        | {
            "DATABASE_URL": database_url,
            "TEMPORAL_ADDRESS": temporal_address,
            "WEBHOOK_SECRET": SECRET,
            "LINK_SECRETS": SECRET,
            "JOURNEYS": PROGRAM,
        },
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.kill()
        await process.wait()


async def seed(database: Database, players: list[str], now: datetime) -> None:
    """An instance that opens in a moment, with everybody on its board."""
    await execute(
        database,
        """
        INSERT INTO tournaments (board, brand, name, instance, opens_at, closes_at, cut_at, terms)
        VALUES (:board, :brand, 'race', :instance, :opens, :closes, :cut, CAST(:terms AS jsonb))
        """,
        board=BOARD,
        brand=BRAND,
        instance=INSTANCE,
        opens=now,
        closes=now + timedelta(seconds=15),
        cut=now + timedelta(seconds=20),
        terms=TournamentTerms.of(race).model_dump_json(),
    )
    for number, player in enumerate(players):
        await execute(
            database,
            "INSERT INTO standings (brand, player_id, board, neg_score, reached_at, rounds, draw, named) "
            "VALUES (:brand, :player, :board, :score, now(), 1, :draw, true)",
            brand=BRAND,
            player=player,
            board=BOARD,
            score=-1_000 + number,
            draw=number,
        )


@pytest.mark.slow  # each death is believed after fifteen seconds without a heartbeat
async def test_a_worker_is_killed_in_each_phase_and_each_prize_is_paid_once(
    temporal: Client, temporal_address: str, postgres_url: str
) -> None:
    handle = temporal.get_workflow_handle(run_of(BRAND, INSTANCE))

    async def state() -> str:
        (row,) = await rows(database, tournaments, board=BOARD)
        return str(row["state"])

    async with connected(postgres_url) as database:
        casino = Casino.of(database, {}, HeldClock(datetime.now(UTC)))
        players = [casino.player(f"p{number}") for number in range(5)]
        for player in players:
            await casino.registers(player, country="DK", birth_date="1980-01-01")
        await seed(database, players, datetime.now(UTC))

        async with a_worker(postgres_url, temporal_address):

            async def waits() -> bool:
                try:
                    return await handle.query(PHASE) in {"running", "grace", "closing"}
                except Exception:  # noqa: BLE001 - not begun yet
                    return False

            await eventually(waits)

        async with database.transaction() as connection:
            # A score under way keeps the close from its places.
            await connection.execute(_STAY)
            await connection.execute(text("SELECT pg_current_xact_id()"))
            async with a_worker(postgres_url, temporal_address):

                async def closing() -> bool:
                    return await state() == "closing"

                await eventually(closing)

        async with connected(owners(postgres_url)) as owner, owner.transaction() as connection:
            await connection.execute(_STAY)
            # No row lock: whoever holds one writes, and the close would wait for it.
            await connection.execute(text("LOCK TABLE point_transfers IN SHARE MODE"))
            async with a_worker(postgres_url, temporal_address):

                async def paying() -> bool:
                    return await state() == "paying"

                await eventually(paying)

        async with a_worker(postgres_url, temporal_address):

            async def done() -> bool:
                return await state() == "done"

            await eventually(done)
        found = {
            one["player_id"]: (one["place"], one["outcome"]) for one in await rows(database, standings, board=BOARD)
        }
        assert [found[one] for one in players] == [(1, "paid"), (2, "paid"), (3, "paid"), (4, "granted"), (5, None)]
        paid = [one for one in await rows(database, point_transfers) if one["cause"] == "tournament"]
        assert sorted((one["player_id"], one["amount"]) for one in paid) == sorted(
            zip(players, (500, 100, 100), strict=False)
        )
