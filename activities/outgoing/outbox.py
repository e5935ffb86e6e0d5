"""What a transaction announces is written with it, last of all and only if somebody subscribed to it.

Whoever brings a fact about calls `announce`; `Database.transaction` writes what was announced right before its commit.
So an event is told exactly if its fact is committed, and one that nobody wants costs no row and no statement.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection, Engine, event, select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.outgoing import webhook_queue
from activities.tables import webhook_subscriptions
from workflows.outgoing_events import OutgoingEvent, filters_of

#: For how long a process believes what it read of who subscribed to what.
BELIEVED_FOR: Final = timedelta(seconds=1)
_ANNOUNCED: Final = "announced"
_SAVEPOINTS: Final = "announced_savepoints"


def announce(connection: AsyncConnection, *events: OutgoingEvent) -> None:
    """Have others told of facts that this transaction brings about, once it is committed. Costs nothing here."""
    connection.info.setdefault(_ANNOUNCED, []).extend(events)


class Outbox:
    """Writes what transactions of one pool announce, by what this process knows of subscriptions: a second old at most.

    A subscription is acknowledged only when every process has forgotten what it knew before and every transaction that
    may have gone by it is over (`webhook_subscriptions.settle`); so it hears all that is committed from then on.
    """

    def __init__(self, *, timer: Callable[[], float] = time.monotonic) -> None:
        self._timer = timer
        self._read_at: float | None = None
        self._filters: dict[str, frozenset[str]] = {}
        self._reading = asyncio.Lock()

    def begin(self, connection: AsyncConnection) -> None:
        """Forget what an earlier transaction of this connection announced and did not commit."""
        connection.info.pop(_ANNOUNCED, None)
        connection.info.pop(_SAVEPOINTS, None)

    async def flush(self, connection: AsyncConnection) -> None:
        """Write what the transaction announced and somebody wants. Nothing may be written after it.

        The trap: it must be asked inside the transaction. What this process believes is judged by when the transaction
        that goes by it ends, and that is known only of one that has begun.
        """
        announced: list[OutgoingEvent] = connection.info.pop(_ANNOUNCED, [])
        wanted = [one for one in announced if await self.is_wanted(connection, one.brand, one.type)]
        if wanted:
            await webhook_queue.write(connection, wanted)

    async def is_wanted(self, connection: AsyncConnection, brand: str, kind: str) -> bool:
        """Whether anybody subscribed to a type. Costs a query a second; raises what the database raises."""
        if self._stale():
            async with self._reading:
                if self._stale():
                    await self._read(connection)
        return not self._filters.get(brand, frozenset()).isdisjoint(filters_of(kind))

    def _stale(self) -> bool:
        return self._read_at is None or self._timer() - self._read_at >= BELIEVED_FOR.total_seconds()

    async def _read(self, connection: AsyncConnection) -> None:
        began, row = self._timer(), webhook_subscriptions.c
        active = (await connection.execute(select(row.brand, row.types).where(row.state == "active"))).all()
        filters: dict[str, set[str]] = {}
        for one in active:
            filters.setdefault(one.brand, set()).update(one.types)
        self._filters = {brand: frozenset(types) for brand, types in filters.items()}
        self._read_at = began


def watch_savepoints(engine: Engine) -> None:
    """Have what was announced since a savepoint taken back with it.

    The trap: SQLAlchemy asks also about a connection that is lost. Then there is nothing to note, because the whole
    transaction is lost, and what is raised here would hide from the caller what was raised before.
    """
    event.listen(engine, "savepoint", lambda held, _: _note(held))
    event.listen(engine, "release_savepoint", lambda held, *_: _release(held))
    event.listen(engine, "rollback_savepoint", lambda held, *_: _undo(held))


def _savepoints(connection: Connection) -> list[int]:
    """How much had been announced at each savepoint of the transaction, the innermost last."""
    made: list[int] = connection.info.setdefault(_SAVEPOINTS, [])
    return made


def _note(connection: Connection) -> None:
    if not connection.invalidated:
        _savepoints(connection).append(len(connection.info.get(_ANNOUNCED, ())))


def _release(connection: Connection) -> None:
    if not connection.invalidated:
        _savepoints(connection).pop()


def _undo(connection: Connection) -> None:
    if not connection.invalidated:
        before = _savepoints(connection).pop()
        del connection.info.get(_ANNOUNCED, [])[before:]
