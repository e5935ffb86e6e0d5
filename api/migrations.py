"""Migrations of a journey's runs to another release: preview and begin; the rest is as with every bulk job."""

import re
from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.bulk_jobs import Job
from activities.loops.migration import MIGRATE, begin_migration, forecast_migration, unready
from api.bulk_jobs import RATE, Deciding, JobProgress, JobRoutes, Managing, PerSecond
from api.dependencies import ApiEngine, EngineOf
from api.journey_controls import ControlReason, known_journey
from api.json_types import Line
from api.problems import COMMON, Problem, documented
from api.runs import IdempotencyKey
from content.nearest_name import nearest
from workflows.declaration import version_name
from workflows.field_types import Whole
from workflows.json_object import JsonObject
from workflows.source.flow_reader import read_flow

router = APIRouter(prefix="/v1/journeys", tags=["journeys"])
migrations = APIRouter(prefix="/v1/migrations", tags=["migrations"])

#: The name of a step whose subject stands in the code.
PLAIN: Final = re.compile(r"[\w-]+(:[\w-]+)?")
Version = Annotated[int, Field(ge=1, le=1_000_000, description="The release that the runs move to."), Whole]


class MigrationTarget(BaseModel):
    """Which release the runs are to move to."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"version": 8}]})

    version: Version


class Migrating(ControlReason):
    """Where the runs move to, why, and how fast."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"version": 8, "reason": "A shorter wait.", "per_second": 50}]},
    )

    version: Version
    do: list[Line] = Field(
        default_factory=list,
        max_length=50,
        description="Steps that the release has more, before the place where a run stands, and that are done all the "
        "same: ids, or ids without their number.",
        examples=[["send:push-nudge"]],
    )
    per_second: PerSecond = RATE


class ComingFrom(BaseModel):
    """The runs of one version."""

    version: int = Field(description="0 for runs from before there were releases.")
    runs: int
    oldest: datetime


class MigrationPreview(BaseModel):
    """Which runs a migration would tell to move, by the version they are on."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "journey": "win_back",
                    "brand": "acme",
                    "version": 8,
                    "runs": 38_112,
                    "coming_from": [{"version": 7, "runs": 38_112, "oldest": "2026-01-15T12:00:00Z"}],
                    "waiting": None,
                }
            ]
        }
    )

    journey: str
    brand: str
    version: int
    runs: int
    coming_from: list[ComingFrom]
    waiting: str | None = Field(None, description="Why it could not begin now; it waits until that is over.")


class MigrationView(JobProgress):
    """A migration and how far it has come."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "2f6c1a9be07d4f15",
                    "journey": "win_back",
                    "version": 8,
                    "do": [],
                    "reason": "A shorter wait.",
                    "per_second": 50,
                    "state": "running",
                    "held_back": False,
                    "waiting": None,
                    "total": 38_112,
                    "done": 500,
                    "moved": 498,
                    "left": 2,
                    "created_by": "olena@example.com",
                    "created_at": "2026-01-15T12:00:00Z",
                    "updated_at": "2026-01-15T12:00:10Z",
                    "ended_at": None,
                }
            ]
        }
    )

    version: int
    do: list[str]
    reason: str
    moved: int = Field(description="Runs that were told to move; each does so at its next wait.")
    left: int = Field(description="Runs that were on the release already, or were ending.")


@router.post("/{name}/migrate/preview", responses={**COMMON, **documented(404, 409)})
async def preview_migration(name: str, body: MigrationTarget, engine: EngineOf, key: Managing) -> MigrationPreview:
    """Which runs a migration would tell to move now, by version. It changes nothing."""
    async with engine.database.reading() as connection:
        waiting = await _release(engine, connection, key.brand, name, body.version)
        found = await forecast_migration(connection, key.brand, name, body.version)
    return MigrationPreview(
        journey=name,
        brand=key.brand,
        version=body.version,
        runs=sum(one.runs for one in found),
        coming_from=[ComingFrom(**one._asdict()) for one in found],
        waiting=waiting,
    )


@router.post(
    "/{name}/migrate", status_code=201, responses={**COMMON, **documented(404, 409), 200: {"model": MigrationView}}
)
async def migrate_journey(
    name: str,
    body: Migrating,
    engine: EngineOf,
    actor: Deciding,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> MigrationView:
    """Tell every run that is on another release to move to this one, a few at a time; also back to an earlier one.

    Each moves at its next wait, and never inside an effect. It begins when every living process knows the release, and
    takes the place of a migration of the same journey that is under way. With an `Idempotency-Key` a repetition answers
    200 with the migration of the first time, however far it has come.
    """
    now = engine.clock()

    async def insert(connection: AsyncConnection, job: Job) -> Job | None:
        await _release(engine, connection, actor.brand, name, body.version)
        _check_steps(engine, name, body)
        return await begin_migration(connection, job, now)

    detail: JsonObject = {
        "version": body.version,
        "do": body.do,
        "reason": body.reason,
        "per_second": body.per_second,
    }
    return await MIGRATIONS.begin(engine, MIGRATIONS.job(actor, name, detail, now, idempotency_key), response, insert)


async def _release(engine: ApiEngine, connection: AsyncConnection, brand: str, name: str, version: int) -> str | None:
    """Why runs cannot move to a release yet. Raises `Problem` where nobody knows it, or nobody the journey."""
    await known_journey(engine, connection, brand, name)
    waiting = await unready(connection, engine.processes, engine.intake, name, version)
    journey = engine.registry.journeys.get(name)
    here = journey is not None and version in {journey.version, *journey.versions}
    if not here and version_name(name, version) not in (await engine.processes.look(connection)).journeys:
        known = [] if journey is None else sorted({journey.version, *journey.versions} - {0})
        there = f"deployed are {', '.join(f'v{one}' for one in known)}" if known else "no release of it is deployed"
        raise Problem("not-deployed", f"v{version} of {name} is deployed nowhere; {there}. Deploy it, then ask again.")
    return waiting


def _check_steps(engine: ApiEngine, name: str, body: Migrating) -> None:
    """Raise `Problem` for a step to be done that the release does not have, where its code is here to look at."""
    journey = engine.registry.journeys.get(name)
    if not body.do or journey is None or body.version not in {journey.version, *journey.versions}:
        return
    steps = {step.name for step in read_flow(journey.at(body.version)).steps}
    # A subject that the code works out may be any, so nobody can say that a step of its verb is misspelt.
    open_ended = {step.partition(":")[0] for step in steps if not PLAIN.fullmatch(step)}
    for asked in body.do:
        step = asked.partition("#")[0]
        if step not in steps and step.partition(":")[0] not in open_ended:
            meant = nearest(step, steps)
            hint = f"Did you mean {meant}?" if meant else f"It has {', '.join(sorted(steps))}."
            raise Problem("unknown-step", f"v{body.version} of {name} has no step {asked}. {hint}")


def _view(job: Job, common: JsonObject) -> MigrationView:
    return MigrationView(
        **common,
        version=job.detail["version"],
        do=job.detail["do"],
        reason=job.detail["reason"],
        moved=job.counts.get("moved", 0),
        left=job.counts.get("left", 0),
    )


MIGRATIONS = JobRoutes(
    kind=MIGRATE,
    noun="migration",
    model=MigrationView,
    view=_view,
    words={
        "list": "Migrations, the newest first.",
        "get": "A migration and how far it has come.",
        "pause": "Tell no further run until it is resumed.",
        "resume": "Go on with the runs whose turn has not come.",
        "cancel": "Tell no further run, ever. Those that were told move; to move them back, begin a migration back.",
    },
)
MIGRATIONS.add_to(migrations)
