"""Who waits for deliveries is woken after the commit, and a crowd of commits by few notifications."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest
import sqlalchemy as sa

from activities.database import Database
from activities.notifications import notify_after_commit
from activities.run_delivery.deliveries import CHANNEL
from activities.tables import deliveries
from tests.support import machine
from tests.support.engine import BRAND, Casino, connected, declared, rows
from workflows import DepositApproved, Player, PlayerRegistered, SessionLogin, days, journey, on
from workflows.events import Event


@journey(on(PlayerRegistered), ends_after=days(3))
async def listening(player: Player, _registered: PlayerRegistered) -> None:
    """Waits for a login."""
    await player.event(SessionLogin, within=days(2))


@asynccontextmanager
async def listener(database: Database) -> AsyncIterator[psycopg.AsyncConnection]:
    url = database.notifier.url
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(f"LISTEN {CHANNEL}")
        yield connection


async def heard(connection: psycopg.AsyncConnection, *, within: float = 60, most: int | None = 1) -> int:
    return len([one async for one in connection.notifies(timeout=within, stop_after=most)])


async def test_what_wakes_a_run_wakes_the_dispatchers_once_it_is_committed(postgres_url: str) -> None:
    async with connected(postgres_url) as database, listener(database) as connection:
        casino = Casino.of(database, declared(listening, listens=[SessionLogin]))
        await casino.happens(casino.player(), PlayerRegistered, SessionLogin)
        assert await heard(connection) == 1
        assert await rows(database, deliveries, brand=BRAND), "The notification came before what it tells of."


@pytest.mark.parametrize("kinds", [(DepositApproved,), (DepositApproved, SessionLogin)], ids=len)
async def test_what_nobody_waits_for_wakes_nobody(postgres_url: str, kinds: tuple[type[Event], ...]) -> None:
    async with connected(postgres_url) as database, listener(database) as connection:
        casino = Casino.of(database, declared(listening, listens=[SessionLogin]))
        await casino.happens(casino.player(), *kinds)
        await database.notifier.close()
        assert await heard(connection, within=0.1) == 0


async def test_a_transaction_that_is_rolled_back_wakes_nobody_and_neither_does_the_next_one(postgres_url: str) -> None:
    async with connected(postgres_url, pool_size=1) as database, listener(database) as connection:
        with pytest.raises(RuntimeError):
            await _fails(database)
        async with database.transaction() as after:
            await after.execute(sa.text("SELECT 1"))
        await database.notifier.close()
        assert await heard(connection, within=0.1) == 0


async def _fails(database: Database) -> None:
    async with database.transaction() as connection:
        notify_after_commit(connection, CHANNEL)
        raise RuntimeError


async def test_a_crowd_of_commits_is_told_by_few_notifications(postgres_url: str) -> None:
    async def commit(database: Database) -> None:
        async with database.transaction() as connection:
            notify_after_commit(connection, CHANNEL)
            await connection.execute(sa.text("SELECT 1"))

    async with connected(postgres_url) as database, listener(database) as connection:
        # One that is under way when the crowd comes, and one for all of the crowd that came meanwhile, at the least.
        await asyncio.gather(*(commit(database) for _ in range(100)))
        await database.notifier.close()
        assert 1 <= await heard(connection) + await heard(connection, within=0.2, most=None) <= 50


async def test_a_notifier_whose_connection_was_cut_connects_anew(postgres_url: str) -> None:
    async with connected(postgres_url) as database, listener(database) as connection:
        database.notifier.notify(frozenset({CHANNEL}))
        assert await heard(connection) == 1
        async with database.transaction() as other:
            await other.execute(
                sa.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'NOTIFY%'")
            )
        async with machine.within(60):
            await _heard_at_last(database, connection)


async def _heard_at_last(database: Database, connection: psycopg.AsyncConnection) -> None:
    while not await heard(connection, within=0.05):
        database.notifier.notify(frozenset({CHANNEL}))


async def test_a_transaction_that_ends_after_the_closing_opens_no_connection_again(postgres_url: str) -> None:
    async with connected(postgres_url) as database, listener(database) as connection:
        async with database.transaction() as late:
            notify_after_commit(late, CHANNEL)
            await database.notifier.close()
        assert await heard(connection, within=0.5) == 0
