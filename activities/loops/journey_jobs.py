"""Bulk jobs about the runs of a journey: ending those that a stop means, and telling held ones to go on."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, Final

from pydantic import BaseModel, Field
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity

from activities.bulk_jobs import Job, advance_job, end_job, insert_job, lock_running_job, set_total
from activities.journey_controls import controls_of, count_held, forget_held, next_held
from activities.loops.bulk_work import PLAYERS_AT_ONCE, BulkWork
from activities.runs import STOPPED
from activities.step_log import record_steps
from activities.tables import runs, tasks
from activities.tasks import OPEN_STATES
from workflows.background.bulk_job import RESUME_RUNS, STOP_RUNS, BatchResult, BulkJobInput
from workflows.effects import EffectInput

STOP, RESUME = "stop", "resume"


class StopForecast(BaseModel):
    """What a stop would end now."""

    treated: int = Field(description="Runs that would be told to end.")
    control: int = Field(description="Runs of the control group, which end in the books.")
    held: int = Field(description="Those among them that wait for the end of a hold.")
    open_tasks: int = Field(description="Tasks of theirs that would be closed unanswered.")


async def forecast_stop(connection: AsyncConnection, brand: str, journey: str) -> StopForecast:
    """Count what a stop would end; runs that begin meanwhile make a difference."""
    mine = (runs.c.brand == brand, runs.c.journey == journey, runs.c.state == "active")
    arms = select(runs.c.arm, func.count().label("runs")).where(*mine).group_by(runs.c.arm)
    counts = {row.arm: row.runs for row in await connection.execute(arms)}
    opened = (
        select(func.count())
        .select_from(tasks)
        .where(tasks.c.brand == brand, tasks.c.journey == journey, tasks.c.state.in_(OPEN_STATES))
    )
    return StopForecast(
        treated=counts.get("treated", 0),
        control=counts.get("control", 0),
        held=await count_held(connection, brand, journey),
        open_tasks=(await connection.scalar(opened)) or 0,
    )


async def begin_stop(connection: AsyncConnection, job: Job) -> Job | None:
    """Insert a job that ends the runs that are under way now; None when there is one of its id. Wake it afterwards."""
    if not await insert_job(connection, job):
        return None
    mine = (runs.c.brand == job.brand, runs.c.journey == job.subject, runs.c.state == "active")
    counted = select(func.count()).select_from(runs).where(*mine, runs.c.entered_at <= job.created_at)
    return await set_total(connection, job, (await connection.scalar(counted)) or 0)


async def begin_resume(connection: AsyncConnection, job: Job) -> Job:
    """Insert a job that tells the held runs of a journey to go on. Wake it afterwards."""
    await insert_job(connection, job)
    return await set_total(connection, job, await count_held(connection, job.brand, job.subject))


class JourneyJobs(BulkWork):
    """Stops runs and resumes them, as the activities of `BulkJobWorkflow`."""

    ACTIVITIES: ClassVar[Mapping[str, str]] = {STOP: STOP_RUNS, RESUME: RESUME_RUNS}

    @activity.defn(name=STOP_RUNS)
    async def stop(self, request: BulkJobInput) -> BatchResult:
        """Tell run after run to end, at the job's rate."""
        return await self.work_through(request.job_id, self.stop_batch)

    @activity.defn(name=RESUME_RUNS)
    async def resume(self, request: BulkJobInput) -> BatchResult:
        """Tell held run after held run to go on, at the job's rate."""
        return await self.work_through(request.job_id, self.resume_batch)

    async def stop_batch(self, job_id: str) -> float | None:
        """Stop the next runs; how many seconds that may take at the job's rate, None when there is nothing to do.

        A treated run ends at its next step, one of the control group here and now. Who has entered since the stop was
        asked for is left alone. Raises what the database raises; then nothing has happened.
        """
        now = self.clock()
        async with self.database.transaction() as connection:
            job = await lock_running_job(connection, job_id)
            if job is None:
                return None
            rate = int(job.detail["per_second"])
            found = await _next_active(connection, job, min(PLAYERS_AT_ONCE, rate))
            if not found:
                await end_job(connection, job, "done", now)
                return None
            counts: Counter[str] = Counter()
            why = {"by": job.created_by, "reason": job.detail["reason"], "job": job.id}
            async with self.intake.locked(connection, job.brand, [row.player_id for row in found], now) as players:
                for row in found:
                    state = players.states.get(row.player_id)
                    decisions = state.stop(row.id, STOPPED, now) if state is not None else []
                    # Nothing to decide: it was told already, or has ended since it was listed.
                    counts["stopped" if decisions else "left"] += 1
                    if decisions:
                        players.record(row.player_id, decisions)
                        step = EffectInput(
                            brand=job.brand, player_id=row.player_id, journey=job.subject, run_id=row.id, step="stop"
                        )
                        await record_steps(connection, step, now, STOPPED, why)
            last = found[-1]
            await advance_job(connection, job, f"{last.entered_at.isoformat()} {last.id}", len(found), counts, now)
        return len(found) / rate

    async def resume_batch(self, job_id: str) -> float | None:
        """Tell the next held runs to go on, as `stop_batch` does; a hold that has come meanwhile ends the job."""
        now = self.clock()
        async with self.database.transaction() as connection:
            job = await lock_running_job(connection, job_id)
            if job is None:
                return None
            rate = int(job.detail["per_second"])
            held = (await controls_of(connection, job.brand, job.subject)).held
            waiting = [] if held else await next_held(connection, job.brand, job.subject, min(PLAYERS_AT_ONCE, rate))
            if not waiting:
                await end_job(connection, job, "done", now)
                return None
            counts: Counter[str] = Counter()
            ids = [run.player_id for run in waiting]
            async with self.intake.locked(connection, job.brand, ids, now) as players:
                for run in waiting:
                    told = run.player_id in players.states and players.resume(run.player_id, run.run_id)
                    counts["resumed" if told else "left"] += 1
            await forget_held(connection, [run.run_id for run in waiting])
            await advance_job(connection, job, waiting[-1].run_id, len(waiting), counts, now)
        return len(waiting) / rate


class _ActiveRun(BaseModel):
    """A run that a stop means."""

    id: str
    player_id: str
    entered_at: datetime


async def _next_active(connection: AsyncConnection, job: Job, limit: int) -> list[_ActiveRun]:
    at, _, run_id = job.cursor.partition(" ")
    after = {"at": datetime.fromisoformat(at) if at else _BEGINNING, "run": run_id}
    whose = {"brand": job.brand, "journey": job.subject, "until": job.created_at, "limit": limit}
    found = await connection.execute(_NEXT_ACTIVE, whose | after)
    return [_ActiveRun(id=row.id, player_id=row.player_id, entered_at=row.entered_at) for row in found]


_BEGINNING: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
# The first bound on the instant is for the index, which knows no ids.
_NEXT_ACTIVE: Final = text(
    """
    SELECT id, player_id, entered_at FROM runs
    WHERE brand = :brand AND journey = :journey AND state = 'active'
      AND entered_at >= :at AND (entered_at, id) > (:at, :run) AND entered_at <= :until
    ORDER BY entered_at, id LIMIT :limit
    """
)
