"""The story of a run: every step's outcome, kept in the transaction that brought it about."""

from datetime import datetime
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.tables import steps
from workflows.effects import EffectInput


async def tell(
    connection: AsyncConnection,
    given: EffectInput,
    now: datetime,
    outcome: str | None = None,
    detail: dict[str, Any] | None = None,
) -> None:
    """Keep the lines that came with an effect, and the effect's own outcome as line 0.

    Keeping the same lines again changes nothing, so every attempt of an effect may call it.
    """
    common = {"run_id": given.run_id, "brand": given.brand, "player_id": given.player_id}
    lines = [
        {**common, "step": s.step, "line": s.line, "at": s.at, "outcome": s.outcome, "detail": s.detail}
        for s in given.story
    ]
    if outcome is not None:
        own = {"step": given.step, "line": 0, "at": now, "outcome": outcome, "detail": detail or {}}
        lines.append({**common, **own})
    if lines:
        await connection.execute(insert(steps).values(lines).on_conflict_do_nothing())


async def told(connection: AsyncConnection, given: EffectInput) -> Row[Any, Any] | None:
    """The `outcome` and `detail` an earlier attempt of an effect came to and told, of which Temporal never heard.

    Whoever could come to another answer by now must give that one again; under a lock, or two attempts tell two.
    """
    query = select(steps.c.outcome, steps.c.detail)
    mine = (steps.c.run_id == given.run_id, steps.c.step == given.step, steps.c.line == 0)
    return (await connection.execute(query.where(*mine))).one_or_none()
