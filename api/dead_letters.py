"""Deliveries Temporal refused for good: looked at by people and, once the cause is gone, tried again."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.intake import CHANNEL, NORMAL, PROTECTION
from activities.tables import dead_letters, deliveries, runs
from api.auth import Key, needs
from api.engine import Engine, EngineOf
from api.pages import Filter, Page, PageQuery
from api.problems import COMMON, documented, missing

router = APIRouter(prefix="/v1/dead-letters", tags=["dead letters"])

Managing = Annotated[Key, needs("journeys:manage")]


class DeadLetter(BaseModel):
    """Something a run never heard. What it says is left out; ids and the reason are enough to act on."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "id": 17,
                    "run_id": "welcome:acme:p-1001:1",
                    "seq": 0,
                    "kind": "start",
                    "reason": "No journey welcome is deployed here; deploy it again and retry.",
                    "at": "2026-01-15T12:00:00Z",
                }
            ]
        },
    )

    id: int
    run_id: str
    seq: int = Field(description="The delivery's number within its run.")
    kind: str
    reason: str = Field(description="Why, and what to do before it is tried again.")
    at: datetime
    retried_at: datetime | None = None


class DeadLetterQuery(PageQuery):
    """Which dead letters."""

    run: Filter | None = None
    retried: bool | None = None


@router.get("", responses=COMMON)
async def list_dead_letters(
    engine: EngineOf, key: Managing, query: Annotated[DeadLetterQuery, Query()]
) -> Page[DeadLetter]:
    """What Temporal refused, the newest first."""
    chosen = select(dead_letters).where(dead_letters.c.brand == key.brand)
    if query.run is not None:
        chosen = chosen.where(dead_letters.c.run_id == query.run)
    if query.retried is not None:
        chosen = chosen.where(dead_letters.c.retried_at.is_not(None) == query.retried)
    after = query.after(key.brand, int)
    if after is not None:
        chosen = chosen.where(dead_letters.c.id < after[0])
    async with engine.database.reading() as connection:
        rows = (await connection.execute(chosen.order_by(dead_letters.c.id.desc()).limit(query.size + 1))).all()
    kept, token = query.page(key.brand, rows, lambda row: (row.id,))
    return Page(items=[DeadLetter.model_validate(row) for row in kept], next_page_token=token)


@router.post("/{letter_id}/retry", status_code=202, responses={**COMMON, **documented(404), 200: {"model": DeadLetter}})
async def retry_dead_letter(letter_id: str, engine: EngineOf, key: Managing, response: Response) -> DeadLetter:
    """Deliver it again. If it is refused again, it comes back as a new dead letter.

    It is told to the run after everything the run has heard meanwhile. A letter is tried once: repeating the call
    answers 200.
    """
    number = int(letter_id) if letter_id.isascii() and letter_id.isdecimal() and len(letter_id) < 19 else -1
    ours = (dead_letters.c.id == number) & (dead_letters.c.brand == key.brand)
    async with engine.database.transaction() as connection:
        row = (await connection.execute(select(dead_letters).where(ours).with_for_update())).one_or_none()
        if row is None:
            raise missing("dead letter")
        if row.retried_at is not None:
            response.status_code = 200
            return DeadLetter.model_validate(row)
        now = engine.clock()
        seq = row.seq if row.kind == "start" else await _next_seq(engine, connection, row)
        again = {name: getattr(row, name) for name in ("run_id", "seq", "brand", "kind", "payload")}
        priority = PROTECTION if row.kind == "stop" else NORMAL
        values = {**again, "seq": seq, "priority": priority, "due_at": now, "created_at": now}
        await connection.execute(insert(deliveries).values(values).on_conflict_do_nothing())
        await connection.execute(text("SELECT pg_notify(:channel, '')"), {"channel": CHANNEL})
        marked = await connection.execute(
            update(dead_letters).where(ours).values(retried_at=now).returning(dead_letters)
        )
        return DeadLetter.model_validate(marked.one())


async def _next_seq(engine: Engine, connection: AsyncConnection, letter: Row[Any]) -> int:
    """A new number for the delivery: under its old one the run would drop it, having heard later ones."""
    owner = await connection.execute(select(runs.c.player_id).where(runs.c.id == letter.run_id))
    player_id = owner.scalar_one_or_none()
    if player_id is None:
        return int(letter.seq)
    async with engine.intake.locked(connection, letter.brand, [player_id], engine.clock()) as players:
        state = players.states.get(player_id)
        seq = None if state is None else state.next_seq(letter.run_id)
    return int(letter.seq) if seq is None else seq
