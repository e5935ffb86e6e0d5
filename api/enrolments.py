"""Enrolments of many players into a journey: preview and create; the rest is as with every bulk job."""

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.bulk_jobs import Job
from activities.loops.bulk_work import FAILED
from activities.loops.enrolment import ENTERED, KIND, Forecast, delete_members, enrol, forecast
from api.bulk_jobs import RATE, Deciding, JobProgress, JobRoutes, Managing, PerSecond
from api.dependencies import ApiEngine, EngineOf
from api.json_types import Line
from api.problems import COMMON, Problem, documented, undeclared
from api.runs import IdempotencyKey, manual_start_refusal
from workflows.declaration import Journey
from workflows.json_object import JsonObject

router = APIRouter(prefix="/v1/enrolments", tags=["enrolments"])


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

    per_second: PerSecond = RATE


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


class Enrolment(JobProgress):
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
                    "created_by": "crm",
                    "created_at": "2026-01-15T12:00:00Z",
                    "updated_at": "2026-01-15T12:13:20Z",
                    "ended_at": None,
                }
            ]
        }
    )

    segment: str
    entered: int = Field(description="For whom the journey is played.")
    control: int = Field(description="Who entered the control group, which gets no offers.")
    refused: dict[str, int] = Field(
        description="For whom nothing is played, by reason. A protected player's entry counts all the same."
    )


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
    body: Enrolling, engine: EngineOf, actor: Deciding, response: Response, idempotency_key: IdempotencyKey = None
) -> Enrolment:
    """Let everybody who is in the segment now into the journey, a few at a time.

    Who joins the segment later is not enrolled, and who has left it when the turn comes is not either. With an
    `Idempotency-Key` a repetition answers 200 with the enrolment of the first time, however far it has come.
    """
    _journey(engine, body)
    detail: JsonObject = {"segment": body.segment, "per_second": body.per_second}
    job = ENROLMENTS.job(actor, body.journey, detail, engine.clock(), idempotency_key)
    return await ENROLMENTS.begin(engine, job, response, enrol)


def _journey(engine: ApiEngine, body: EnrolmentGroup) -> Journey:
    if body.segment not in engine.intake.rules.segments:
        raise undeclared("segment", body.segment, engine.intake.rules.segments)
    journey = engine.intake.rules.journeys.get(body.journey)
    if journey is None:
        raise undeclared("journey", body.journey, engine.intake.rules.journeys)
    if (why := manual_start_refusal(journey)) is not None:
        raise Problem("entry-refused", why)
    return journey


def _view(job: Job, common: JsonObject) -> Enrolment:
    return Enrolment(
        **common,
        segment=job.detail["segment"],
        entered=job.counts.get("treated", 0),
        control=job.counts.get("control", 0),
        refused={name: count for name, count in sorted(job.counts.items()) if name not in {*ENTERED, FAILED}},
    )


async def _forget(connection: AsyncConnection, job: Job) -> None:
    await delete_members(connection, job.id)


ENROLMENTS = JobRoutes(
    kind=KIND,
    noun="enrolment",
    model=Enrolment,
    view=_view,
    words={
        "list": "Enrolments, the newest first.",
        "get": "An enrolment and how far it has come.",
        "pause": "Let nobody else in until it is resumed. When this is answered, nobody enters any more.",
        "resume": "Go on with the players whose turn has not come.",
        "cancel": "Let nobody else in, ever. Runs that have begun go on; stop them one by one if they must not.",
    },
    cancelled=_forget,
    # So long were they before all jobs had one way of making them, and a key is the same wish for good.
    id_length=16,
)
ENROLMENTS.add_to(router)
