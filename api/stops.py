"""Stops of a journey's runs: preview and begin; the rest is as with every bulk job."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.bulk_jobs import Job
from activities.journey_controls import ControlChange, apply_control, find_change
from activities.loops.journey_jobs import STOP, StopForecast, begin_stop, forecast_stop
from api.bulk_jobs import RATE, Deciding, JobProgress, JobRoutes, Managing, PerSecond, request_id
from api.dependencies import EngineOf
from api.journey_controls import ControlReason, known_journey
from api.problems import COMMON, Problem, documented
from api.runs import IdempotencyKey
from workflows.field_types import Whole
from workflows.json_object import JsonObject

router = APIRouter(prefix="/v1/journeys", tags=["journeys"])
stops = APIRouter(prefix="/v1/stops", tags=["stops"])


ExceptVersion = Annotated[
    int | None,
    Field(
        ge=1,
        le=1_000_000,
        description="Leave runs of this release alone, and the journey open.",
    ),
]


class Stopping(ControlReason):
    """Why the runs end, and how fast."""

    per_second: PerSecond = RATE
    except_version: Annotated[ExceptVersion, Whole] = None


class StopPreview(StopForecast):
    """What a stop would end, had all of it happened at once."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"journey": "welcome", "treated": 1_204, "control": 130, "held": 0, "open_tasks": 12}]
        }
    )

    journey: str


class StopView(JobProgress):
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

    reason: str
    except_version: int | None = Field(None, description="The release whose runs are left alone.")
    stopped: int = Field(description="Runs that were told to end; each ends at its next step.")
    left: int = Field(description="Runs that had ended or were told already.")


@router.post("/{name}/stop/preview", responses={**COMMON, **documented(404)})
async def preview_stop(
    name: str, engine: EngineOf, key: Managing, except_version: Annotated[ExceptVersion, Query()] = None
) -> StopPreview:
    """What a stop would end now. It changes nothing."""
    async with engine.database.reading() as connection:
        await known_journey(engine, connection, key.brand, name)
        counts = await forecast_stop(connection, key.brand, name, except_version)
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

    Each run is told to end and does so at its next step; its open tasks are closed. With `except_version` the journey
    stays open and runs of that release go on. With an `Idempotency-Key` a
    repetition answers 200 with the stop of the first time, however far it has come.
    """
    now = engine.clock()
    request = None if idempotency_key is None else request_id(actor, idempotency_key)

    async def insert(connection: AsyncConnection, job: Job) -> Job | None:
        await known_journey(engine, connection, actor.brand, name)
        before = None if request is None else await find_change(connection, actor.brand, request)
        if before is not None and before[1].action != "stop":
            raise Problem("key-reused", "This key decided something else before; use a new one for another decision.")
        made = await begin_stop(connection, job)
        if made is not None and body.except_version is None:
            change = ControlChange("stop", actor.name, body.reason, now, job.id)
            await apply_control(connection, actor.brand, name, change, request)
        return made

    detail: JsonObject = {"reason": body.reason, "per_second": body.per_second}
    if body.except_version is not None:
        detail["except_version"] = body.except_version
    return await STOPS.begin(engine, STOPS.job(actor, name, detail, now, idempotency_key), response, insert)


def _view(job: Job, common: JsonObject) -> StopView:
    return StopView(
        **common,
        reason=job.detail["reason"],
        except_version=job.detail.get("except_version"),
        stopped=job.counts.get("stopped", 0),
        left=job.counts.get("left", 0),
    )


STOPS = JobRoutes(
    kind=STOP,
    noun="stop",
    model=StopView,
    view=_view,
    words={
        "list": "Stops, the newest first.",
        "get": "A stop and how far it has come.",
        "pause": "End no further run until it is resumed.",
        "resume": "Go on with the runs whose turn has not come.",
        "cancel": "End no further run, ever. Those that were told end; the journey stays closed.",
    },
)
STOPS.add_to(stops)
