"""Journeys closed, held, resumed and stopped by people; and the stops under way."""

import hashlib
import logging
import secrets
from datetime import datetime, timedelta
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio.service import RPCError

from activities import bulk_jobs
from activities.bulk_jobs import Job, JobAction, apply_action, read_job, wake_job
from activities.journey_controls import (
    ControlAction,
    ControlChange,
    apply_control,
    controls_of,
    count_held,
    find_change,
    history_of,
)
from activities.loops.bulk_work import ROOM
from activities.loops.journey_jobs import (
    RESUME,
    STOP,
    JourneyJobs,
    StopForecast,
    begin_resume,
    begin_stop,
    forecast_stop,
)
from activities.tables import jobs, runs
from api.auth import Actor, Key, acts, needs
from api.dependencies import ApiEngine, EngineOf
from api.json_types import Prose
from api.pagination import Filter, Page, PageQuery, where_given
from api.problems import COMMON, Problem, documented, missing, undeclared
from api.runs import IdempotencyKey
from workflows.json_object import JsonObject

router = APIRouter(prefix="/v1/journeys", tags=["journeys"])
stops = APIRouter(prefix="/v1/stops", tags=["stops"])
logger = logging.getLogger(__name__)

Reading = Annotated[Key, needs("journeys:manage", "players:read")]
Managing = Annotated[Key, needs("journeys:manage")]
Deciding = Annotated[Actor, acts("journeys:manage")]
StopState = Literal["running", "paused", "done", "cancelled", "failed"]
PerSecond = Annotated[int, Field(ge=1, le=5_000, description="Runs a second at most.")]

#: Runs a second, when nobody says how many.
STOP_RATE: Final = 50
RESUME_RATE: Final = 200
#: Lines of the history that are shown.
CHANGES: Final = 50
#: How long a caller waits for Temporal; a worker looks for jobs nobody works on anyway.
WAKE_TIMEOUT: Final = timedelta(seconds=1)


class ControlReason(BaseModel):
    """Why somebody decides so. It stands in the history and never leaves Postgres."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "The offer was wrong."}]})

    reason: Prose


class Resuming(ControlReason):
    """Why the hold ends, and how fast the runs go on."""

    per_second: PerSecond = RESUME_RATE


class Stopping(ControlReason):
    """Why the runs end, and how fast."""

    per_second: PerSecond = STOP_RATE


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


class StopPreview(StopForecast):
    """What a stop would end, had all of it happened at once."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"journey": "welcome", "treated": 1_204, "control": 130, "held": 0, "open_tasks": 12}]
        }
    )

    journey: str


