"""What people noted about players: the table `player_notes`. It is added to, and erased with the player."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.tables import player_notes

NoteKind = Literal["note", "life_fact", "contact"]


@dataclass(frozen=True, slots=True)
class PlayerNote:
    """What somebody noted about a player, and when."""

    id: int
    at: datetime
    author: str
    kind: NoteKind
    text: str
    source: str | None


_COLUMNS = [player_notes.c[name] for name in PlayerNote.__dataclass_fields__]


async def add_note(
    connection: AsyncConnection,
    whose: tuple[str, str],
    author: str,
    kind: NoteKind,
    said: str,
    now: datetime,
    source: str | None = None,
) -> PlayerNote:
    """Note something about a player; `whose` is brand and player."""
    brand, player_id = whose
    values = {"author": author, "kind": kind, "text": said, "source": source, "at": now}
    adding = insert(player_notes).values(brand=brand, player_id=player_id, **values).returning(*_COLUMNS)
    return PlayerNote(*(await connection.execute(adding)).one())


async def notes_of(
    connection: AsyncConnection, whose: tuple[str, str], limit: int, before: int | None = None
) -> list[PlayerNote]:
    """What was noted about a player, the newest first, from before the note of that id."""
    brand, player_id = whose
    found = select(*_COLUMNS).where(player_notes.c.brand == brand, player_notes.c.player_id == player_id)
    if before is not None:
        found = found.where(player_notes.c.id < before)
    return [PlayerNote(*row) for row in await connection.execute(found.order_by(player_notes.c.id.desc()).limit(limit))]


ERASE: Final = text(
    "DELETE FROM player_notes WHERE id IN ("
    "SELECT id FROM player_notes WHERE brand = :brand AND player_id = :player AND at <= :before LIMIT :limit)"
)
