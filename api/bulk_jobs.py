"""What bulk jobs have in common over HTTP: begun once, shown, listed, paused, resumed, cancelled.

A kind of job has a file of its own with its preview, what it is asked with, and how it is shown; `JobRoutes` is the
rest.
"""

import hashlib
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Generic, TypeVar

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio.service import RPCError

from activities.actors import Actor
from activities.bulk_jobs import Job, JobAction, JobState, apply_action, read_job, wake_job
from activities.loops.bulk_work import FAILED, ROOM
from activities.tables import jobs
from api.dependencies import ApiEngine, EngineOf
from api.pagination import Filter, Page, PageQuery, where_given
from api.permissions import Key, acts, needs
from api.problems import COMMON, Problem, documented, missing
from workflows.background.bulk_job import ACTIVITIES, BulkJobKind
from workflows.field_types import Whole
from workflows.json_object import JsonObject

logger = logging.getLogger(__name__)

V = TypeVar("V", bound="JobProgress")

Managing = Annotated[Key, needs("journeys:manage")]
Deciding = Annotated[Actor, acts("journeys:manage")]
PerSecond = Annotated[int, Field(ge=1, le=5_000, description="Players or runs a second at most."), Whole]

ACTIONS: Final[tuple[JobAction, ...]] = ("pause", "resume", "cancel")
#: A second, when nobody says how many.
RATE: Final = 50
#: How long a caller waits for Temporal; a worker looks for jobs nobody works on anyway.
WAKE_TIMEOUT: Final = timedelta(seconds=1)


class JobProgress(BaseModel):
    """A bulk job and how far it has come."""

    id: str
    journey: str
    per_second: int
    state: JobState
    held_back: bool = Field(description="Whether it waits until Temporal has taken more of what is under way.")
    waiting: str | None = Field(None, description="What else it waits for; it goes on by itself.")
    total: int = Field(description="Players or runs it means.")
    done: int = Field(description="Of these, how many it has come to.")
    failed: int = Field(
        0, description="Of these, how many it passed over: the log says what their row or rules raised."
    )
    failure: str | None = Field(None, description="Why nobody can go on with it; mend that and resume.")
    created_by: str
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None = None


class JobQuery(PageQuery):
    """Which jobs of a kind."""

    journey: Filter | None = None
    state: JobState | None = None


