"""The connections of the API: a caller hears within a second that Postgres is away, and what protects finds one free.

Three pools, so that none can take what another was promised: one for ordinary work, one for what protects players, one
for keys, for readiness and for how much is waiting.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypeVar

from sqlalchemy import exc, text
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.database import UNLIMITED, Database, DatabaseUnreachable, TimeLimits
from activities.settings import Settings

T = TypeVar("T")

#: Less than the second we promise, which holds the rest of the request too.
CONNECT_TIMEOUT: Final = timedelta(seconds=0.7)
SLICES: Final = 7
#: How long a burst of what protects may stand in line.
LINE_TIMEOUT: Final = timedelta(seconds=6)
#: Connections beside those for ordinary work, which are `POOL_SIZE`.
FOR_PROTECTION: Final = 3
FOR_KEYS: Final = 2
# Waiting for a lock ends before a caller who waits for a connection gives up: a row that somebody holds costs others
# time and no refusal. A statement ends before the caller is told that nobody knows.
LIMITS: Final = TimeLimits(lock=timedelta(seconds=0.3), statement=timedelta(seconds=8))
LIMITS_FOR_PROTECTION: Final = TimeLimits(lock=timedelta(seconds=0.5), statement=timedelta(seconds=8))
LIMITS_FOR_KEYS: Final = TimeLimits(lock=timedelta(seconds=0.3), statement=timedelta(seconds=1))
_BE_PATIENT: Final = text("SET LOCAL lock_timeout = '2s'")

#: What SQLAlchemy, the driver and the sockets raise when Postgres is away, restarts or is full.
AWAY: Final = (exc.OperationalError, exc.InterfaceError, exc.TimeoutError, ConnectionError, TimeoutError)


class PromptDatabase(Database):
    """The pool of an API process: a caller hears within a second that there is no connection.

    A wait that is given up is not cancelled, because the driver would then wait for the server to
    confirm, which a frozen server never does. The connection goes back to the pool when it comes.
    """

    #: A frozen server closes nothing, so it is asked every time.
    TRUSTED_IDLE_S = 0.0

    def __init__(self, settings: Settings, *, connections: int | None = None, limits: TimeLimits = UNLIMITED) -> None:
        super().__init__(settings, connections=connections, limits=limits)
        #: Connections that came too late for who wanted them.
        self._given_up: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Give every connection back, those that are about to come too."""
        if self._given_up:
            await asyncio.wait(self._given_up, timeout=CONNECT_TIMEOUT.total_seconds())
        await super().close()

    @asynccontextmanager
    async def patient_transaction(self) -> AsyncIterator[AsyncConnection]:
        """A transaction of a person's, that waits longer for a row than events do: they come again by themselves."""
        async with self.transaction() as connection:
            await connection.execute(_BE_PATIENT)
            yield connection

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[AsyncConnection]:
        connecting = asyncio.ensure_future(self.engine.connect().start())
        try:
            done = await done_within(connecting, CONNECT_TIMEOUT)
        except asyncio.CancelledError:
            self._give_up(connecting)
            raise
        if not done:
            self._give_up(connecting)
            raise DatabaseUnreachable
        connection = connecting.result()
        try:
            yield connection
        finally:
            await connection.close()

    def _give_up(self, connecting: "asyncio.Future[AsyncConnection]") -> None:
        late = asyncio.create_task(_close_when_it_comes(connecting))
        self._given_up.add(late)
        late.add_done_callback(self._given_up.discard)


class ReservedDatabase(PromptDatabase):
    """A few connections that wait for nobody but each other's users, who stand in a line, first in, first out."""

    def __init__(self, settings: Settings, connections: int, limits: TimeLimits) -> None:
        super().__init__(settings, connections=connections, limits=limits)
        self._free = asyncio.Semaphore(connections)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A connection for questions that need no transaction: without one each is a single round trip of three."""
        async with self._connected() as connection:
            yield await connection.execution_options(isolation_level="AUTOCOMMIT")

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with asyncio.timeout(LINE_TIMEOUT.total_seconds()):
                await self._free.acquire()
        except TimeoutError:
            raise DatabaseUnreachable from None
        try:
            async with super()._connected() as connection:
                yield connection
        finally:
            self._free.release()


@dataclass(frozen=True)
class Pools:
    """The three pools of an API process."""

    ordinary: PromptDatabase
    protection: ReservedDatabase
    keys: ReservedDatabase

    @classmethod
    def of(cls, settings: Settings) -> "Pools":
        """Pools of which no connection is opened yet."""
        return cls(
            ordinary=PromptDatabase(settings, limits=LIMITS),
            protection=ReservedDatabase(settings, FOR_PROTECTION, LIMITS_FOR_PROTECTION),
            keys=ReservedDatabase(settings, FOR_KEYS, LIMITS_FOR_KEYS),
        )

    async def close(self) -> None:
        """Give every connection back."""
        await asyncio.gather(self.ordinary.close(), self.protection.close(), self.keys.close())


async def done_within(future: "asyncio.Future[Any]", limit: timedelta) -> bool:
    """Wait for something, so long at most, and leave it alone; whether it is done."""
    # In slices, so that a stall of this process's own loop uses up one of them and not all.
    for _ in range(SLICES):
        if future.done():
            break
        await asyncio.wait({future}, timeout=limit.total_seconds() / SLICES)
    return future.done()


async def in_time(work: Coroutine[Any, Any, T], limit: timedelta) -> T:
    """The result of `work`; raises `DatabaseUnreachable` after `limit` while it goes on by itself.

    Only for work that may be repeated: afterwards nobody knows whether it was done.
    """
    task = asyncio.ensure_future(work)
    if not await done_within(task, limit):
        task.add_done_callback(_ignore_result)
        raise DatabaseUnreachable
    return task.result()


async def _close_when_it_comes(connecting: "asyncio.Future[AsyncConnection]") -> None:
    with suppress(Exception):
        await (await connecting).close()


def _ignore_result(task: "asyncio.Future[Any]") -> None:
    if not task.cancelled():
        task.exception()
