"""The table `steps`: what each run did, step by step, written in the transaction that did it.

Only this module writes it. Line 0 of a step is the outcome of the effect itself; the others are told by the run.
"""

from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.database import insert_rows
from activities.tables import steps
from workflows.effects import EffectInput
from workflows.json_object import JsonObject

#: What an effect comes to that met a hold: nothing yet.
HELD: Final = "held"


_INSERT: Final = insert(steps).on_conflict_do_nothing()


class StepOutcome(NamedTuple):
    """What a step came to."""

    outcome: str
    detail: JsonObject


async def record_steps(
    connection: AsyncConnection,
    request: EffectInput,
    now: datetime,
    outcome: str | None = None,
    detail: JsonObject | None = None,
) -> None:
    """Write the lines that came with an effect, and the effect's own outcome as line 0.

    Writing the same lines again changes nothing, so every attempt of an effect may call it.
    """
    common = {"run_id": request.run_id, "brand": request.brand, "player_id": request.player_id}
    lines = [
        {**common, "step": s.step, "line": s.line, "at": s.at, "outcome": s.outcome, "detail": s.detail}
        for s in request.story
    ]
    if outcome is not None:
        own = {"step": request.step, "line": 0, "at": now, "outcome": outcome, "detail": detail or {}}
        lines.append({**common, **own})
    if lines:
        await insert_rows(connection, _INSERT, lines)


async def recorded_outcome(connection: AsyncConnection, request: EffectInput) -> StepOutcome | None:
    """What an earlier attempt of an effect came to and wrote down, of which Temporal never heard.

    Whoever could come to another answer by now must give that one again; under a lock, or two attempts write two.
    """
    mine = (steps.c.run_id == request.run_id, steps.c.step == request.step, steps.c.line == 0, steps.c.outcome != HELD)
    row = (await connection.execute(select(steps.c.outcome, steps.c.detail).where(*mine))).one_or_none()
    return None if row is None else StepOutcome(*row)


async def has_steps(connection: AsyncConnection, run_id: str) -> bool:
    """Whether a run has done anything that was written down."""
    return (await connection.execute(select(steps.c.step).where(steps.c.run_id == run_id).limit(1))).first() is not None


#: Forgets the steps of up to `:limit` runs that ended before `:before`, those that `runs.FORGET` forgets next.
FORGET: Final = text(
    """
    DELETE FROM steps WHERE run_id = ANY(ARRAY(
        SELECT id FROM runs WHERE state = 'ended' AND ended_at < :before ORDER BY ended_at, id LIMIT :limit))
    """
)
#: Overwrites what up to `:limit` steps of a player say besides what they came to, of runs that are over.
ERASE: Final = text(
    """
    UPDATE steps SET detail = '{}' WHERE ctid = ANY(ARRAY(
        SELECT s.ctid FROM steps s JOIN runs r ON r.id = s.run_id
        WHERE s.brand = :brand AND s.player_id = :player AND s.at <= :before AND s.detail <> '{}'
          AND r.entered_at <= :before AND r.state = 'ended' LIMIT :limit))
    """
)
