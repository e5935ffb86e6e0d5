"""How far a table that only grows can be counted without passing by what is committed late.

Numbers are given when a row is inserted and not when it is committed, so a row with a lower number may appear behind
one that was counted. Whoever inserts holds a lock on the table from before the number is drawn until the transaction is
over; so when everybody who held one after a number was seen is gone, nothing below it can come any more.
"""

from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection


class Horizon(NamedTuple):
    """Everything up to `seq` is there; nothing that was committed before `at` has a higher number."""

    seq: int
    at: datetime


class _Sighting(NamedTuple):
    seq: int
    at: datetime
    writers: frozenset[str]


class HorizonWatch:
    """Looks how far a table may be counted; one for each table and follower.

    A transaction that stays open holds back what came after it, and nothing else: what was proven before stays proven.
    """

    def __init__(self, table: str, number: str = "seq") -> None:
        self._highest = _highest(table, number)
        self._table = table
        self._seen: _Sighting | None = None
        self._proven: Horizon | None = None

    async def look(self, connection: AsyncConnection) -> Horizon | None:
        """How far it may be counted now; None as long as nothing is proven.

        Outside of serializable transactions: each question must see what is committed by then.
        """
        if self._seen is None:
            # The numbers first, then who writes: whoever drew a lower number holds their lock by now, or is done.
            highest = (await connection.execute(self._highest)).one()
            writers = await self._writers(connection)
            self._seen = _Sighting(highest.seq, highest.at, writers)
        if self._seen.writers and self._seen.writers & await self._writers(connection):
            return self._proven
        self._proven, self._seen = Horizon(self._seen.seq, self._seen.at), None
        return self._proven

    async def _writers(self, connection: AsyncConnection) -> frozenset[str]:
        return frozenset((await connection.execute(_WRITERS, {"table": self._table})).scalars())


def _highest(table: str, number: str) -> TextClause:
    return text(f"SELECT coalesce(max({number}), 0) AS seq, statement_timestamp() AS at FROM {table}")  # noqa: S608 - our own words


# Prepared transactions have no process, and hold their locks all the same.
_WRITERS: Final = text(
    """
    SELECT virtualtransaction FROM pg_locks
    WHERE locktype = 'relation' AND relation = CAST(:table AS regclass)
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND mode = 'RowExclusiveLock' AND granted AND pid IS DISTINCT FROM pg_backend_pid()
    """
)
