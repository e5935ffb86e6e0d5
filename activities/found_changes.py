"""The table `changes`: what has changed in a brand, and whether people were told. Only this module writes it."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Final, Literal, NamedTuple

from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.change_tables import changes

#: Whose delivery fell, whose entries stop, which group of players grew or shrank, which score drifted or was off.
ChangeKind = Literal["delivery", "entries", "group", "score"]
#: What was found is not found again for so long.
ONCE_IN: Final = timedelta(days=7)


class FoundChange(NamedTuple):
    """Something that has changed, in a sentence for people."""

    kind: ChangeKind
    subject: str
    says: str


async def note_changes(connection: AsyncConnection, brand: str, found: Sequence[FoundChange], day: date) -> int:
    """Write down what was found on a day; how much of it is new. Of what was found lately nothing is written."""
    table, new = changes.c, 0
    lately = select(table.kind, table.subject).where(table.brand == brand, table.found_on > day - ONCE_IN)
    known = {tuple(row) for row in await connection.execute(lately)}
    for one in found:
        if (one.kind, one.subject) not in known:
            row = {"brand": brand, "found_on": day, **one._asdict()}
            new += (await connection.execute(insert(changes).values(row).on_conflict_do_nothing())).rowcount
    return new


async def list_changes(
    connection: AsyncConnection, brand: str, since: date, *, untold: bool = False
) -> list[tuple[date, FoundChange]]:
    """What was found from a day on, the newest first; with `untold` what nobody was told of."""
    table = changes.c
    chosen = select(table.found_on, table.kind, table.subject, table.says).where(
        table.brand == brand, table.found_on >= since, *([table.told_at.is_(None)] if untold else [])
    )
    rows = await connection.execute(chosen.order_by(table.found_on.desc(), table.kind, table.subject))
    return [(row.found_on, FoundChange(row.kind, row.subject, row.says)) for row in rows]


async def note_told(connection: AsyncConnection, brand: str, until: date, now: datetime) -> None:
    """Write down that people were told of all that was found until a day."""
    mine = (changes.c.brand == brand, changes.c.found_on <= until, changes.c.told_at.is_(None))
    await connection.execute(update(changes).where(*mine).values(told_at=now))


FORGET: Final = text(
    "DELETE FROM changes WHERE ctid = ANY(ARRAY("
    "SELECT ctid FROM changes WHERE found_on < CAST(:before AS date) LIMIT :limit))"
)
