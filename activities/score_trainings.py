"""The table `score_trainings`: when each score was learned last, what became of it, and how the model in use did.

Only this module writes it; of each score of a brand it knows the newest time alone.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Row, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.score_tables import score_trainings
from learning.closed_windows import ClosedWindow, are_off

#: `none` where too few players are there to learn from, `failed` where it broke off.
Became = Literal["champion", "shadow", "none", "failed"]


@dataclass(frozen=True, slots=True)
class Training:
    """The newest time that a score was learned."""

    brand: str
    name: str
    tried_at: datetime
    became: Became
    says: str
    #: The model that came of it.
    version: int | None = None
    #: The model that stayed in use, and how it did on the newest windows that were over, the newest first.
    looked_at: int | None = None
    windows: Sequence[ClosedWindow] = field(default=())

    @property
    def is_off(self) -> bool:
        """Whether the model that stayed in use was off in one window after the other."""
        return are_off(self.windows)


async def note_training(connection: AsyncConnection, training: Training) -> None:
    """Write down that a score was learned, or that this was tried."""
    row = asdict(training) | {"windows": [one.model_dump(mode="json") for one in training.windows]}
    written = insert(score_trainings).values(row)
    anew = {name: written.excluded[name] for name in row if name not in {"brand", "name"}}
    await connection.execute(written.on_conflict_do_update(index_elements=["brand", "name"], set_=anew))


async def list_trainings(connection: AsyncConnection, brand: str) -> dict[str, Training]:
    """The newest time of each score of a brand, by its name."""
    rows = await connection.execute(select(score_trainings).where(score_trainings.c.brand == brand))
    return {row.name: _training(row) for row in rows}


def _training(row: Row[Any]) -> Training:
    windows = [ClosedWindow.model_validate(one) for one in row.windows]
    return Training(**row._asdict() | {"windows": windows})
