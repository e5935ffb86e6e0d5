"""Answers that are half written: the table `task_drafts`. A person has one of each task."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, delete, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.tables import task_drafts
from workflows.json_object import JsonObject


@dataclass(frozen=True, slots=True)
class Draft:
    """What somebody typed, as they typed it, and which version of the task they saw."""

    fields: JsonObject
    task_version: int
    saved_at: datetime


async def save_draft(
    connection: AsyncConnection,
    whose: tuple[str, str, str],
    player_id: str,
    fields: Mapping[str, object],
    task_version: int,
    now: datetime,
) -> Draft:
    """Keep what a person typed, in place of what they typed before; `whose` is brand, task and person."""
    brand, task_id, person = whose
    values = {"fields": dict(fields), "task_version": task_version, "saved_at": now}
    saving = insert(task_drafts).values(brand=brand, task_id=task_id, person=person, player_id=player_id, **values)
    # Of two tabs that save at once the later moment stays.
    await connection.execute(
        saving.on_conflict_do_update(
            index_elements=["brand", "task_id", "person"], set_=values, where=task_drafts.c.saved_at <= now
        )
    )
    return Draft(dict(fields), task_version, now)


async def find_draft(connection: AsyncConnection, whose: tuple[str, str, str]) -> Draft | None:
    """What a person typed; None where they typed nothing, or sent it."""
    columns = (task_drafts.c.fields, task_drafts.c.task_version, task_drafts.c.saved_at)
    row = (await connection.execute(select(*columns).where(*_of(whose)))).one_or_none()
    return None if row is None else Draft(*row)


async def forget_draft(connection: AsyncConnection, whose: tuple[str, str, str]) -> None:
    """Throw away what a person typed: it was sent, or they want none of it."""
    await connection.execute(delete(task_drafts).where(*_of(whose)))


def _of(whose: tuple[str, str, str]) -> tuple[ColumnElement[bool], ...]:
    brand, task_id, person = whose
    return (task_drafts.c.brand == brand, task_drafts.c.task_id == task_id, task_drafts.c.person == person)


FORGET: Final = text(
    "DELETE FROM task_drafts WHERE (brand, task_id, person) IN ("
    "SELECT brand, task_id, person FROM task_drafts WHERE saved_at < :before ORDER BY saved_at LIMIT :limit)"
)
ERASE: Final = text(
    "DELETE FROM task_drafts WHERE (brand, task_id, person) IN ("
    "SELECT brand, task_id, person FROM task_drafts "
    "WHERE brand = :brand AND player_id = :player AND saved_at <= :before LIMIT :limit)"
)
#: The same of tasks about two accounts, for the one whose task it is not.
ERASE_OF_OTHER: Final = text(
    "DELETE FROM task_drafts WHERE (brand, task_id, person) IN ("
    "SELECT d.brand, d.task_id, d.person FROM task_drafts d JOIN tasks t ON t.id = d.task_id "
    "WHERE t.brand = :brand AND t.form = 'DoubleAccount' AND t.snapshot ->> 'other_id' = :player "
    "AND d.saved_at <= :before LIMIT :limit)"
)
