"""Bulk jobs: long work over many players, as one row that people may pause, resume or cancel.

The row is the truth. Temporal only sees to it that somebody works: every batch locks the row, does its part and moves
the cursor in one transaction, so that work which is done twice at once, or again after a crash, is done once.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import WorkflowIDReusePolicy
from temporalio.service import RPCError, RPCStatusCode

from activities.settings import MAINTENANCE_QUEUE
from activities.tables import jobs
from workflows.background.bulk_job import WAKE, BulkJobInput, BulkJobWorkflow
from workflows.json_object import JsonObject

JobState = Literal["running", "paused", "done", "cancelled", "failed"]
JobAction = Literal["pause", "resume", "cancel"]

#: The state an action leads to, from each state that allows it; from any other the action comes too late.
MOVES: Final[Mapping[JobAction, Mapping[JobState, JobState]]] = {
    "pause": {"running": "paused", "paused": "paused"},
    "resume": {"running": "running", "paused": "running", "failed": "running"},
    "cancel": {"running": "cancelled", "paused": "cancelled", "failed": "cancelled", "cancelled": "cancelled"},
}
ENDED: Final = frozenset({"done", "cancelled"})
#: Those a job keeps by name that it could do nothing for.
MOST_PASSED_OVER: Final = 1_000


class Job(BaseModel):
    """A row of `jobs`. `subject` is what it is about, `detail` what its kind needs besides."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    id: str
    brand: str
    kind: str
    subject: str
    detail: JsonObject = {}
    state: JobState = "running"
    #: The last of those that are done, in the order the kind works in.
    cursor: str = ""
    total: int = 0
    done: int = 0
    counts: dict[str, int] = {}
    created_by: str = ""
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None = None


async def insert_job(connection: AsyncConnection, job: Job) -> bool:
    """Insert a new job; False when one of its id is there already."""
    added = await connection.execute(
        insert(jobs).values(**job.model_dump()).on_conflict_do_nothing().returning(jobs.c.id)
    )
    return added.one_or_none() is not None


async def read_job(
    connection: AsyncConnection, kind: str, brand: str, job_id: str, *, lock: bool = False
) -> Job | None:
    """A brand's job, None if it has none of that id. With `lock` nobody works on it until the transaction ends."""
    query = select(jobs).where(jobs.c.id == job_id, jobs.c.brand == brand, jobs.c.kind == kind)
    row = (await connection.execute(query.with_for_update() if lock else query)).one_or_none()
    return None if row is None else Job.model_validate(row)


async def newest_job(connection: AsyncConnection, kind: str, subject: str, shard: str) -> Job | None:
    """The newest job of a kind about something, for one share of all players."""
    mine = (jobs.c.kind == kind, jobs.c.subject == subject, jobs.c.detail["shard"].astext == shard)
    row = (await connection.execute(select(jobs).where(*mine).order_by(jobs.c.created_at.desc()).limit(1))).first()
    return None if row is None else Job.model_validate(row)


async def lock_running_job(connection: AsyncConnection, job_id: str) -> Job | None:
    """The job, locked for a batch of its work; None unless it is running."""
    query = select(jobs).where(jobs.c.id == job_id, jobs.c.state == "running").with_for_update()
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else Job.model_validate(row)


async def advance_job(
    connection: AsyncConnection, job: Job, cursor: str, done: int, counts: Mapping[str, int], now: datetime
) -> None:
    """Move a locked job's cursor, by `done` players; `counts` says what became of them."""
    total = {name: job.counts.get(name, 0) + counts.get(name, 0) for name in sorted({*job.counts, *counts})}
    await _set(connection, job.id, cursor=cursor, done=job.done + done, counts=total, updated_at=now)


async def note_passed_over(connection: AsyncConnection, job: Job, ids: Sequence[str]) -> None:
    """Write down runs or players that a locked job could do nothing for; of very many only the first."""
    passed_over = [*job.detail.get("passed_over", ()), *ids][:MOST_PASSED_OVER]
    await _set(connection, job.id, detail=job.detail | {"passed_over": passed_over})


async def end_job(
    connection: AsyncConnection, job: Job, state: Literal["done", "failed"], now: datetime, why: str | None = None
) -> None:
    """End a locked job: it is done, or failed with the reason why nobody can go on with it."""
    detail = {**job.detail, "failure": why} if why else job.detail
    ended_at = now if state in ENDED else None
    await _set(connection, job.id, state=state, updated_at=now, ended_at=ended_at, detail=detail)


