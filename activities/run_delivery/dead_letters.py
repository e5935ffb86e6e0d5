"""The table `dead_letters`: deliveries Temporal refused for good, and how they are tried again.

Only this module writes it.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import bindparam, func, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Integer

from activities.intake.intake import Intake
from activities.run_delivery.deliveries import DeliveryRow, deliver_again, priority_of
from activities.runs import origins_of
from activities.tables import dead_letters
from workflows.json_object import JsonObject


class DeadLetterRow(NamedTuple):
    """A row of `dead_letters`; `seq` is the delivery's number within its run."""

    id: int
    run_id: str
    seq: int
    brand: str
    kind: str
    payload: JsonObject
    reason: str
    at: datetime
    retried_at: datetime | None


async def bury(connection: AsyncConnection, run_id: str, seqs: Sequence[int], reason: str) -> None:
    """Write down that these deliveries of a run were refused for good. They still stand among the deliveries."""
    await connection.execute(_BURY, {"run": run_id, "seqs": seqs, "reason": reason})


async def lock_one(connection: AsyncConnection, brand: str, letter_id: int) -> DeadLetterRow | None:
    """A brand's dead letter, locked until the transaction ends; None if it has none of that id."""
    mine = select(dead_letters).where(dead_letters.c.id == letter_id, dead_letters.c.brand == brand)
    row = (await connection.execute(mine.with_for_update())).one_or_none()
    return None if row is None else DeadLetterRow(*row)


async def lock_untried(
    connection: AsyncConnection, brand: str, limit: int, *, run: str | None, reason: str | None
) -> list[DeadLetterRow]:
    """A brand's oldest dead letters that were never tried again, locked; of one run or reason where that is named."""
    oldest = select(dead_letters).where(_untried(brand, run, reason)).order_by(dead_letters.c.id).limit(limit)
    return [DeadLetterRow(*row) for row in await connection.execute(oldest.with_for_update())]


async def count_untried(connection: AsyncConnection, brand: str, *, run: str | None, reason: str | None) -> int:
    """How many `lock_untried` could still find."""
    counted = select(func.count()).select_from(dead_letters).where(_untried(brand, run, reason))
    return (await connection.scalar(counted)) or 0


async def has_untried_start(connection: AsyncConnection, run_id: str) -> bool:
    """Whether the beginning of a run was refused, and a person has yet to try it again."""
    untried = (dead_letters.c.run_id == run_id, dead_letters.c.kind == "start", dead_letters.c.retried_at.is_(None))
    return (await connection.execute(select(dead_letters.c.id).where(*untried).limit(1))).first() is not None


async def retry(
    connection: AsyncConnection, intake: Intake, letters: Sequence[DeadLetterRow], now: datetime
) -> list[DeadLetterRow]:
    """Deliver locked letters of one brand again, in their order, and mark them; the letters as they are then.

    A start keeps its number. The others get new ones: under an old one the run would drop it, having heard later ones.
    """
    if not letters:
        return []
    brand = letters[0].brand
    origins = await origins_of(connection, {letter.run_id for letter in letters})
    rows = []
    async with intake.locked(connection, brand, {origin.player_id for origin in origins.values()}, now) as players:
        for letter in letters:
            origin = origins.get(letter.run_id)
            state = None if origin is None else players.states.get(origin.player_id)
            seq = None if state is None or letter.kind == "start" else state.next_seq(letter.run_id)
            priority = priority_of(letter.kind, letter.payload, origin and origin.cause)
            number = letter.seq if seq is None else seq
            rows.append(DeliveryRow(letter.run_id, number, letter.kind, letter.payload, priority))
    await deliver_again(connection, brand, rows, now)
    return await _mark_retried(connection, {letter.id for letter in letters}, now)


async def _mark_retried(connection: AsyncConnection, ids: Collection[int], now: datetime) -> list[DeadLetterRow]:
    marked = await connection.execute(
        update(dead_letters).where(dead_letters.c.id.in_(ids)).values(retried_at=now).returning(dead_letters)
    )
    return [DeadLetterRow(*row) for row in marked]


def _untried(brand: str, run: str | None, reason: str | None) -> Any:
    chosen = (dead_letters.c.brand == brand) & dead_letters.c.retried_at.is_(None)
    if run is not None:
        chosen &= dead_letters.c.run_id == run
    if reason is not None:
        chosen &= dead_letters.c.reason == reason
    return chosen


_BURY = text(
    """
    INSERT INTO dead_letters (run_id, seq, brand, kind, payload, reason)
    SELECT run_id, seq, brand, kind, payload, :reason FROM deliveries
    WHERE run_id = :run AND seq = ANY(:seqs)
    """
).bindparams(bindparam("seqs", type_=ARRAY(Integer)))

FORGET = text(
    "DELETE FROM dead_letters"
    " WHERE id = ANY(ARRAY(SELECT id FROM dead_letters WHERE retried_at < :before LIMIT :limit))"
)
#: Erases up to `:limit` letters to runs that a player entered before `:before`.
ERASE = text(
    """
    DELETE FROM dead_letters WHERE id = ANY(ARRAY(
        SELECT d.id FROM dead_letters d JOIN runs r ON r.id = d.run_id
        WHERE r.brand = :brand AND r.player_id = :player AND r.entered_at <= :before LIMIT :limit))
    """
)
