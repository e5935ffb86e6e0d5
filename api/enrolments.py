"""Enrolments of many players into a journey: preview, create, watch, pause, resume, cancel."""

import hashlib
import logging
import secrets
from datetime import datetime, timedelta
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from temporalio.service import RPCError

from activities.bulk_jobs import Job, JobAction, apply_action, read_job, wake_job
from activities.loops.bulk_work import ROOM
from activities.loops.enrolment import ENTERED, KIND, Forecast, delete_members, enrol, forecast
from activities.tables import jobs
from api.auth import Key, needs
from api.dependencies import ApiEngine, EngineOf
from api.json_types import Line
from api.pagination import Filter, Page, PageQuery, where_given
from api.problems import COMMON, Problem, documented, missing, undeclared
from api.runs import IdempotencyKey, manual_start_refusal
from workflows.background.bulk_job import ENROL
from workflows.declaration import Journey
from workflows.json_object import JsonObject

router = APIRouter(prefix="/v1/enrolments", tags=["enrolments"])
logger = logging.getLogger(__name__)

Managing = Annotated[Key, needs("journeys:manage")]
State = Literal["running", "paused", "done", "cancelled", "failed"]

#: Players a second, when nobody says how many.
RATE: Final = 50
FASTEST: Final = 5_000
#: How long a caller waits for Temporal; a worker looks for enrolments nobody works on anyway.
WAKE_TIMEOUT: Final = timedelta(seconds=1)


class EnrolmentGroup(BaseModel):
    """Who is to enter what."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"journey": "win_back", "segment": "absent"}]}
    )

    journey: Line
    segment: Line


class Enrolling(EnrolmentGroup):
    """Who is to enter what, and how fast."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"journey": "win_back", "segment": "absent", "per_second": 50}]},
    )

    per_second: Annotated[int, Field(ge=1, le=FASTEST, description="Players a second at most.")] = RATE


class Preview(Forecast):
    """What an enrolment would do now, had all of it happened at once."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "journey": "win_back",
                    "segment": "absent",
                    "members": 100_000,
                    "entering": 88_200,
                    "control": 9_800,
                    "refused": {"in_it": 1_500, "self_excluded": 500},
                    "looked_at": 100_000,
                    "estimate": False,
                }
            ]
        }
    )

    journey: str
    segment: str


class Enrolment(BaseModel):
    """An enrolment and how far it has come. It means the players who were in the segment when it was asked for."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "2f6c1a9be07d4f15",
                    "journey": "win_back",
                    "segment": "absent",
                    "per_second": 50,
                    "state": "running",
                    "held_back": False,
                    "total": 100_000,
                    "done": 40_000,
                    "entered": 35_300,
                    "control": 3_900,
                    "refused": {"in_it": 600, "left_segment": 200},
                    "failure": None,
                    "created_by": "crm",
                    "created_at": "2026-01-15T12:00:00Z",
                    "updated_at": "2026-01-15T12:13:20Z",
                    "ended_at": None,
                }
            ]
        }
    )

    id: str
    journey: str
    segment: str
    per_second: int
    state: State
    held_back: bool = Field(description="Whether it waits until Temporal has taken more of what is under way.")
    total: int = Field(description="Players it means.")
    done: int = Field(description="Players it has come to.")
    entered: int = Field(description="For whom the journey is played.")
    control: int = Field(description="Who entered the control group.")
    refused: dict[str, int] = Field(
        description="For whom nothing is played, by reason. A protected player's entry counts all the same."
    )
    failure: str | None = Field(None, description="Why nobody can go on with it; mend that and resume.")
    created_by: str
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None = None


class EnrolmentQuery(PageQuery):
    """Which enrolments."""

    journey: Filter | None = None
    state: State | None = None


@router.post("/preview", responses={**COMMON, **documented(404, 409)})
async def preview_enrolment(body: EnrolmentGroup, engine: EngineOf, key: Managing) -> Preview:
    """Who would enter now and why not the others. It asks the entry rule about everybody and changes nothing.

    Beyond 100,000 members it asks about 20,000 of them, and `estimate` says so.
    """
    journey = _journey(engine, body)
    async with engine.database.reading() as connection:
        counts = await forecast(connection, key.brand, journey, body.segment, engine.clock())
    return Preview(journey=body.journey, segment=body.segment, **counts.model_dump())


@router.post("", status_code=201, responses={**COMMON, **documented(404, 409), 200: {"model": Enrolment}})
async def create_enrolment(
    body: Enrolling, engine: EngineOf, key: Managing, response: Response, idempotency_key: IdempotencyKey = None
) -> Enrolment:
    """Let everybody who is in the segment now into the journey, a few at a time.

    Who joins the segment later is not enrolled, and who has left it when the turn comes is not either. With an
    `Idempotency-Key` a repetition answers 200 with the enrolment of the first time, however far it has come.
    """
    _journey(engine, body)
    now = engine.clock()
    detail = {"segment": body.segment, "per_second": body.per_second}
    job = Job(
        id=_id(key, idempotency_key),
        brand=key.brand,
        kind=KIND,
        subject=body.journey,
        detail=detail,
        created_by=key.name,
        created_at=now,
        updated_at=now,
    )
    async with engine.database.transaction() as connection:
        made = await enrol(connection, job)
        known = made or await read_job(connection, KIND, key.brand, job.id)
    if known is None or (known.subject, {name: known.detail[name] for name in detail}) != (job.subject, detail):
        raise Problem("key-reused", "This key enrolled before, with other words; use a new one for another wish.")
    if made is None:
        response.status_code = 200
    else:
        await _wake(engine, known)
    response.headers["Location"] = f"/v1/enrolments/{known.id}"
    return await _view(engine, known)