@dataclass(frozen=True)
class JobRoutes(Generic[V]):
    """The routes that every kind of bulk job has, and what they need to know of a kind.

    `words` describe the operations `list`, `get`, `pause`, `resume` and `cancel` to whoever reads the document.
    """

    kind: BulkJobKind
    #: As paths and operations call one of them.
    noun: str
    model: type[V]
    #: How one is shown; what all have in common is given.
    view: Callable[[Job, JsonObject], V]
    words: Mapping[str, str]
    #: What else is to be done when one was cancelled.
    cancelled: Callable[[AsyncConnection, Job], Awaitable[None]] | None = None
    #: How long the ids are that callers' keys stand for.
    id_length: int = 32

    def job(
        self, actor: Actor, journey: str, detail: JsonObject, now: datetime, idempotency_key: str | None = None
    ) -> Job:
        """A job as somebody asks for it, under an id that the same key always stands for."""
        job_id = None if idempotency_key is None else request_id(actor, idempotency_key, self.id_length)
        return new_job(actor, self.kind, journey, detail, now, job_id)

    async def begin(
        self,
        engine: ApiEngine,
        job: Job,
        response: Response,
        insert: Callable[[AsyncConnection, Job], Awaitable[Job | None]],
    ) -> V:
        """Insert a job and have it worked on, or answer 200 with the one that the same key asked for before.

        `insert` answers None where there is one of that id. Raises `Problem` for a key that asked for something else.
        """
        async with engine.pools.ordinary.patient_transaction() as connection:
            made = await insert(connection, job)
            known = made or await read_job(connection, self.kind, job.brand, job.id)
        if known is None or (known.subject, {name: known.detail.get(name) for name in job.detail}) != (
            job.subject,
            job.detail,
        ):
            raise Problem("key-reused", f"This key began another {self.noun} before; use a new one for another wish.")
        if made is None:
            response.status_code = 200
        else:
            await wake(engine, made)
        response.headers["Location"] = f"/v1/{self.noun}s/{known.id}"
        return await self.shown(engine, known)

    async def shown(self, engine: ApiEngine, job: Job) -> V:
        """A job as it is shown."""
        common: JsonObject = job.model_dump(
            include={"id", "state", "done", "created_by", "created_at", "updated_at", "ended_at"}
        )
        running = job.state == "running"
        return self.view(
            job,
            common
            | {
                "journey": job.subject,
                # Some may have come since it was begun.
                "total": max(job.total, job.done),
                "per_second": job.detail["per_second"],
                "failed": job.counts.get(FAILED, 0),
                "failure": job.detail.get("failure"),
                "waiting": job.detail.get("waiting") if running else None,
                "held_back": running and await engine.pressure.backlog() >= engine.pressure.high * ROOM,
            },
        )

    async def act(self, engine: ApiEngine, key: Key, job_id: str, action: JobAction) -> V:
        """Pause, resume or cancel a job. Raises `Problem` where there is none, or when it is too late."""
        async with engine.pools.ordinary.patient_transaction() as connection:
            # A batch under way holds the row for as long as it takes.
            job = await read_job(connection, self.kind, key.brand, job_id, lock=True)
            if job is None:
                raise missing(self.noun)
            after = await apply_action(connection, job, action, engine.clock())
            if after is not None and after.state == "cancelled" and self.cancelled is not None:
                await self.cancelled(connection, job)
        if after is None:
            raise Problem(f"{self.noun}-ended", _too_late(self.noun, job, action))
        if action == "resume":
            await wake(engine, after)
        return await self.shown(engine, after)

    def add_to(self, router: APIRouter) -> None:
        """Add the routes to the kind's own router, whose prefix is `/v1/` and the noun's plural."""
        alias = f"{self.noun}_id"

        async def list_jobs(engine: EngineOf, key: Managing, query: Annotated[JobQuery, Query()]) -> Page[Any]:
            return await self._listed(engine, key, query)

        async def get_job(job_id: Annotated[str, Path(alias=alias)], engine: EngineOf, key: Managing) -> JobProgress:
            async with engine.database.reading() as connection:
                job = await read_job(connection, self.kind, key.brand, job_id)
            if job is None:
                raise missing(self.noun)
            return await self.shown(engine, job)

        def acting(action: JobAction) -> Callable[..., Awaitable[JobProgress]]:
            async def act(job_id: Annotated[str, Path(alias=alias)], engine: EngineOf, key: Managing) -> JobProgress:
                return await self.act(engine, key, job_id, action)

            return act

        router.add_api_route(
            "",
            list_jobs,
            name=f"list_{self.noun}s",
            description=self.words["list"],
            response_model=Page[self.model],  # type: ignore[name-defined]  # FastAPI reads it when it is called
            responses=COMMON,
        )
        router.add_api_route(
            f"/{{{alias}}}",
            get_job,
            name=f"get_{self.noun}",
            description=self.words["get"],
            response_model=self.model,
            responses={**COMMON, **documented(404)},
        )
        for action in ACTIONS:
            router.add_api_route(
                f"/{{{alias}}}/{action}",
                acting(action),
                methods=["POST"],
                name=f"{action}_{self.noun}",
                description=self.words[action],
                response_model=self.model,
                responses={**COMMON, **documented(404, 409)},
            )

    async def _listed(self, engine: ApiEngine, key: Key, query: JobQuery) -> Page[Any]:
        chosen = where_given(
            select(jobs).where(jobs.c.brand == key.brand, jobs.c.kind == self.kind),
            (jobs.c.subject, query.journey),
            (jobs.c.state, query.state),
        )
        whose = f"{key.brand} {self.kind}"
        chosen = query.newest_first(chosen, whose, jobs.c.created_at, jobs.c.id)
        async with engine.database.reading() as connection:
            rows = (await connection.execute(chosen)).all()
        page, token = query.page(whose, rows, lambda row: (row.created_at, row.id))
        return Page(items=[await self.shown(engine, Job.model_validate(row)) for row in page], next_page_token=token)


def new_job(
    actor: Actor, kind: BulkJobKind, journey: str, detail: JsonObject, now: datetime, job_id: str | None = None
) -> Job:
    """A job about a journey that has not begun, under an id that nobody else has unless one is given."""
    return Job(
        id=job_id or secrets.token_hex(8),
        brand=actor.brand,
        kind=kind,
        subject=journey,
        detail=detail,
        created_by=actor.name,
        created_at=now,
        updated_at=now,
    )


def request_id(actor: Actor, idempotency_key: str, length: int = 32) -> str:
    """What the caller's key stands for, in the brand and for whoever acts."""
    return hashlib.sha256(f"{actor.brand} {actor.name} {idempotency_key}".encode()).hexdigest()[:length]


async def wake(engine: ApiEngine, job: Job) -> None:
    """Have a worker begin at once; while Temporal is away it begins when Temporal is back."""
    try:
        await wake_job(engine.temporal, job.id, ACTIVITIES[job.kind], within=WAKE_TIMEOUT)
    except (RPCError, RuntimeError, TimeoutError) as away:
        logger.warning("The %s of %s waits until Temporal answers: %s", job.kind, job.subject, away)


def _too_late(noun: str, job: Job, action: JobAction) -> str:
    if job.state == "failed":
        return f"The {noun} has failed and stands still; resume it when its failure is mended, or cancel it."
    return f"The {noun} is {job.state}; there is nothing to {action}. Make a new one to begin again."
