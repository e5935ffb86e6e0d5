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
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ClassVar, Final

from sqlalchemy import select
from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from activities.bulk_jobs import (
    Job,
    advance_job,
    begin_anew,
    end_job,
    is_awake,
    lock_running_job,
    note_passed_over,
    note_waiting,
    wake_job,
)
from activities.clock import Clock
from activities.database import Database
from activities.intake.backpressure import Pressure
from activities.intake.intake import Intake
from activities.intake.locked_players import LockedPlayers
from activities.processes import Processes
from activities.tables import jobs
from workflows.background.bulk_job import ACTIVITIES, ATTEMPT_LIMIT, BatchResult, BulkJobInput, BulkJobKind
from workflows.events import Event

logger = logging.getLogger(__name__)

#: Players in one transaction; their rows are locked meanwhile.
PLAYERS_AT_ONCE: Final = 250
#: Decisions after which a batch ends early: who comes next is the next batch's.
MOST_DECISIONS: Final = 2_000
#: Those of a batch about whom more is read in one go.
PREPARED: Final = 25
#: What became of one whose row or rules raise: nothing, and the job goes on.
FAILED: Final = "failed"
#: The part of BACKLOG_HIGH at which bulk work holds back, so that nobody else is ever refused for its sake.
ROOM: Final = 0.25
#: How often the backlog is read while it holds back.
HOLD_BACK_FOR: Final = timedelta(seconds=1)
#: Seconds after which it is asked again whether what was done has come to its end.
BEHIND_S: Final = 0.1
#: Seconds after which a job that waits for something looks again.
WAITS_S: Final = 2.0
#: What a job waits for whose last ones may not be committed yet.
SETTLING: Final = "what was being taken in when it was asked for"
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
    #: By run what `prepare` read of its player's past.
    past: dict[str, list[Event]] = field(default_factory=dict)


@dataclass(frozen=True)
class Pacing:
    """The clock and the pauses of bulk work; tests have their own."""

    timer: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    #: How much time after it was asked for a job has before it looks once more at whom it means; for kinds that do.
    settling: timedelta = timedelta(seconds=5)


# The world's, and not one player's: nothing is known of the batch then, and it is done again.
_EVERYBODYS: Final = (OperationalError, InterfaceError, PoolTimeout, OSError, TimeoutError, ApplicationError)


class BulkWork(ABC):
    """Works on jobs of one kind, batch by batch, as the activity of `BulkJobWorkflow`.

    Two workers may come to work on one job, when the first was taken for dead: they take turns at the job's row, and
    nothing is done twice, but for that while at twice the rate.
    """

    kind: ClassVar[BulkJobKind]
    #: Batches that a second's work is parted into, for work that keeps others waiting when it comes all at once.
    batches_a_second: ClassVar[int] = 1
    #: Whether others may appear behind the cursor that were begun before the job was asked for, and commit after it.
    settles: ClassVar[bool] = False

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

    async def prepare(  # noqa: B027 - most kinds read nothing more
        self, _batch: Batch, _some: Sequence[Meant]
    ) -> None:
        """Read in one go what `do` needs of the next `PREPARED` of a batch."""

    async def obstacle(self, _connection: AsyncConnection, _job: Job) -> Obstacle | None:
        """What keeps the job from going on, if anything does."""
        return None

    async def behind(self, _job_id: str) -> bool:
        """Whether so much of what was done is still under way elsewhere that more of it would only wait."""
        return False

    async def tidy(  # noqa: B027 - most kinds leave nothing behind
        self, _connection: AsyncConnection, _job: Job, _done: Sequence[Meant]
    ) -> None:
        """Put away what a batch leaves behind, but of those it failed at; without anybody `done` the whole job is."""

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
            rate = int(job.detail["per_second"])
            meant = (
                ()
                if obstacle
                else await self.next(connection, job, min(PLAYERS_AT_ONCE, -(-rate // self.batches_a_second)))
            )
            if not meant and obstacle is None and self.settles and now < job.created_at + self.pacing.settling:
                obstacle = Obstacle(SETTLING)
            await note_waiting(connection, job, None if obstacle is None else obstacle.why)
            if obstacle is not None:
                return WAITS_S
            if not meant:
                if self.settles and await begin_anew(connection, job):
                    return 0.0
                await self.tidy(connection, job, ())
                await end_job(connection, job, "done", now)
                return None
            counts, failed = await self._do_or_do_apart(connection, job, meant, now)
            done = meant[: counts.total()]
            if failed:
                await note_passed_over(connection, job, [one.run_id or one.player_id for one in failed])
            if done_to := [one for one in done if one not in failed]:
                await self.tidy(connection, job, done_to)
            await advance_job(connection, job, done[-1].cursor, len(done), counts, now)
        return len(done) / rate

    async def do_batch(
        self, connection: AsyncConnection, job: Job, meant: Sequence[Meant], now: datetime
    ) -> Counter[str]:
        """Do what the job is for to these, or to the first of them; what became of how many.

        As many as are counted are done: a batch that writes a lot ends early.
        """
        counts: Counter[str] = Counter()
        async with self.intake.locked(connection, job.brand, [one.player_id for one in meant], now) as players:
            batch = Batch(connection, job, players, now)
            for number, one in enumerate(meant):
                if number % PREPARED == 0:
                    await self.prepare(batch, meant[number : number + PREPARED])
                counts[await self.do(batch, one)] += 1
                if len(players.decisions) + len(players.messages) >= MOST_DECISIONS:
                    break
        return counts

    async def _do_or_do_apart(
        self, connection: AsyncConnection, job: Job, meant: Sequence[Meant], now: datetime
    ) -> tuple[Counter[str], Sequence[Meant]]:
        """Do a batch; when somebody in it raises, everybody by themselves. What became of them, and who failed."""
        try:
            async with connection.begin_nested():
                return await self.do_batch(connection, job, meant, now), ()
        except Exception as error:
            if isinstance(error, _EVERYBODYS):
                raise
        counts, failed = Counter[str](), list[Meant]()
        # Rows are locked in the order of players everywhere, and these stay locked.
        for one in sorted(meant, key=lambda each: each.player_id):
            try:
                async with connection.begin_nested():
                    counts += await self.do_batch(connection, job, [one], now)
            except Exception as error:
                if isinstance(error, _EVERYBODYS):
                    raise
                counts[FAILED] += 1
                failed.append(one)
                sentence = "Job %s (%s) passes over player %s of %s; correct what the traceback names."
                logger.exception(sentence, job.id, job.kind, one.player_id, job.brand)
        return counts, failed


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
