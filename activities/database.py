"""Postgres: one engine a process, explicit transactions, migrations."""

import asyncio
import logging
import select
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Final, cast

import orjson
from sqlalchemy import CursorResult, Insert, event, text
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import QueuePool

from activities.audit.trail import AuditTrail
from activities.notifications import Notifier, take_wanted
from activities.outgoing.outbox import Outbox, watch_savepoints
from activities.settings import Settings

logger = logging.getLogger(__name__)

IDLE_SINCE: Final = "idle_since"
MIGRATIONS = Path(__file__).parent.parent / "migrations"


class DatabaseUnreachable(ConnectionError):
    """Postgres does not answer, or every connection is in use; nothing was asked of it."""


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """How long Postgres lets a session of ours wait for one lock, and work at one statement; None for ever.

    Beyond them it is Postgres that ends the statement, so the connection is free again whoever waits for it.
    """

    lock: timedelta | None = None
    statement: timedelta | None = None

    @property
    def options(self) -> str:
        """As libpq takes them for a session."""
        limits = {"lock_timeout": self.lock, "statement_timeout": self.statement}
        return "".join(
            f" -c {name}={round(limit / timedelta(milliseconds=1))}" for name, limit in limits.items() if limit
        )


UNLIMITED: Final = TimeLimits()
#: Of workers and dispatchers: an effect that was cut off is tried again, a batch of long work too.
WORKER_LIMITS: Final = TimeLimits(lock=timedelta(seconds=10), statement=timedelta(minutes=2))
#: Of what forgets by night: a month's records may take longer to copy than anybody else may work at one statement.
RETENTION_LIMITS: Final = TimeLimits(lock=timedelta(seconds=10))


_NOW: Final = text("SELECT clock_timestamp()")


class Database:
    """A pool of connections of this process, `settings.pool_size` of them unless told otherwise.

    Whoever finds none free waits for one for `patience`, then gives up with a TimeoutError of SQLAlchemy's.

    `transaction()` is the only way to write and it alone commits. Never call another system
    inside it except where the docstring of the caller says why.
    """

    #: Seconds for which an idle connection is trusted to lead somewhere; longer, and the server is asked first.
    TRUSTED_IDLE_S: ClassVar[float] = 10.0
    #: Seconds after which a server that does not take a connection up is called away.
    CONNECT_WITHIN_S: ClassVar[int] = 2
    #: Seconds that `close` waits for connections that are in use.
    RETURNED_WITHIN_S: ClassVar[float] = 2.0

    def __init__(
        self,
        settings: Settings,
        *,
        connections: int | None = None,
        limits: TimeLimits = UNLIMITED,
        patience: timedelta = timedelta(seconds=2),
    ) -> None:
        self.url = settings.sqlalchemy_url
        self.engine: AsyncEngine = create_async_engine(
            self.url,
            pool_size=connections or settings.pool_size,
            max_overflow=0,
            # The connection used last is the one most surely alive.
            pool_use_lifo=True,
            pool_timeout=patience.total_seconds(),
            # An error's text ends in logs and in Temporal; parameters are names, addresses and messages.
            hide_parameters=True,
            json_serializer=lambda value: orjson.dumps(value).decode(),
            json_deserializer=orjson.loads,
            connect_args={
                "connect_timeout": self.CONNECT_WITHIN_S,
                # A server whose machine is gone says nothing: without these a query waits for it for hours.
                "keepalives_idle": 10,
                "keepalives_interval": 5,
                "keepalives_count": 3,
                "tcp_user_timeout": 15_000,
                "prepare_threshold": 3,
                "options": f"-c idle_in_transaction_session_timeout=60000 -c timezone=UTC{limits.options}",
            },
        )

        plain = self.url.replace("postgresql+psycopg", "postgresql", 1)
        self.notifier = Notifier(plain, connect_within_s=self.CONNECT_WITHIN_S)
        self.outbox = Outbox()
        self.trail = AuditTrail()
        watch_savepoints(self.engine.sync_engine)
        event.listen(self.engine.sync_engine, "checkin", _note_idle)
        event.listen(self.engine.sync_engine, "checkout", self._check_alive)

    def _check_alive(self, connection: Any, record: Any, _proxy: Any) -> None:
        """A cheap pre-ping: give nobody a connection whose server has gone, without asking the server each time.

        An idle connection has nothing to read, except that its other end was closed. Raises what makes the pool
        connect anew.
        """
        since = record.info.get(IDLE_SINCE)
        if since is None:
            return
        dialect = self.engine.dialect
        try:
            if time.monotonic() - since < self.TRUSTED_IDLE_S and not _has_input(
                connection.driver_connection.pgconn.socket
            ):
                return
            dialect.do_ping(connection)
        except dialect.loaded_dbapi.Error as gone:
            raise InvalidatePoolError from gone

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """One transaction: committed when the block ends, rolled back when it raises.

        What somebody does with it (`acting`) and what it announced to other systems (`announce`) is written with it,
        and whom it asked to be woken (`notify_after_commit`) is woken when it is committed.
        """
        async with self._connected() as connection:
            async with connection.begin():
                take_wanted(connection)
                self.outbox.begin(connection)
                self.trail.begin(connection)
                yield connection
                # The end of a chain is locked here, so nothing may wait for anybody after it but the outbox.
                act = await self.trail.flush(connection)
                await self.outbox.flush(connection)
                wanted = take_wanted(connection)
            if act is not None:
                act.written = True
            self.notifier.notify(wanted)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A connection for reading; what is written on it is rolled back."""
        async with self._connected() as connection:
            yield connection

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[AsyncConnection]:
        async with self.engine.connect() as connection:
            yield connection

    async def now(self) -> datetime:
        """What the clock of the database says."""
        async with self.reading() as connection:
            told: datetime = (await connection.execute(_NOW)).scalar_one()
            return told

    async def close(self) -> None:
        """Give every connection back, those too that somebody still has: they are waited for, for a moment.

        One that comes later is open for as long as the process: a pool that is disposed of closes none.
        """
        await self.notifier.close()
        try:
            async with asyncio.timeout(self.RETURNED_WITHIN_S):
                while cast(QueuePool, self.engine.pool).checkedout():  # noqa: ASYNC110 - the pool tells nobody
                    await asyncio.sleep(0.01)
        except TimeoutError:
            logger.debug("A connection is still in use, and closed when the process ends.")
        finally:
            await self.engine.dispose()


async def insert_rows(
    connection: AsyncConnection, statement: Insert, rows: Sequence[Mapping[str, object]]
) -> CursorResult[*tuple[Any, ...]]:
    """Insert one row or several, all with the same columns, by a statement that names none of them.

    `insert(table).values([...])` would be compiled anew for each number of rows, which costs more than the insert.
    """
    return await connection.execute(statement, rows[0] if len(rows) == 1 else rows)


def _note_idle(_connection: Any, record: Any) -> None:
    record.info[IDLE_SINCE] = time.monotonic()


def _has_input(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def migrate(url: str, revision: str = "head", *, application_role: str = "") -> None:
    """Bring the schema of the database at `url` to `revision`. Blocking; safe to run twice at once.

    Log in as the owner of the tables. `application_role` is granted what the application needs; without one the owner
    is the application. Raises WrongRole.
    """
    # Of all that a process imports at its start, alembic would take a third of the time, and only this needs it.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["url"] = url
    config.attributes["application_role"] = application_role
    command.upgrade(config, revision)
