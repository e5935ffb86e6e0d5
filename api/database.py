"""The connection pool of the API: a caller hears within a second that Postgres is away."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final, TypeVar

from sqlalchemy import exc
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.database import Database

T = TypeVar("T")

#: Less than the second we promise, which holds the rest of the request too.
CONNECT_TIMEOUT: Final = timedelta(seconds=0.7)
SLICES: Final = 7

#: What SQLAlchemy, the driver and the sockets raise when Postgres is away, restarts or is full.
AWAY: Final = (exc.OperationalError, exc.InterfaceError, exc.TimeoutError, ConnectionError, TimeoutError)


class DatabaseUnreachable(ConnectionError):
    """Postgres does not answer, or every connection is in use; nothing was asked of it."""


class PromptDatabase(Database):
    """The pool of an API process: a caller hears within a second that there is no connection.

    A wait that is given up is not cancelled, because the driver would then wait for the server to
    confirm, which a frozen server never does. The connection goes back to the pool when it comes.
    """

    #: A frozen server closes nothing, so it is asked every time.
    TRUSTED_IDLE_S = 0.0

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """One transaction: committed when the block ends, rolled back when it raises."""
        async with self._connected() as connection, connection.begin():
            yield connection

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A connection for reading; what is written on it is rolled back."""
        async with self._connected() as connection:
            yield connection

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[AsyncConnection]:
        connecting = asyncio.ensure_future(self.engine.connect().start())
        try:
            # In slices, so that a stall of this process's own loop uses up one of them and not all.
            for _ in range(SLICES):
                await asyncio.wait({connecting}, timeout=CONNECT_TIMEOUT.total_seconds() / SLICES)
                if connecting.done():
                    break
        except asyncio.CancelledError:
            connecting.add_done_callback(_give_back)
            raise
        if not connecting.done():
            connecting.add_done_callback(_give_back)
            raise DatabaseUnreachable
        connection = connecting.result()
        try:
            yield connection
        finally:
            await connection.close()


async def in_time(work: Coroutine[Any, Any, T], limit: timedelta) -> T:
    """The result of `work`; raises `DatabaseUnreachable` after `limit` while it goes on by itself.

    Only for work that may be repeated: afterwards nobody knows whether it was done.
    """
    task = asyncio.ensure_future(work)
    done, _ = await asyncio.wait({task}, timeout=limit.total_seconds())
    if not done:
        task.add_done_callback(_ignore_result)
        raise DatabaseUnreachable
    return task.result()


_closing: set[asyncio.Task[None]] = set()


def _give_back(connecting: "asyncio.Future[AsyncConnection]") -> None:
    if not connecting.cancelled() and connecting.exception() is None:
        task = asyncio.ensure_future(connecting.result().close())
        _closing.add(task)
        task.add_done_callback(_closing.discard)


def _ignore_result(task: "asyncio.Future[Any]") -> None:
    if not task.cancelled():
        task.exception()
