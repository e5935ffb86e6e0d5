"""The table `score_models`: what was learned, from what, what it was worth, and which model scores players now.

Only this module writes it. A model is JSON of plain numbers, read by pure code; none is ever unpickled.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.score_tables import score_models
from workflows.json_object import JsonObject

#: `champion` scores players; a `shadow` was not good enough, or is not better; a `retired` one did before another.
ModelState = Literal["champion", "shadow", "retired"]


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A row of `score_models`."""

    brand: str
    name: str
    version: int
    state: ModelState
    artifact: JsonObject
    why: str
    learned_at: datetime
    drift: dict[str, float]
    scored_at: datetime | None


async def champion(connection: AsyncConnection, brand: str, name: str) -> ModelRow | None:
    """The model that scores players now; None while none is good enough."""
    mine = (score_models.c.brand == brand, score_models.c.name == name, score_models.c.state == "champion")
    row = (await connection.execute(select(score_models).where(*mine))).one_or_none()
    return None if row is None else ModelRow(*row)


async def list_models(connection: AsyncConnection, brand: str) -> list[ModelRow]:
    """Every model of a brand, the newest first."""
    table = score_models.c
    chosen = select(score_models).where(table.brand == brand).order_by(table.name, table.version.desc())
    return [ModelRow(*row) for row in await connection.execute(chosen)]


async def keep_model(
    connection: AsyncConnection, brand: str, name: str, artifact: JsonObject, state: ModelState, why: str, now: datetime
) -> int:
    """Keep what was learned as the next version; a new champion retires the one before. The version."""
    table = score_models.c
    mine = (table.brand == brand, table.name == name)
    await connection.execute(_LOCK, {"key": f"score_models:{brand}:{name}"})
    newest = await connection.scalar(select(func.max(table.version)).where(*mine))
    version = (newest or 0) + 1
    if state == "champion":
        await connection.execute(update(score_models).where(*mine, table.state == "champion").values(state="retired"))
    row: dict[str, Any] = {"brand": brand, "name": name, "version": version, "state": state, "artifact": artifact}
    await connection.execute(insert(score_models).values(**row, why=why, learned_at=now))
    return version


async def note_scored(connection: AsyncConnection, model: ModelRow, drift: dict[str, float], now: datetime) -> None:
    """Write down that a model has scored the players of a night, and how far they are from those it was judged on."""
    table = score_models.c
    mine = (table.brand == model.brand, table.name == model.name, table.version == model.version)
    await connection.execute(update(score_models).where(*mine).values(drift=drift, scored_at=now))


async def retire(connection: AsyncConnection, model: ModelRow, why: str) -> None:
    """Score nobody by a model any more."""
    table = score_models.c
    mine = (table.brand == model.brand, table.name == model.name, table.version == model.version)
    await connection.execute(update(score_models).where(*mine).values(state="retired", why=why))


_LOCK: Final = text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))")
