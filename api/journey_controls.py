"""Journeys closed, held, opened and resumed by people."""

from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities import bulk_jobs
from activities.actors import Actor
from activities.bulk_jobs import Job
from activities.journey_controls import (
    ControlAction,
    ControlChange,
    apply_control,
    controls_of,
    count_held,
    find_change,
    history_of,
)
from activities.loops.journey_jobs import RESUME, begin_resume
from activities.tables import runs
from api.bulk_jobs import Deciding, PerSecond, new_job, request_id, wake
from api.dependencies import ApiEngine, EngineOf
from api.json_types import Prose
from api.permissions import Key, needs
from api.problems import COMMON, Problem, documented, undeclared
from api.runs import IdempotencyKey

router = APIRouter(prefix="/v1/journeys", tags=["journeys"])

Reading = Annotated[Key, needs("journeys:manage", "players:read")]

#: Held runs a second that are told to go on, when nobody says how many.
RESUME_RATE: Final = 200
#: Lines of the history that are shown.
CHANGES: Final = 50


class ControlReason(BaseModel):
    """Why somebody decides so. It stands in the history and never leaves Postgres."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "The offer was wrong."}]})

    reason: Prose


class Resuming(ControlReason):
    """Why the hold ends, and how fast the runs go on."""

    per_second: PerSecond = RESUME_RATE


class ControlChangeView(BaseModel):
    """What somebody decided about a journey."""

    at: datetime
    action: ControlAction
    by: str = Field(examples=["olena@example.com"])
    reason: str
    job_id: str | None = Field(None, description="Of a stop: its id under `/v1/stops`.")


class ControlsView(BaseModel):
    """Whether a journey lets players in and whether its runs go on, in the key's brand, and who decided that."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "journey": "welcome",
                    "closed": True,
                    "held": True,
                    "waiting": 1_204,
                    "changes": [
                        {
                            "at": "2026-01-15T12:00:00Z",
                            "action": "hold",
                            "by": "olena@example.com",
                            "reason": "The offer was wrong.",
                        }
                    ],
                }
            ]
        }
    )

    journey: str
    closed: bool = Field(description="Nobody enters. Runs under way go on.")
    held: bool = Field(description="Runs wait at their next effect.")
    waiting: int = Field(description="Runs that have met a hold and were not told yet that they may go on.")
    changes: list[ControlChangeView] = Field(description="The latest, the newest first.")


# ---- closed and held ----------------------------------------------------------------------------


@router.get("/{name}/controls", responses={**COMMON, **documented(404)})
async def get_controls(name: str, engine: EngineOf, key: Reading) -> ControlsView:
    """Whether the journey is closed or held, since when, by whom and why."""
    async with engine.database.reading() as connection:
        await known_journey(engine, connection, key.brand, name)
        return await _controls(connection, key.brand, name)


@router.post("/{name}/close", responses={**COMMON, **documented(404)})
async def close_journey(
    name: str, body: ControlReason, engine: EngineOf, actor: Deciding, idempotency_key: IdempotencyKey = None
) -> ControlsView:
    """Let nobody enter from now on, however they would. What would have let them in passes by and is not made up for.

    Every process knows within a second. Runs under way go on.
    """
    return await _decide(engine, actor, name, "close", body, idempotency_key)


@router.post("/{name}/open", responses={**COMMON, **documented(404)})
async def open_journey(
    name: str, body: ControlReason, engine: EngineOf, actor: Deciding, idempotency_key: IdempotencyKey = None
) -> ControlsView:
    """Let players enter again."""
    return await _decide(engine, actor, name, "open", body, idempotency_key)


@router.post("/{name}/hold", responses={**COMMON, **documented(404)})
async def hold_journey(
    name: str, body: ControlReason, engine: EngineOf, actor: Deciding, idempotency_key: IdempotencyKey = None
) -> ControlsView:
    """Have every run wait at its next effect: when this is answered, no message, reward or new task begins any more.

    What was handed over to a provider before may still arrive. Messages that protect, tasks that are open, ends and
    stops of runs are not held; players still enter, so close it too if they must not.
    """
    return await _decide(engine, actor, name, "hold", body, idempotency_key)


@router.post("/{name}/resume", responses={**COMMON, **documented(404)})
async def resume_journey(
    name: str, body: Resuming, engine: EngineOf, actor: Deciding, idempotency_key: IdempotencyKey = None
) -> ControlsView:
    """End a hold. Runs that wait are told so a few at a time, the longest waiting first; `waiting` counts down."""
    return await _decide(engine, actor, name, "resume", body, idempotency_key, per_second=body.per_second)


async def _decide(
    engine: ApiEngine,
    actor: Actor,
    name: str,
    action: ControlAction,
    body: ControlReason,
    idempotency_key: str | None,
    *,
    per_second: int = RESUME_RATE,
) -> ControlsView:
    """Carry a decision out once, however often it is sent with its idempotency key."""
    now = engine.clock()
    request = None if idempotency_key is None else request_id(actor, idempotency_key)
    change = ControlChange(action, actor.name, body.reason, now)
    waking: Job | None = None
    async with engine.pools.ordinary.patient_transaction() as connection:
        await known_journey(engine, connection, actor.brand, name)
        before = await controls_of(connection, actor.brand, name, lock=True)
        if not await _repeats(connection, actor, request, name, change):
            await apply_control(connection, actor.brand, name, change, request)
            if action == "hold":
                resuming = await bulk_jobs.running(connection, actor.brand, RESUME, name)
                await bulk_jobs.cancel(connection, resuming, now)
            elif action == "resume" and before.held:
                waking = await begin_resume(connection, new_job(actor, RESUME, name, {"per_second": per_second}, now))
    if waking is not None:
        await wake(engine, waking)
    async with engine.database.reading() as connection:
        return await _controls(connection, actor.brand, name)


async def _repeats(
    connection: AsyncConnection, actor: Actor, request: str | None, name: str, change: ControlChange
) -> bool:
    """Whether this decision was taken with the same idempotency key before. Raises `Problem` for another one's key."""
    known = None if request is None else await find_change(connection, actor.brand, request)
    if known is None:
        return False
    if (known[0], known[1].action, known[1].reason) != (name, change.action, change.reason):
        raise Problem("key-reused", "This key decided something else before; use a new one for another decision.")
    return True


# ---- what they share ----------------------------------------------------------------------------


async def known_journey(engine: ApiEngine, connection: AsyncConnection, brand: str, name: str) -> None:
    """Raise `Problem` 404 unless the journey is deployed or has runs, as one that is deployed no more may have."""
    if name in engine.registry.journeys:
        return
    ever = select(runs.c.id).where(runs.c.brand == brand, runs.c.journey == name).limit(1)
    if (await connection.execute(ever)).one_or_none() is None:
        theirs = [one.name for one in engine.registry.journeys.values() if one.is_for(brand)]
        raise undeclared("journey", name, theirs)


async def _controls(connection: AsyncConnection, brand: str, name: str) -> ControlsView:
    now = await controls_of(connection, brand, name)
    changes = await history_of(connection, brand, name, CHANGES)
    return ControlsView(
        journey=name,
        closed=now.closed,
        held=now.held,
        waiting=await count_held(connection, brand, name),
        changes=[
            ControlChangeView(at=one.at, action=one.action, by=one.actor, reason=one.reason, job_id=one.job_id)
            for one in changes
        ],
    )