class StopView(BaseModel):
    """A stop and how far it has come. It means the runs that were under way when it was asked for."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "2f6c1a9be07d4f15",
                    "journey": "welcome",
                    "reason": "The offer was wrong.",
                    "per_second": 50,
                    "state": "running",
                    "held_back": False,
                    "total": 1_334,
                    "done": 500,
                    "stopped": 498,
                    "left": 2,
                    "created_by": "olena@example.com",
                    "created_at": "2026-01-15T12:00:00Z",
                    "updated_at": "2026-01-15T12:00:10Z",
                    "ended_at": None,
                }
            ]
        }
    )

    id: str
    journey: str
    reason: str
    per_second: int
    state: StopState
    held_back: bool = Field(description="Whether it waits until Temporal has taken more of what is under way.")
    total: int = Field(description="Runs it means.")
    done: int = Field(description="Runs it has come to.")
    stopped: int = Field(description="Runs that were told to end; each ends at its next step.")
    left: int = Field(description="Runs that had ended or were told already.")
    created_by: str
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None = None


class StopQuery(PageQuery):
    """Which stops."""

    journey: Filter | None = None
    state: StopState | None = None


# ---- closed and held ----------------------------------------------------------------------------


@router.get("/{name}/controls", responses={**COMMON, **documented(404)})
async def get_controls(name: str, engine: EngineOf, key: Reading) -> ControlsView:
    """Whether the journey is closed or held, since when, by whom and why."""
    async with engine.database.reading() as connection:
        await _known(engine, connection, key.brand, name)
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
    now, request = engine.clock(), _request(actor, idempotency_key)
    change = ControlChange(action, actor.name, body.reason, now)
    waking: Job | None = None
    async with engine.database.transaction() as connection:
        await _known(engine, connection, actor.brand, name)
        before = await controls_of(connection, actor.brand, name, lock=True)
        if not await _repeats(connection, actor, request, name, change):
            await apply_control(connection, actor.brand, name, change, request)
            if action == "hold":
                resuming = await bulk_jobs.running(connection, actor.brand, RESUME, name)
                await bulk_jobs.cancel(connection, resuming, now)
            elif action == "resume" and before.held:
                waking = await begin_resume(connection, _job(actor, RESUME, name, {"per_second": per_second}, now))
    if waking is not None:
        await _wake(engine, waking)
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


# ---- stops --------------------------------------------------------------------------------------


@router.post("/{name}/stop/preview", responses={**COMMON, **documented(404)})
async def preview_stop(name: str, engine: EngineOf, key: Managing) -> StopPreview:
    """What a stop would end now. It changes nothing."""
    async with engine.database.reading() as connection:
        await _known(engine, connection, key.brand, name)
        counts = await forecast_stop(connection, key.brand, name)
    return StopPreview(journey=name, **counts.model_dump())


@router.post("/{name}/stop", status_code=201, responses={**COMMON, **documented(404), 200: {"model": StopView}})
async def stop_journey(
    name: str,
    body: Stopping,
    engine: EngineOf,
    actor: Deciding,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> StopView:
    """Close the journey and end every run that is under way now, a few at a time.

    Each run is told to end and does so at its next step; its open tasks are closed. With an `Idempotency-Key` a
    repetition answers 200 with the stop of the first time, however far it has come.
    """
    now, request = engine.clock(), _request(actor, idempotency_key)
    detail = {"reason": body.reason, "per_second": body.per_second}
    job = _job(actor, STOP, name, detail, now, request)
    async with engine.database.transaction() as connection:
        await _known(engine, connection, actor.brand, name)
        made = await begin_stop(connection, job)
        known = made or await read_job(connection, STOP, actor.brand, job.id)
        if made is not None:
            change = ControlChange("stop", actor.name, body.reason, now, job.id)
            await apply_control(connection, actor.brand, name, change, request)
    if known is None or (known.subject, {field: known.detail[field] for field in detail}) != (name, detail):
        raise Problem("key-reused", "This key stopped something else before; use a new one for another stop.")
    if made is None:
        response.status_code = 200
    else:
        await _wake(engine, made)
    response.headers["Location"] = f"/v1/stops/{known.id}"
    return await _stop_view(engine, known)


@stops.get("", responses=COMMON)
async def list_stops(engine: EngineOf, key: Managing, query: Annotated[StopQuery, Query()]) -> Page[StopView]:
    """Stops, the newest first."""
    chosen = where_given(
        select(jobs).where(jobs.c.brand == key.brand, jobs.c.kind == STOP),
        (jobs.c.subject, query.journey),
        (jobs.c.state, query.state),
    )
    chosen = query.newest_first(chosen, key.brand, jobs.c.created_at, jobs.c.id)
    async with engine.database.reading() as connection:
        rows = (await connection.execute(chosen)).all()
    page, token = query.page(key.brand, rows, lambda row: (row.created_at, row.id))
    return Page(items=[await _stop_view(engine, Job.model_validate(row)) for row in page], next_page_token=token)


@stops.get("/{stop_id}", responses={**COMMON, **documented(404)})
async def get_stop(stop_id: str, engine: EngineOf, key: Managing) -> StopView:
    """A stop and how far it has come."""
    async with engine.database.reading() as connection:
        job = await read_job(connection, STOP, key.brand, stop_id)
    if job is None:
        raise missing("stop")
    return await _stop_view(engine, job)


@stops.post("/{stop_id}/pause", responses={**COMMON, **documented(404, 409)})
async def pause_stop(stop_id: str, engine: EngineOf, key: Managing) -> StopView:
    """End no further run until it is resumed."""
    return await _act(engine, key, stop_id, "pause")


@stops.post("/{stop_id}/resume", responses={**COMMON, **documented(404, 409)})
async def resume_stop(stop_id: str, engine: EngineOf, key: Managing) -> StopView:
    """Go on with the runs whose turn has not come."""
    return await _act(engine, key, stop_id, "resume")


@stops.post("/{stop_id}/cancel", responses={**COMMON, **documented(404, 409)})
async def cancel_stop(stop_id: str, engine: EngineOf, key: Managing) -> StopView:
    """End no further run, ever. Those that were told end; the journey stays closed until somebody opens it."""
    return await _act(engine, key, stop_id, "cancel")


async def _act(engine: ApiEngine, key: Key, stop_id: str, action: JobAction) -> StopView:
    async with engine.database.transaction() as connection:
        job = await read_job(connection, STOP, key.brand, stop_id, lock=True)
        if job is None:
            raise missing("stop")
        after = await apply_action(connection, job, action, engine.clock())
    if after is None:
        raise Problem("stop-ended", f"The stop is {job.state}; there is nothing to {action}.")
    if action == "resume":
        await _wake(engine, after)
    return await _stop_view(engine, after)


# ---- what they share ----------------------------------------------------------------------------


async def _known(engine: ApiEngine, connection: AsyncConnection, brand: str, name: str) -> None:
    """Raise `Problem` 404 unless the journey is deployed or has runs, as one that is deployed no more may have."""
    if name in engine.registry.journeys:
        return
    ever = select(runs.c.id).where(runs.c.brand == brand, runs.c.journey == name).limit(1)
    if (await connection.execute(ever)).one_or_none() is None:
        raise undeclared("journey", name, engine.registry.journeys)


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


def _request(actor: Actor, idempotency_key: str | None) -> str | None:
    """What the caller's key stands for, in the brand and for whoever acts."""
    if idempotency_key is None:
        return None
    return hashlib.sha256(f"{actor.brand} {actor.name} {idempotency_key}".encode()).hexdigest()[:32]


