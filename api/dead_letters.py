"""Deliveries Temporal refused for good: looked at by people and, once the cause is gone, tried again."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from activities.run_delivery import dead_letters as letters
from activities.tables import dead_letters
from api.dependencies import EngineOf
from api.pagination import Filter, Page, PageQuery
from api.permissions import Key, needs
from api.problems import COMMON, documented, missing
from api.written_numbers import written_number

router = APIRouter(prefix="/v1/dead-letters", tags=["dead letters"])

#: Letters one call tries again: each holds its player's row until all are written.
AT_ONCE = 500

Managing = Annotated[Key, needs("journeys:manage")]


class DeadLetter(BaseModel):
    """Something a run never heard. What it says is left out; ids and the reason are enough to act on."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "id": 17,
                    "run_id": "welcome:acme:p-1001:6f1c0a93be27",
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


class DeadLettersChosen(BaseModel):
    """Which dead letters to try again; without anything, all of them."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"reason": "No journey welcome is deployed here; deploy it again and retry."}]},
    )

    run: Filter | None = None
    reason: Filter | None = Field(None, description="The whole reason, as the list shows it.")


class DeadLettersRetried(BaseModel):
    """How many were tried again by this call, and how many are left to try."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"retried": 500, "left": 1200}]})

    retried: int
    left: int


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
    number = written_number(letter_id)
    async with engine.pools.ordinary.patient_transaction() as connection:
        letter = None if number is None else await letters.lock_one(connection, key.brand, number)
        if letter is None:
            raise missing("dead letter")
        if letter.retried_at is not None:
            response.status_code = 200
            return DeadLetter.model_validate(letter)
        (retried,) = await letters.retry(connection, engine.intake, [letter], engine.clock())
        return DeadLetter.model_validate(retried)


@router.post("/retry", status_code=202, responses=COMMON)
async def retry_dead_letters(
    engine: EngineOf, key: Managing, given: DeadLettersChosen | None = None
) -> DeadLettersRetried:
    """Deliver again what was never tried again, the oldest first, a few hundred in one call.

    Call it again until `left` is 0. Each letter is tried once, however often and from wherever this is called.
    """
    chosen = given or DeadLettersChosen()
    async with engine.pools.ordinary.patient_transaction() as connection:
        oldest = await letters.lock_untried(connection, key.brand, AT_ONCE, run=chosen.run, reason=chosen.reason)
        retried = await letters.retry(connection, engine.intake, oldest, engine.clock())
        left = await letters.count_untried(connection, key.brand, run=chosen.run, reason=chosen.reason)
    return DeadLettersRetried(retried=len(retried), left=left)
