"""Bulk jobs about the runs of a journey: ending those that a stop means, and telling held ones to go on."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import ClassVar, Final

from pydantic import BaseModel, Field
from sqlalchemy import ColumnElement, bindparam, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text

from activities.bulk_jobs import Job, insert_job, set_total
from activities.journey_controls import READ_EVERY, controls_of, count_held, forget_held, next_held
from activities.loops.bulk_work import Batch, BulkWork, Meant
from activities.runs import STOPPED
from activities.step_log import record_steps
from activities.tables import runs, tasks
from activities.tasks import OPEN_STATES
from workflows.background.bulk_job import BulkJobKind
from workflows.effects import EffectInput

STOP: Final[BulkJobKind] = "stop"
RESUME: Final[BulkJobKind] = "resume"
#: How long after a stop closed a journey somebody may yet be let in: until every process has noticed.
NOTICED_WITHIN: Final = timedelta(seconds=READ_EVERY)
#: What no run is on.
NO_VERSION: Final = -1


class StopForecast(BaseModel):
    """What a stop would end now."""

    treated: int = Field(description="Runs of everybody else that would be told to end.")
    control: int = Field(description="Runs of the control group, which would be told too.")
    held: int = Field(description="Those among them that wait for the end of a hold.")
    open_tasks: int = Field(description="Tasks of theirs that would be closed unanswered.")


async def forecast_stop(
    connection: AsyncConnection, brand: str, journey: str, except_version: int | None = None
) -> StopForecast:
    """Count what a stop would end; runs that begin meanwhile make a difference."""
    mine = _active(brand, journey, except_version)
    arms = select(runs.c.arm, func.count().label("runs")).where(*mine).group_by(runs.c.arm)
    counts = {row.arm: row.runs for row in await connection.execute(arms)}
    opened = (
        select(func.count())
        .select_from(tasks)
        .join(runs, runs.c.id == tasks.c.run_id)
        .where(*mine, tasks.c.state.in_(OPEN_STATES))
    )
    return StopForecast(
        treated=counts.get("treated", 0),
        control=counts.get("control", 0),
        held=await count_held(connection, brand, journey),
        open_tasks=(await connection.scalar(opened)) or 0,
    )


async def begin_stop(connection: AsyncConnection, job: Job) -> Job | None:
    """Insert a job that ends the runs that are under way now; None when there is one of its id. Wake it afterwards.

    With `except_version` in its detail, runs of that release are left alone.
    """
    if not await insert_job(connection, job):
        return None
    mine = _active(job.brand, job.subject, job.detail.get("except_version"))
    counted = select(func.count()).select_from(runs).where(*mine, runs.c.entered_at <= job.created_at)
    return await set_total(connection, job, (await connection.scalar(counted)) or 0)


async def begin_resume(connection: AsyncConnection, job: Job) -> Job:
    """Insert a job that tells the held runs of a journey to go on. Wake it afterwards."""
    await insert_job(connection, job)
    return await set_total(connection, job, await count_held(connection, job.brand, job.subject))


class RunStops(BulkWork):
    """Ends the runs that a stop means.

    A run ends at its next step, one that is only tracked here and now. Who has entered since the stop was asked
    for is left alone. Who was being let in meanwhile is committed behind the cursor, so it is gone through once more.
    """

    kind: ClassVar[BulkJobKind] = STOP
    settles: ClassVar[bool] = True

    async def next(self, connection: AsyncConnection, job: Job, limit: int) -> Sequence[Meant]:
        """The next active runs, in the order in which they began."""
        at, run_id = _instant_and_run(job.cursor)
        but = job.detail.get("except_version")
        # While the journey is closed, who came in since came by a process that had not noticed.
        closed = but is None and (await controls_of(connection, job.brand, job.subject)).closed
        until = job.created_at + (NOTICED_WITHIN if closed else timedelta(0))
        whose = {"brand": job.brand, "journey": job.subject, "until": until, "limit": limit, "at": at, "run": run_id}
        whose |= {"but": NO_VERSION if but is None else but, "again": bool(job.detail.get("anew"))}
        whose |= {"passed_over": job.detail.get("passed_over", [])}
        found = await connection.execute(_NEXT_ACTIVE, whose)
        return [Meant(row.player_id, f"{row.entered_at.isoformat()} {row.id}", row.id) for row in found]

    async def do(self, batch: Batch, one: Meant) -> str:
        """Tell a run to end; `left` if it was told already, or has ended since it was listed."""
        job, state = batch.job, batch.players.states.get(one.player_id)
        decisions = [] if state is None else state.stop(one.run_id, STOPPED, batch.now)
        if not decisions:
            return "left"
        batch.players.record(one.player_id, decisions)
        step = EffectInput(
            brand=job.brand, player_id=one.player_id, journey=job.subject, run_id=one.run_id, step="stop"
        )
        why = {"by": job.created_by, "reason": job.detail["reason"], "job": job.id}
        await record_steps(batch.connection, step, batch.now, STOPPED, why)
        return "stopped"


class HeldRuns(BulkWork):
    """Tells held runs that they may go on; a hold that has come meanwhile ends the job."""

    kind: ClassVar[BulkJobKind] = RESUME

    async def next(self, connection: AsyncConnection, job: Job, limit: int) -> Sequence[Meant]:
        """The runs that wait longest."""
        if (await controls_of(connection, job.brand, job.subject)).held:
            return []
        after = _instant_and_run(job.cursor)
        waiting = await next_held(connection, job.brand, job.subject, limit, after)
        return [Meant(run.player_id, f"{run.since.isoformat()} {run.run_id}", run.run_id) for run in waiting]

    async def do(self, batch: Batch, one: Meant) -> str:
        """Tell a run to go on, unless it has ended."""
        known = one.player_id in batch.players.states
        return "resumed" if known and batch.players.resume(one.player_id, one.run_id) else "left"

    async def tidy(self, connection: AsyncConnection, _job: Job, done: Sequence[Meant]) -> None:
        """They wait no more."""
        await forget_held(connection, [one.run_id for one in done])


def _instant_and_run(cursor: str) -> tuple[datetime, str]:
    """What a cursor says; what a release of before wrote, a run alone, begins anew."""
    at, _, run_id = cursor.partition(" ")
    return (datetime.fromisoformat(at), run_id) if run_id else (_BEGINNING, "")


def _active(brand: str, journey: str, except_version: int | None) -> tuple[ColumnElement[bool], ...]:
    but = NO_VERSION if except_version is None else except_version
    return (runs.c.brand == brand, runs.c.journey == journey, runs.c.state == "active", runs.c.version != but)


_BEGINNING: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
# The first bound on the instant is for the index, which knows no ids.
_NEXT_ACTIVE: Final = text(
    """
    SELECT id, player_id, entered_at FROM runs
    WHERE brand = :brand AND journey = :journey AND state = 'active'
      AND entered_at >= :at AND (entered_at, id) > (:at, :run) AND entered_at <= :until AND version <> :but
      AND NOT (:again AND (id = ANY(:passed_over)
                           OR EXISTS (SELECT FROM steps s WHERE s.run_id = runs.id AND s.step = 'stop')))
    ORDER BY entered_at, id LIMIT :limit
    """
).bindparams(bindparam("passed_over", type_=ARRAY(Text)))
