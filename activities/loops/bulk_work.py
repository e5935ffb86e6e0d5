"""What works on bulk jobs have in common: a rate, room for everybody else, and somebody who wakes what lies idle."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import ClassVar, Final

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from temporalio import activity
from temporalio.client import Client
from temporalio.service import RPCError

from activities.bulk_jobs import is_awake, wake_job
from activities.clock import Clock
from activities.database import Database
from activities.intake.backpressure import Pressure
from activities.intake.intake import Intake
from activities.tables import jobs
from workflows.background.bulk_job import ATTEMPT_LIMIT, BatchResult

logger = logging.getLogger(__name__)

#: Players in one transaction; their rows are locked meanwhile.
PLAYERS_AT_ONCE: Final = 250
#: The part of BACKLOG_HIGH at which bulk work holds back, so that nobody else is ever refused for its sake.
ROOM: Final = 0.25
#: How often the backlog is read while it holds back.
HOLD_BACK_FOR: Final = timedelta(seconds=1)
#: How often jobs nobody works on are woken, and how long Temporal may take to say who works.
WAKE_EVERY, TEMPORAL_TIMEOUT = timedelta(seconds=10), timedelta(seconds=5)


class BulkWork:
    """Works on bulk jobs of a few kinds, batch by batch.

    Two workers may come to work on one of them, when the first was taken for dead: they take turns at the job's row,
    and nothing is done twice, but for that while at twice the rate.
    """

    #: The activity that works on each kind of job.
    ACTIVITIES: ClassVar[Mapping[str, str]]

    def __init__(
        self,
        database: Database,
        intake: Intake,
        pressure: Pressure,
        clock: Clock,
        *,
        timer: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.database = database
        self.intake = intake
        self.pressure = pressure
        self.clock = clock
        self.timer = timer
        self.sleep = sleep

    async def work_through(self, job_id: str, batch: Callable[[str], Awaitable[float | None]]) -> BatchResult:
        """Do batch after batch until one says that nothing is left, somebody holds the job or the worker goes.

        `batch` answers how many seconds it may take at the job's rate, None when there is nothing to do.
        """
        begun = self.timer()
        while True:
            activity.heartbeat()
            if activity.is_worker_shutdown() or self.timer() - begun >= ATTEMPT_LIMIT.total_seconds():
                return BatchResult(more=True)
            if await self.pressure.backlog() >= self.pressure.high * ROOM:
                await self.sleep(HOLD_BACK_FOR.total_seconds())
                continue
            began = self.timer()
            seconds = await batch(job_id)
            if seconds is None:
                return BatchResult(more=False)
            if (rest := seconds - (self.timer() - began)) > 0:
                await self.sleep(rest)

    async def wake_idle(self, client: Client) -> None:
        """Have those worked on that should run and do not: asked for while Temporal was away, or ended there by hand.

        Raises what the database and the client raise when they are away.
        """
        async with self.database.reading() as connection:
            running = select(jobs.c.id, jobs.c.kind).where(jobs.c.kind.in_(self.ACTIVITIES), jobs.c.state == "running")
            idle = (await connection.execute(running)).all()
        for job in idle:
            if not await is_awake(client, job.id, within=TEMPORAL_TIMEOUT):
                await wake_job(client, job.id, self.ACTIVITIES[job.kind], within=TEMPORAL_TIMEOUT)

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
