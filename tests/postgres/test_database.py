"""Postgres goes away and comes back: errors are quick, plain and passing, and nothing needs a restart."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from activities.database import Database, migrate
from activities.settings import Settings
from activities.tables import players
from local.ports import free_port
from local.postgres import Postgres
from local.supervisor import Supervised
from tests.support.engine import BRAND, NOON, connected, effects, rows
from tests.support.machine import eventually, within
from tests.support.servers import ready, running
from workflows import SessionLogin
from workflows.effects import Mark, Refresh

CANARY = "canary-4713"


@pytest.fixture(scope="module")
async def server(session_folder: Path) -> AsyncIterator[tuple[Supervised, str]]:
    """A Postgres that these tests may kill, and the address of its database."""
    own = Postgres(home=session_folder / "mortal", port=free_port(), password="secret")
    own.prepare()
    async with running(own.service(), session_folder) as process:
        url = await own.create_database("mortal")
        migrate(url)
        yield process, url


async def interrupted(database: Database, process: Supervised) -> None:
    async with database.transaction() as connection:
        await connection.execute(sa.insert(players).values(brand=BRAND, id="lost"))
        await process.kill()
        # A backend may outlive its postmaster by a short statement.
        await connection.execute(sa.text("SELECT pg_sleep(60)"))


async def ping(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute(sa.text("SELECT 1"))


async def test_after_a_restart_of_postgres_the_pool_serves_without_a_single_error(
    server: tuple[Supervised, str],
) -> None:
    process, url = server
    async with connected(url) as database:
        await asyncio.gather(*(ping(database) for _ in range(8)))
        await process.kill()
        await ready(process)
        await asyncio.gather(*(ping(database) for _ in range(8)))


async def test_where_tls_is_asked_for_a_server_without_it_is_called_by_nobody(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    monkeypatch.setenv("PGSSLROOTCERT", "system")
    refusal = "server does not support SSL, but SSL was required"
    async with connected(postgres_url) as database:
        with pytest.raises(OperationalError, match=refusal):
            await ping(database)
        with pytest.raises(OperationalError, match=refusal):
            await asyncio.to_thread(migrate, postgres_url)
        monkeypatch.delenv("PGSSLMODE")
        monkeypatch.delenv("PGSSLROOTCERT")
        await ping(database)
    async with connected(f"{postgres_url}?sslmode=require") as database:
        with pytest.raises(OperationalError, match=refusal):
            await ping(database)


async def test_a_transaction_under_way_fails_and_keeps_nothing(server: tuple[Supervised, str]) -> None:
    process, url = server
    async with connected(url) as database:
        with pytest.raises(DBAPIError):
            await interrupted(database, process)
        await ready(process)
        assert await rows(database, players, id="lost") == []


async def test_who_loses_the_connection_inside_a_savepoint_is_told_of_that_and_of_nothing_else(
    postgres_url: str,
) -> None:
    """Else a sweep would take it for the players' fault, and a worker that ends would not notice."""
    own_end = sa.text("SELECT pg_terminate_backend(pg_backend_pid())")
    async with connected(postgres_url) as database:
        with pytest.raises(OperationalError):
            async with database.transaction() as connection, connection.begin_nested():
                await connection.execute(own_end)
        with pytest.raises(TimeoutError):
            async with within(0.2), database.transaction() as connection, connection.begin_nested():
                await connection.execute(sa.text("SELECT pg_sleep(60)"))
        await ping(database)


async def test_while_postgres_is_away_effects_fail_soon_in_a_way_that_is_tried_again(
    server: tuple[Supervised, str],
) -> None:
    process, url = server
    async with effects(url) as parts:
        player = parts.casino.player()
        await parts.casino.registers(player)
        run = await parts.enters(player)
        mark = parts.given(Mark, run, "mark:here#1", name="here")
        await process.stop()
        async with within(20):
            # Temporal tries again after any error but its own ApplicationError marked as final.
            for effect in (parts.runs.mark(mark), parts.runs.refresh(parts.given(Refresh, run, "refresh#1"))):
                with pytest.raises(OperationalError):
                    await effect
            with pytest.raises(OperationalError):
                await parts.casino.happens(player, SessionLogin)
        process.start()
        await ready(process)
        await parts.runs.mark(mark)
        assert await parts.casino.happens(player, SessionLogin) == ["accepted"]


async def test_a_full_pool_is_an_error_and_not_a_wait_without_an_end(postgres_url: str) -> None:
    soon = timedelta(seconds=0.1)
    async with connected(postgres_url, patience=soon, pool_size=1) as database, database.transaction(), within(20):
        with pytest.raises(PoolTimeout):
            await ping(database)


async def test_closing_waits_for_who_still_has_a_connection(postgres_url: str) -> None:
    database = Database(Settings(database_url=postgres_url))
    async with database.reading() as connection:
        pid = await connection.scalar(sa.text("SELECT pg_backend_pid()"))
        closing = asyncio.create_task(database.close())
        finished, _ = await asyncio.wait({closing}, timeout=0.2)
        assert not finished
    await closing
    async with connected(postgres_url) as another, another.reading() as connection:
        left = sa.text("SELECT count(*) FROM pg_stat_activity WHERE pid = :pid")

        async def gone() -> bool:
            return not await connection.scalar(left, {"pid": pid})

        await eventually(gone)


async def test_an_address_where_nobody_listens_is_an_error_soon() -> None:
    async with connected(f"postgresql://nobody@127.0.0.1:{free_port()}/none") as database, within(20):
        with pytest.raises(OperationalError):
            await ping(database)


async def test_no_error_repeats_what_was_to_be_written(postgres_url: str) -> None:
    async with connected(postgres_url) as database:
        row = {"brand": BRAND, "id": "p", "profile": {"email": CANARY}, "created_at": NOON}
        async with database.transaction() as connection:
            await connection.execute(sa.insert(players).values(row))
        async with database.reading() as connection:
            with pytest.raises(IntegrityError) as caught:
                await connection.execute(sa.insert(players).values(row))
        assert "uplicate" in str(caught.value)
        assert CANARY not in str(caught.value)