@router.get("", responses=COMMON)
async def list_enrolments(
    engine: EngineOf, key: Managing, query: Annotated[EnrolmentQuery, Query()]
) -> Page[Enrolment]:
    """Enrolments, the newest first."""
    chosen = where_given(
        select(jobs).where(jobs.c.brand == key.brand, jobs.c.kind == KIND),
        (jobs.c.subject, query.journey),
        (jobs.c.state, query.state),
    )
    chosen = query.newest_first(chosen, key.brand, jobs.c.created_at, jobs.c.id)
    async with engine.database.reading() as connection:
        rows = (await connection.execute(chosen)).all()
    page, token = query.page(key.brand, rows, lambda row: (row.created_at, row.id))
    return Page(items=[await _view(engine, Job.model_validate(row)) for row in page], next_page_token=token)


@router.get("/{enrolment_id}", responses={**COMMON, **documented(404)})
async def get_enrolment(enrolment_id: str, engine: EngineOf, key: Managing) -> Enrolment:
    """An enrolment and how far it has come."""
    async with engine.database.reading() as connection:
        job = await read_job(connection, KIND, key.brand, enrolment_id)
    if job is None:
        raise missing("enrolment")
    return await _view(engine, job)


@router.post("/{enrolment_id}/pause", responses={**COMMON, **documented(404, 409)})
async def pause_enrolment(enrolment_id: str, engine: EngineOf, key: Managing) -> Enrolment:
    """Let nobody else in until it is resumed. When this is answered, nobody enters any more."""
    return await _act(engine, key, enrolment_id, "pause")


@router.post("/{enrolment_id}/resume", responses={**COMMON, **documented(404, 409)})
async def resume_enrolment(enrolment_id: str, engine: EngineOf, key: Managing) -> Enrolment:
    """Go on with the players whose turn has not come."""
    return await _act(engine, key, enrolment_id, "resume")


@router.post("/{enrolment_id}/cancel", responses={**COMMON, **documented(404, 409)})
async def cancel_enrolment(enrolment_id: str, engine: EngineOf, key: Managing) -> Enrolment:
    """Let nobody else in, ever. Runs that have begun go on; stop them one by one if they must not."""
    return await _act(engine, key, enrolment_id, "cancel")


async def _act(engine: ApiEngine, key: Key, enrolment_id: str, action: JobAction) -> Enrolment:
    async with engine.database.transaction() as connection:
        job = await read_job(connection, KIND, key.brand, enrolment_id, lock=True)
        if job is None:
            raise missing("enrolment")
        after = await apply_action(connection, job, action, engine.clock())
        if after is not None and after.state == "cancelled":
            await delete_members(connection, job.id)
    if after is None:
        raise Problem("enrolment-ended", _too_late(job, action))
    if action == "resume":
        await _wake(engine, after)
    return await _view(engine, after)


def _too_late(job: Job, action: JobAction) -> str:
    if job.state == "failed":
        return "The enrolment has failed and stands still; resume it when its failure is mended, or cancel it."
    return f"The enrolment is {job.state}; there is nothing to {action}. Make a new one to enrol again."


async def _wake(engine: ApiEngine, job: Job) -> None:
    """Have a worker begin at once; while Temporal is away it begins when Temporal is back."""
    try:
        await wake_job(engine.temporal, job.id, ENROL, within=WAKE_TIMEOUT)
    except (RPCError, RuntimeError, TimeoutError) as away:
        logger.warning("Enrolment %s waits until Temporal answers: %s", job.id, away)


def _journey(engine: ApiEngine, body: EnrolmentGroup) -> Journey:
    if body.segment not in engine.intake.rules.segments:
        raise undeclared("segment", body.segment, engine.intake.rules.segments)
    journey = engine.intake.rules.journeys.get(body.journey)
    if journey is None:
        raise undeclared("journey", body.journey, engine.intake.rules.journeys)
    if (why := manual_start_refusal(journey)) is not None:
        raise Problem("entry-refused", why)
    return journey


def _id(key: Key, idempotency_key: str | None) -> str:
    """What the caller's key stands for, in the brand and for the API key's name, or an id that nobody else has."""
    if idempotency_key is None:
        return secrets.token_hex(8)
    return hashlib.sha256(f"{key.brand} {key.name} {idempotency_key}".encode()).hexdigest()[:16]


async def _view(engine: ApiEngine, job: Job) -> Enrolment:
    shown: JsonObject = job.model_dump(
        include={"id", "state", "total", "done", "created_by", "created_at", "updated_at", "ended_at"}
    )
    return Enrolment(
        **shown,
        journey=job.subject,
        segment=job.detail["segment"],
        per_second=job.detail["per_second"],
        failure=job.detail.get("failure"),
        held_back=job.state == "running" and await engine.pressure.backlog() >= engine.pressure.high * ROOM,
        entered=job.counts.get("treated", 0),
        control=job.counts.get("control", 0),
        refused={name: count for name, count in sorted(job.counts.items()) if name not in ENTERED},
    )
