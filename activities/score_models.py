"""The table `score_models`: what was learned, from what, what it was worth, and which model scores players now.

Only this module writes it. A model is JSON of plain numbers, read by pure code; none is ever unpickled.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.score_tables import score_models
from learning.score_kinds import ScoreKind
from learning.scored import ScoreModel
from workflows.json_object import JsonObject

#: Where a model's row has what amounts of each currency were multiplied by.
YARDSTICKS: Final = "yardsticks"
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


async def champions(connection: AsyncConnection, brand: str) -> dict[str, ModelRow]:
    """The models that score a brand's players now, by the name of the score."""
    mine = (score_models.c.brand == brand, score_models.c.state == "champion")
    rows = [ModelRow(*row) for row in await connection.execute(select(score_models).where(*mine))]
    return {one.name: one for one in rows}


async def newest_learned_at(connection: AsyncConnection, brand: str, name: str) -> datetime | None:
    """When the newest model was learned, whatever became of it; None where there is none.

    It is asked every night of every score, and reads no model: boosted trees are some hundred kilobytes.
    """
    table = score_models.c
    mine = (table.brand == brand, table.name == name)
    return await connection.scalar(select(table.learned_at).where(*mine).order_by(table.version.desc()).limit(1))


class ModelVersion(NamedTuple):
    """What became of a model, without the model."""

    name: str
    version: int
    state: ModelState
    why: str
    learned_at: datetime
    scored_at: datetime | None


async def newest_versions(connection: AsyncConnection, brand: str, most: int) -> list[ModelVersion]:
    """Of each score what became of so many models, the newest first; the models themselves are not read."""
    return [ModelVersion(*row) for row in await connection.execute(_VERSIONS, {"brand": brand, "most": most})]


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


def read_model(kind: ScoreKind, row: ModelRow) -> ScoreModel | None:
    """The model of a row; None for one that another release wrote and this one cannot read, as while one rolls."""
    try:
        return kind.read({key: value for key, value in row.artifact.items() if key != YARDSTICKS})
    except ValueError:
        return None


_VERSIONS: Final = text(
    """
    SELECT name, version, state, why, learned_at, scored_at FROM (
        SELECT name, version, state, why, learned_at, scored_at,
               row_number() OVER (PARTITION BY name ORDER BY version DESC) AS place
        FROM score_models WHERE brand = :brand
    ) every WHERE place <= :most ORDER BY name, version DESC
    """
)
_LOCK: Final = text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))")
