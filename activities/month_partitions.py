"""Tables in partitions, a month each, made ahead of time and dropped when their time is over.

They belong to the owner of the tables: a process whose role owns nothing can neither make nor drop one.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from prometheus_client import Gauge
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

#: Months that have a partition before they begin, the present one not counted.
AHEAD: Final = 3
#: Rows moved in one transaction.
AT_ONCE: Final = 5_000
MONTHS_AHEAD: Final = Gauge("journeys_event_months_ahead", "Months to come that events have a partition for.")
#: The tables, each with the column that says in which month a row is.
MONTHLY: Final[Mapping[str, str]] = MappingProxyType(
    {"events": "received_at", "gate_decisions": "at", "point_transfers": "at"}
)
_NAME: Final = re.compile(rf"({'|'.join(MONTHLY)})_(first|default|displaced|\d{{4}}_\d{{2}})")
_BOUNDS: Final = re.compile(r"FROM \((MINVALUE|'[^']+')\) TO \('([^']+)'\)")


def is_partition(table: str) -> bool:
    """Whether a table of this name is a part of one of `MONTHLY`, or stands apart from it for a while."""
    return _NAME.fullmatch(table) is not None


@dataclass(frozen=True)
class Partition:
    """A part of a table with what is from before `until`; the earliest one may have no `since`."""

    name: str
    since: datetime | None
    until: datetime


def month_of(moment: datetime) -> datetime:
    """The first instant of the month, in UTC."""
    moment = moment.astimezone(UTC)
    return datetime(moment.year, moment.month, 1, tzinfo=UTC)


def month_after(month: datetime) -> datetime:
    """The first instant of the month after."""
    return datetime(month.year + month.month // 12, month.month % 12 + 1, 1, tzinfo=UTC)


def default_of(table: str) -> str:
    """The partition that takes what no month takes, so that writing goes on when nobody has made the next one."""
    return f"{table}_default"


def displaced_of(table: str) -> str:
    """Where what was in the default partition stands, until it is in the months that were made for it."""
    return f"{table}_displaced"


async def partitions(connection: AsyncConnection, table: str = "events") -> list[Partition]:
    """Every partition of a table but the default one, by their time."""
    found = []
    for row in await connection.execute(_PARTITIONS, {"whole": table}):
        if (bounds := _BOUNDS.search(row.bounds)) is not None:
            since = None if bounds[1] == "MINVALUE" else datetime.fromisoformat(bounds[1].strip("'"))
            found.append(Partition(row.name, since, datetime.fromisoformat(bounds[2])))
    return sorted(found, key=lambda partition: partition.until)


async def make_ahead(connection: AsyncConnection, now: datetime, table: str = "events") -> list[str]:
    """Make what is missing of a table up to `AHEAD` months from now; the names of what was made.

    What went into the default partition meanwhile stands apart afterwards, until `move_back` has put it where it
    belongs. Must run inside a transaction; others read and write the table all the while, but for a moment.
    """
    await connection.execute(_ONE_AT_A_TIME)
    covered = max((partition.until for partition in await partitions(connection, table)), default=month_of(now))
    last = month_of(now)
    for _ in range(AHEAD):
        last = month_after(last)
    if covered > last:
        return []
    displaced = await connection.scalar(text(f"SELECT EXISTS (SELECT FROM {default_of(table)})"))  # noqa: S608 - our own words
    if displaced:
        # Rows of a month that is attached must have left the default partition, and under load more come all the time:
        # they would have to be moved while everybody waits.
        if await _is_there(connection, displaced_of(table)):
            return []
        await connection.execute(text(f"ALTER TABLE {table} DETACH PARTITION {default_of(table)}"))
        await connection.execute(text(f"ALTER TABLE {default_of(table)} RENAME TO {displaced_of(table)}"))
    made = []
    while covered <= last:
        end = month_after(month_of(covered))
        name = f"{table}_{covered:%Y_%m}"
        await _make(connection, table, name, covered, end)
        made.append(name)
        covered = end
    if displaced:
        await connection.execute(text(f"CREATE TABLE {default_of(table)} PARTITION OF {table} DEFAULT"))
        await _move(connection, table)
    return made


async def move_back(connection: AsyncConnection, table: str) -> bool:
    """Put some of what stands apart where it belongs; whether there may be more. Nobody waits for it meanwhile.

    What stands apart is not found by whoever reads the table, but is known by its identity.
    """
    await connection.execute(_ONE_AT_A_TIME)
    if not await _is_there(connection, displaced_of(table)):
        return False
    if await _move(connection, table):
        return True
    await connection.execute(text(f"DROP TABLE {displaced_of(table)}"))
    return False


async def count_ahead(connection: AsyncConnection, now: datetime) -> None:
    """Set the gauge of the months to come. At 0 events go where they are found more slowly and never dropped."""
    covered = max((partition.until for partition in await partitions(connection)), default=now)
    months, month = 0, month_after(month_of(now))
    while month < covered:
        months, month = months + 1, month_after(month)
    MONTHS_AHEAD.set(months)


async def drop(connection: AsyncConnection, partition: Partition) -> None:
    """Drop a partition with all that is in it."""
    await connection.execute(_ONE_AT_A_TIME)
    await connection.execute(text(f"DROP TABLE {partition.name}"))


async def _make(connection: AsyncConnection, table: str, name: str, since: datetime, until: datetime) -> None:
    """Made apart and then attached: making it in place would keep everybody from the table meanwhile."""
    await connection.execute(
        text(f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES)")
    )
    await connection.execute(
        text(f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ('{since}') TO ('{until}')")
    )


async def _move(connection: AsyncConnection, table: str) -> int:
    """Move a batch of what stands apart through the whole table, which knows where it belongs; how many rows."""
    some = f"SELECT ctid FROM {displaced_of(table)} LIMIT {AT_ONCE}"  # noqa: S608 - our own words
    moved = f"DELETE FROM {displaced_of(table)} WHERE ctid = ANY(ARRAY({some})) RETURNING *"  # noqa: S608 - our own words
    move = f"WITH moved AS ({moved}) INSERT INTO {table} SELECT * FROM moved"  # noqa: S608 - our own words
    return (await connection.execute(text(move))).rowcount


async def _is_there(connection: AsyncConnection, table: str) -> bool:
    return bool(await connection.scalar(text("SELECT to_regclass(:name) IS NOT NULL"), {"name": table}))


_ONE_AT_A_TIME: Final = text("SELECT pg_advisory_xact_lock(hashtextextended('partitions of events', 0))")
_PARTITIONS: Final = text(
    """
    SELECT c.relname AS name, pg_get_expr(c.relpartbound, c.oid) AS bounds
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = CAST(:whole AS regclass)
    """
)
