"""The work on bulk jobs: batches at a rate, with room for everybody else, and somebody who wakes what lies idle.

Each kind of job says whom it means next and what becomes of one of them (`BulkWork`). Everything else is here once: the
transaction of a batch, the cursor, the rate, holding back, and why a job cannot go on.
"""

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, Final

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity
from temporalio.client import Client
from temporalio.service import RPCError

from activities.bulk_jobs import Job, advance_job, end_job, is_awake, lock_running_job, note_waiting, wake_job
from activities.clock import Clock
from activities.database import Database
from activities.intake.backpressure import Pressure
from activities.intake.intake import Intake, LockedPlayers
from activities.processes import Processes
from activities.tables import jobs
from workflows.background.bulk_job import ACTIVITIES, ATTEMPT_LIMIT, BatchResult, BulkJobInput, BulkJobKind

logger = logging.getLogger(__name__)

#: Players in one transaction; their rows are locked meanwhile.
PLAYERS_AT_ONCE: Final = 250
#: The part of BACKLOG_HIGH at which bulk work holds back, so that nobody else is ever refused for its sake.
ROOM: Final = 0.25
#: How often the backlog is read while it holds back.
HOLD_BACK_FOR: Final = timedelta(seconds=1)
#: Seconds after which it is asked again whether what was done has come to its end.
BEHIND_S: Final = 0.1
#: Seconds after which a job that waits for something looks again.
WAITS_S: Final = 2.0
#: How often jobs nobody works on are woken, and how long Temporal may take to say who works.
WAKE_EVERY, TEMPORAL_TIMEOUT = timedelta(seconds=10), timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Meant:
    """One whom a job means: the player, the run if it is about one, and where the job's cursor stands behind it."""

    player_id: str
    cursor: str
    run_id: str = ""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a job cannot go on now. It looks again by itself, or has failed until a person resumes it."""

    why: str
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """The transaction of a batch: the job's row and its players are locked."""

    connection: AsyncConnection
    job: Job
    players: LockedPlayers
    now: datetime