async def note_waiting(connection: AsyncConnection, job: Job, why: str | None) -> None:
    """Write down what a locked job waits for, or that it waits no more."""
    if job.detail.get("waiting") != why:
        detail = {name: value for name, value in job.detail.items() if name != "waiting"}
        await _set(connection, job.id, detail=detail | ({"waiting": why} if why else {}))


async def begin_anew(connection: AsyncConnection, job: Job) -> bool:
    """Move a locked job's cursor to its beginning, once in the job's life; False when that was done."""
    if job.detail.get("anew"):
        return False
    await _set(connection, job.id, cursor="", detail=job.detail | {"anew": True})
    return True


async def cancel(connection: AsyncConnection, job_ids: Sequence[str], now: datetime) -> None:
    """End jobs that something newer takes the place of."""
    values = {"state": "cancelled", "updated_at": now, "ended_at": now}
    await connection.execute(update(jobs).where(jobs.c.id.in_(job_ids)).values(values))


async def running(connection: AsyncConnection, brand: str, kind: str, subject: str) -> list[str]:
    """The ids of a brand's jobs of a kind about something that are not over."""
    mine = (jobs.c.brand == brand, jobs.c.kind == kind, jobs.c.subject == subject, jobs.c.state.not_in(ENDED))
    return [*(await connection.execute(select(jobs.c.id).where(*mine))).scalars()]


async def one_at_a_time(connection: AsyncConnection, brand: str, kind: str, subject: str) -> None:
    """Have whoever begins such a job wait until this transaction ends, so that each sees what the other began."""
    await connection.execute(_ONE_AT_A_TIME, {"what": f"{kind} {brand} {subject}"})


async def set_total(connection: AsyncConnection, job: Job, total: int) -> Job:
    """Write down how many players a job is about; the job as it is then."""
    await _set(connection, job.id, total=total)
    return job.model_copy(update={"total": total})


async def apply_action(connection: AsyncConnection, job: Job, action: JobAction, now: datetime) -> Job | None:
    """A locked job after somebody's action, which may change nothing; None when it comes too late.

    When this is committed no batch is under way, so nothing more is done to anybody. One that runs again must be woken.
    """
    state = MOVES[action].get(job.state)
    if state is None:
        return None
    if state != job.state:
        ended_at = now if state in ENDED else None
        detail = {name: value for name, value in job.detail.items() if name != "failure"}
        await _set(connection, job.id, state=state, updated_at=now, ended_at=ended_at, detail=detail)
        job = job.model_copy(update={"state": state, "updated_at": now, "ended_at": ended_at, "detail": detail})
    return job


async def wake_job(client: Client, job_id: str, activity: str, *, within: timedelta) -> None:
    """See to it that somebody works on the job. Safe to repeat; raises what the client raises when Temporal is away."""
    await client.start_workflow(
        BulkJobWorkflow.run,
        BulkJobInput(job_id=job_id, activity=activity),
        id=_workflow(job_id),
        task_queue=MAINTENANCE_QUEUE,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        # One that is about to leave looks again before it does.
        start_signal=WAKE,
        rpc_timeout=within,
    )


async def is_awake(client: Client, job_id: str, *, within: timedelta) -> bool:
    """Whether Temporal knows of somebody who works on the job."""
    try:
        description = await client.get_workflow_handle(_workflow(job_id)).describe(rpc_timeout=within)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return False
        raise
    return description.status is WorkflowExecutionStatus.RUNNING


def _workflow(job_id: str) -> str:
    return f"job:{job_id}"


async def _set(connection: AsyncConnection, job_id: str, **values: Any) -> None:
    await connection.execute(update(jobs).where(jobs.c.id == job_id).values(**values))


_ONE_AT_A_TIME: Final = text("SELECT pg_advisory_xact_lock(hashtextextended(:what, 0))")
FORGET: Final = text(
    "DELETE FROM jobs WHERE id = ANY(ARRAY(SELECT id FROM jobs WHERE ended_at < :before AND state <> 'running'"
    " AND NOT EXISTS (SELECT FROM enrolment_players e WHERE e.job_id = jobs.id) LIMIT :limit))"
)
