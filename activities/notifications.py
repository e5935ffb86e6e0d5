"""Wakes other processes after a commit, and never inside the transaction that it tells of.

A transaction that notifies holds a lock of the whole Postgres server until its commit is on disk, so commits would
queue behind each other however many processes there are. Here one connection of the process notifies for all of them.
"""

import asyncio
import logging
from contextlib import suppress
from typing import Final

import psycopg
from psycopg import sql
from sqlalchemy.ext.asyncio import AsyncConnection

logger = logging.getLogger(__name__)

#: Seconds between two notifications of a process. What is committed meanwhile is told by the next one.
PAUSE_S: Final = 0.01
#: Seconds after which whoever listens tries again while the database is away.
LISTEN_AGAIN_S: Final = 1.0
_WANTED: Final = "notify_after_commit"


def notify_after_commit(connection: AsyncConnection, channel: str) -> None:
    """Have whoever listens on `channel` woken once the transaction of this connection is committed.

    A promise of haste and none of arrival: listeners look by themselves now and then.
    """
    connection.info.setdefault(_WANTED, set()).add(channel)


def take_wanted(connection: AsyncConnection) -> frozenset[str]:
    """The channels asked for since this was called before; a connection outlives its transactions."""
    return frozenset(connection.info.pop(_WANTED, ()))


async def listen(url: str, channel: str, wake: asyncio.Event) -> None:
    """Set `wake` whenever somebody is notified on `channel`, until cancelled; never while the database is away."""
    address = url.replace("postgresql+psycopg", "postgresql", 1)
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(address, autocommit=True, connect_timeout=2) as connection:
                await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
                wake.set()
                async for _ in connection.notifies():
                    wake.set()
        except psycopg.Error:
            await asyncio.sleep(LISTEN_AGAIN_S)


class Notifier:
    """Notifies channels on a connection of its own, any number of requests at once by one notification."""

    def __init__(self, url: str, *, connect_within_s: int = 2) -> None:
        self.url = url
        self._connect_within_s = connect_within_s
        self._wanted: set[str] = set()
        self._connection: psycopg.AsyncConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def notify(self, channels: frozenset[str]) -> None:
        """Wake these channels' listeners soon. Returns at once; while the database is away nobody is woken.

        Nor after `close`: of a transaction that ends later, listeners hear when they look by themselves.
        """
        if self._closed:
            # A connection that it opened now would be closed by nobody.
            return
        self._wanted |= channels
        if self._wanted and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._tell())

    async def close(self) -> None:
        """Tell what is still to be told, and let go of the connection."""
        self._closed = True
        if self._task is not None:
            with suppress(asyncio.CancelledError):
                await self._task
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def _tell(self) -> None:
        while self._wanted:
            channels, self._wanted = self._wanted, set()
            try:
                await self._send(channels)
            except (psycopg.Error, OSError) as away:
                logger.debug("Nobody is woken, and all look by themselves within a second: %s", away)
                if self._connection is not None:
                    await self._connection.close()
                    self._connection = None
            await asyncio.sleep(PAUSE_S)

    async def _send(self, channels: set[str]) -> None:
        if self._connection is None or self._connection.closed:
            self._connection = await psycopg.AsyncConnection.connect(
                self.url,
                autocommit=True,
                connect_timeout=self._connect_within_s,
                # It writes nothing that a crash could lose, so it waits for no disk and no standby.
                options="-c synchronous_commit=off",
            )
        for channel in sorted(channels):
            await self._connection.execute(sql.SQL("NOTIFY {}").format(sql.Identifier(channel)))
