"""Reads the chains of the audit trail and has them checked, a hundred thousand entries a second or so."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final, cast

import psycopg
from psycopg.rows import args_row
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.audit.chain import ChainCheck, ChainFault, ChainHead, Lane, Link
from activities.audit.trail import ENTRY_TEXT

#: Entries fetched at once.
AT_ONCE: Final = 10_000


async def count(connection: AsyncConnection) -> int:
    """How many entries the heads speak of."""
    return int((await connection.execute(text("SELECT coalesce(sum(n), 0) FROM audit_heads"))).scalar_one())


async def heads_of(connection: AsyncConnection) -> Mapping[Lane, ChainHead]:
    """Where each chain ends."""
    rows = await connection.execute(text("SELECT brand, lane, n, hash FROM audit_heads"))
    return {(row.brand, row.lane): ChainHead(row.n, bytes(row.hash)) for row in rows}


async def verify_all(
    connection: AsyncConnection,
    anchor: Mapping[Lane, ChainHead] | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> tuple[int, list[ChainFault]]:
    """How many entries there are, and all that is wrong with them. In one snapshot, whatever is written meanwhile."""
    await connection.rollback()
    snapshot = await connection.execution_options(isolation_level="REPEATABLE READ")
    check = ChainCheck(await heads_of(snapshot), anchor)
    checked, found = 0, list[ChainFault]()
    async for links in _links(snapshot):
        for link in links:
            found += check.next(link)
        checked += len(links)
        progress(checked)
    return checked, [*found, *check.end()]


async def _links(connection: AsyncConnection) -> AsyncIterator[list[Link]]:
    """The entries of all chains, in order, by a cursor of the driver's own: half of the time would go into rows."""
    raw = await connection.get_raw_connection()
    driver = cast("psycopg.AsyncConnection[Link]", raw.driver_connection)
    async with driver.cursor("audit", binary=True, row_factory=args_row(Link)) as cursor:
        await cursor.execute(_ENTRIES)
        while rows := await cursor.fetchmany(AT_ONCE):
            yield rows


_ENTRIES: Final = f"SELECT brand, lane, n, prev, hash, {ENTRY_TEXT} FROM audit_entries ORDER BY brand, lane, n".encode()  # noqa: S608 - no input