@dataclass(frozen=True)
class Pacing:
    """The clock and the pauses of bulk work; tests have their own."""

    timer: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class BulkWork(ABC):
    """Works on jobs of one kind, batch by batch, as the activity of `BulkJobWorkflow`.

    Two workers may come to work on one job, when the first was taken for dead: they take turns at the job's row, and
    nothing is done twice, but for that while at twice the rate.
    """

    kind: ClassVar[BulkJobKind]
    #: Batches that a second's work is parted into, for work that keeps others waiting when it comes all at once.
    batches_a_second: ClassVar[int] = 1

    def __init__(
        self,
        database: Database,
        intake: Intake,
        pressure: Pressure,
        clock: Clock,
        pacing: Pacing | None = None,
        *,
        processes: Processes | None = None,
    ) -> None:
        self.database = database
        self.intake = intake
        self.pressure = pressure
        self.clock = clock
        self.pacing = pacing or Pacing()
        self.processes = processes or Processes(database, intake.rules)

    # ---- what a kind says of itself ------------------------------------------------------------

    @abstractmethod
    async def next(self, connection: AsyncConnection, job: Job, limit: int) -> Sequence[Meant]:
        """Whom the job means next, behind its cursor; nobody when it is done."""

    @abstractmethod
    async def do(self, batch: Batch, one: Meant) -> str:
        """Do what the job is for to one of them; what became of it, as the job counts it."""

    async def obstacle(self, _connection: AsyncConnection, _job: Job) -> Obstacle | None:
        """What keeps the job from going on, if anything does."""
        return None

    async def behind(self, _job_id: str) -> bool:
        """Whether so much of what was done is still under way elsewhere that more of it would only wait."""
        return False

    async def tidy(  # noqa: B027 - most kinds leave nothing behind
        self, _connection: AsyncConnection, _job: Job, _done: Sequence[Meant]
    ) -> None:
        """Put away what a batch leaves behind; without anybody `done` the whole job is."""

    # ---- the work itself -----------------------------------------------------------------------

    @property
    def as_activity(self) -> Callable[[BulkJobInput], Awaitable[BatchResult]]:
        """The activity that works on these jobs, for a worker."""

        @activity.defn(name=ACTIVITIES[self.kind])
        async def work(request: BulkJobInput) -> BatchResult:
            return await self.work(request.job_id)

        return work

    async def work(self, job_id: str) -> BatchResult:
        """Do batch after batch at the job's rate until nobody is left, somebody holds the job or the worker goes."""
        begun = self.pacing.timer()
        while True:
            activity.heartbeat()
            if activity.is_worker_shutdown() or self.pacing.timer() - begun >= ATTEMPT_LIMIT.total_seconds():
                return BatchResult(more=True)
            if await self.pressure.backlog() >= self.pressure.high * ROOM:
                await self.pacing.sleep(HOLD_BACK_FOR.total_seconds())
                continue
            if await self.behind(job_id):
                await self.pacing.sleep(BEHIND_S)
                continue
            began = self.pacing.timer()
            seconds = await self.batch(job_id)
            if seconds is None:
                return BatchResult(more=False)
            if (rest := seconds - (self.pacing.timer() - began)) > 0:
                await self.pacing.sleep(rest)

    async def batch(self, job_id: str) -> float | None:
        """Do the next of them; how many seconds that may take at the job's rate, None when there is nothing to do.

        Raises what the database raises, and what `obstacle` does; then nothing has happened.
        """
        now = self.clock()
        async with self.database.transaction() as connection:
            job = await lock_running_job(connection, job_id)
            if job is None:
                return None
            obstacle = await self.obstacle(connection, job)
            if obstacle is not None and obstacle.failed:
                await end_job(connection, job, "failed", now, obstacle.why)
                return None
            await note_waiting(connection, job, None if obstacle is None else obstacle.why)
            if obstacle is not None:
                return WAITS_S
            rate = int(job.detail["per_second"])
            meant = await self.next(connection, job, min(PLAYERS_AT_ONCE, -(-rate // self.batches_a_second)))
            if not meant:
                await self.tidy(connection, job, ())
                await end_job(connection, job, "done", now)
                return None
            counts: Counter[str] = Counter()
            async with self.intake.locked(connection, job.brand, [one.player_id for one in meant], now) as players:
                for one in meant:
                    counts[await self.do(Batch(connection, job, players, now), one)] += 1
            await self.tidy(connection, job, meant)
            await advance_job(connection, job, meant[-1].cursor, len(meant), counts, now)
        return len(meant) / rate


class BulkJobs:
    """The bulk work that a worker does, of every kind."""

    def __init__(self, database: Database, kinds: Sequence[BulkWork]) -> None:
        self.database = database
        self.kinds = kinds

    @property
    def activities(self) -> list[Callable[[BulkJobInput], Awaitable[BatchResult]]]:
        """One for each kind."""
        return [one.as_activity for one in self.kinds]

    async def wake_idle(self, client: Client) -> None:
        """Have those worked on that should run and do not: asked for while Temporal was away, or ended there by hand.

        Raises what the database and the client raise when they are away.
        """
        mine = [one.kind for one in self.kinds]
        async with self.database.reading() as connection:
            running = select(jobs.c.id, jobs.c.kind).where(jobs.c.kind.in_(mine), jobs.c.state == "running")
            idle = (await connection.execute(running)).all()
        for job in idle:
            if not await is_awake(client, job.id, within=TEMPORAL_TIMEOUT):
                await wake_job(client, job.id, ACTIVITIES[job.kind], within=TEMPORAL_TIMEOUT)

    async def watch(self, client: Client, stop: asyncio.Event) -> None:
        """Wake idle jobs until told to stop."""
        while not stop.is_set():
            try:
                await self.wake_idle(client)
            except (SQLAlchemyError, OSError, RPCError) as away:
                logger.warning("Postgres or Temporal is away, bulk jobs are looked after later: %s", away)
            except Exception:
                logger.exception("Looking after bulk jobs failed and is tried again.")
            try:
                await asyncio.wait_for(stop.wait(), WAKE_EVERY.total_seconds())
            except TimeoutError:
                continue
