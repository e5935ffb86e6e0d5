"""Everything that is kept of a player, table by table, as it was at one moment."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.personal_data import PERSONAL_DATA
from activities.tables import metadata, task_history, tasks
from workflows.json_object import JsonObject

#: Rows in memory at a time.
AT_ONCE: Final = 500


async def begin(connection: AsyncConnection) -> None:
    """Have everything read on this connection be of one moment. To be called before anything is."""
    await connection.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))


def tables() -> Sequence[str]:
    """The tables that hold something of players, in the order of an export: who they are, then what happened."""
    about = [name for name, data in PERSONAL_DATA.items() if data.player and name != "players"]
    return ["players", *about, "task_history"]


async def rows_of(connection: AsyncConnection, brand: str, player_id: str, table: str) -> AsyncIterator[JsonObject]:
    """A player's rows of a table, column by column, without the brand; never more than `AT_ONCE` are in memory."""
    asked = {"brand": brand, "player": player_id}
    async with connection.stream(_QUERIES[table], asked, execution_options={"yield_per": AT_ONCE}) as stream:
        async for row in stream.mappings():
            # The names are of a kind of text that no writer of JSON knows.
            yield {f"{name}": value for name, value in row.items()}


def _query(name: str) -> sa.Select[Any]:
    table = metadata.tables[name]
    columns = [column for column in table.columns if column.name != "brand"]
    chosen = sa.select(*columns).where(table.c.brand == sa.bindparam("brand"))
    if name == task_history.name:
        theirs = sa.select(tasks.c.id).where(
            tasks.c.brand == sa.bindparam("brand"), tasks.c.player_id == sa.bindparam("player")
        )
        return chosen.where(table.c.task_id.in_(theirs)).order_by(table.c.id)
    theirs_here = table.c[PERSONAL_DATA[name].player] == sa.bindparam("player")
    when = next((table.c[one] for one in _TIMES if one in table.c), None)
    return chosen.where(theirs_here).order_by(*([] if when is None else [when]), *table.primary_key.columns)


#: What rows are ordered by, the first that a table has.
_TIMES: Final = ("occurred_at", "created_at", "entered_at", "at", "since")
_QUERIES: Final[Mapping[str, sa.Select[Any]]] = {name: _query(name) for name in tables()}
