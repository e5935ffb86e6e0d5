"""Texts from numbers that no player has: the table `stray_texts`, for people to look at."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.tables import stray_texts


@dataclass(frozen=True, slots=True)
class StrayText:
    """What somebody wrote to our number whom we do not know. `number` and `text` are personal data."""

    id: str
    channel: str
    number: str
    text: str
    stops: bool
    received_at: datetime


_COLUMNS: Final = [stray_texts.c[name] for name in StrayText.__dataclass_fields__]


async def keep_stray(connection: AsyncConnection, one: StrayText) -> None:
    """Keep a text once, however often its provider tells it."""
    values = {name: getattr(one, name) for name in StrayText.__dataclass_fields__}
    await connection.execute(insert(stray_texts).values(values).on_conflict_do_nothing())


async def newest_strays(connection: AsyncConnection, limit: int) -> Sequence[StrayText]:
    """The newest of them, the newest first."""
    newest = select(*_COLUMNS).order_by(stray_texts.c.received_at.desc(), stray_texts.c.id).limit(limit)
    return [StrayText(*row) for row in await connection.execute(newest)]


FORGET: Final = text(
    "DELETE FROM stray_texts WHERE id IN ("
    "SELECT id FROM stray_texts WHERE received_at < :before ORDER BY received_at LIMIT :limit)"
)