def _job(actor: Actor, kind: str, journey: str, detail: JsonObject, now: datetime, request: str | None = None) -> Job:
    return Job(
        id=request or secrets.token_hex(8),
        brand=actor.brand,
        kind=kind,
        subject=journey,
        detail=detail,
        created_by=actor.name,
        created_at=now,
        updated_at=now,
    )


async def _wake(engine: ApiEngine, job: Job) -> None:
    """Have a worker begin at once; while Temporal is away it begins when Temporal is back."""
    try:
        await wake_job(engine.temporal, job.id, JourneyJobs.ACTIVITIES[job.kind], within=WAKE_TIMEOUT)
    except (RPCError, RuntimeError, TimeoutError) as away:
        logger.warning("The %s of %s waits until Temporal answers: %s", job.kind, job.subject, away)


async def _stop_view(engine: ApiEngine, job: Job) -> StopView:
    shown: JsonObject = job.model_dump(
        include={"id", "state", "total", "done", "created_by", "created_at", "updated_at", "ended_at"}
    )
    return StopView(
        **shown,
        journey=job.subject,
        reason=job.detail["reason"],
        per_second=job.detail["per_second"],
        held_back=job.state == "running" and await engine.pressure.backlog() >= engine.pressure.high * ROOM,
        stopped=job.counts.get("stopped", 0),
        left=job.counts.get("left", 0),
    )
