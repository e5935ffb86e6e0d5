"""Scheduled maintenance: reconciles grants in doubt, and rearms players under the present rules."""

import asyncio
import logging
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any, Final

import orjson
from prometheus_client import Counter as Metric
from sqlalchemy import text
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.bulk_jobs import Job, advance_job, end_job, insert_job, lock_running_job, newest_job
from activities.clock import Clock
from activities.database import Database
from activities.grant_comparison import compare_grants, report
from activities.intake.intake import Intake
from activities.intake.locked_players import LockedPlayers
from activities.loops.sweeper import for_each
from activities.processes import Processes
from activities.rewards import Grants
from workflows.background.maintenance import (
    COMPARE_GRANTS,
    HEARTBEAT_TIMEOUT,
    REARM,
    RECONCILE,
    PlayerShare,
    Rearmed,
)

logger = logging.getLogger(__name__)

REARM_AT_ONCE: Final = 100
#: How far back grants are compared each day: a day, and what the day before left open.
COMPARED: Final = timedelta(hours=26)
#: The kind of the jobs that remember how far a look at all players has come; its subject is a mark of the rules.
LOOK: Final = "look"

LOOKED_AT: Final = Metric("journeys_rearm_players_total", "Players looked at under the present rules.", ["became"])


class Maintenance:
    """The activities of scheduled maintenance. `rate` is how many players a second are rearmed."""

    def __init__(
        self,
        database: Database,
        intake: Intake,
        grants: Grants,
        clock: Clock,
        *,
        rate: int,
        processes: Processes | None = None,
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.database = database
        self.intake = intake
        self.grants = grants
        self.clock = clock
        self.processes = processes or Processes(database, intake.rules)
        self.rate = rate
        self.batch = min(REARM_AT_ONCE, rate)
        self.pause = pause

    @property
    def activities(self) -> Sequence[Callable[..., Any]]:
        """What a worker must be given."""
        return [self.reconcile, self.compare_grants, self.rearm]

    @activity.defn(name=RECONCILE)
    async def reconcile(self) -> int:
        """Settle grants in doubt until a pass settles none, and have offers taken back; how many were settled."""
        settled = 0
        async with heartbeating():
            while count := await self.grants.reconcile_once():
                settled += count
            while await self.grants.revoke_once():
                pass
        return settled

    @activity.defn(name=COMPARE_GRANTS)
    async def compare_grants(self) -> dict[str, int]:
        """Compare the last day's rewards with the bonus engine's list; how many disagree, by how."""
        until = self.clock()
        async with heartbeating():
            found = await compare_grants(self.database, self.grants.engine, until - COMPARED, until)
        report(found)
        for one in found.shown:
            logger.error("Grant %s: %s (ours: %s).", one.grant_id, one.how, one.status)
        if not found.listed:
            logger.info("The bonus engine keeps no list, so grants were not compared.")
        return {str(how): number for how, number in found.counts.items()}

    @activity.defn(name=REARM)
    async def rearm(self, shard: PlayerShare | None = None) -> Rearmed:
        """Look at every player of a share of all, by id; what is unchanged is not written.

        How far it has come stands in a job, moved in the transaction of each batch, so a look that was cut off goes on
        there, also in another night. Under rules under which everybody was looked at there is nothing to do; a look
        that began while another build lived is not taken for one.
        """
        shard = shard or PlayerShare()
        job_id = await self._begin(shard)
        if job_id is None:
            return Rearmed(skipped=True)
        while True:
            if activity.is_worker_shutdown():
                raise ApplicationError("This worker ends; another one goes on from here.", type="WorkerEnds")
            looked_at, so_far = await self._look_at_some(job_id, shard)
            if not looked_at:
                return so_far
            activity.heartbeat(so_far)
            await self.pause(looked_at / self.rate)

    async def _begin(self, shard: PlayerShare) -> str | None:
        """The job of this share under the present rules; None if everybody was looked at under them."""
        mark = self.processes.rules_mark
        async with self.database.transaction() as connection:
            last = await newest_job(connection, LOOK, mark, shard.name)
            if last is not None and last.state == "running":
                return last.id
            await self.processes.look(connection)
            if last is not None and not last.detail.get("mixed"):
                return None
            now = self.clock()
            detail = {"shard": shard.name, "mixed": self.processes.mixed}
            job = Job(
                id=f"look:{uuid.uuid4().hex}",
                brand="",
                kind=LOOK,
                subject=mark,
                detail=detail,
                created_at=now,
                updated_at=now,
            )
            await insert_job(connection, job)
        return job.id

    async def _look_at_some(self, job_id: str, shard: PlayerShare) -> tuple[int, Rearmed]:
        """The next players; how many, and how far it has come. No more when it is done."""
        now, counts = self.clock(), Counter[str]()
        async with self.database.transaction() as connection:
            job = await lock_running_job(connection, job_id)
            if job is None:
                return 0, Rearmed()
            elsewhere = (await self.processes.look(connection)).moments
            brand, after = orjson.loads(job.cursor) if job.cursor else ("", "")
            where = {"brand": brand, "id": after, "limit": self.batch, "shard": shard.number, "of": shard.of}
            batch = [(row.brand, row.id) for row in await connection.execute(_NEXT_PLAYERS, where)]
            if not batch:
                await end_job(connection, job, "done", now)
                return 0, _so_far(job)

            unchanged = set[tuple[str, str]]()

            def rearm_one(brand: str, players: LockedPlayers, player_id: str) -> None:
                state = players.states[player_id]
                before = state.to_json()
                decisions = state.rearm(self.intake.rules, now, players.failures, elsewhere=elsewhere)
                players.record(player_id, decisions)
                if not decisions and state.to_json() == before:
                    unchanged.add((brand, player_id))
                    del players.states[player_id]

            for brand in sorted({brand for brand, _ in batch}):
                ids = [player_id for of, player_id in batch if of == brand]
                failed = await for_each(connection, self.intake, brand, ids, now, partial(rearm_one, brand))
                counts["failed"] += len(failed)
            counts["unchanged"] = len(unchanged)
            counts["changed"] = len(batch) - len(unchanged) - counts["failed"]
            await advance_job(connection, job, orjson.dumps(batch[-1]).decode(), len(batch), counts, now)
        for became, count in counts.items():
            LOOKED_AT.labels(became).inc(count)
        so_far = {name: job.counts.get(name, 0) + count for name, count in counts.items()}
        return len(batch), _so_far(job.model_copy(update={"done": job.done + len(batch), "counts": so_far}))


def _so_far(job: Job) -> Rearmed:
    return Rearmed(seen=job.done, changed=job.counts.get("changed", 0), failed=job.counts.get("failed", 0))


@asynccontextmanager
async def heartbeating(come_to: Callable[[], Sequence[Any]] = tuple) -> AsyncIterator[None]:
    """Tell Temporal that we live, and how far we have come, for as long as the block lasts."""

    async def beat() -> None:
        while True:
            activity.heartbeat(*come_to())
            await asyncio.sleep(HEARTBEAT_TIMEOUT.total_seconds() / 3)

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()


_NEXT_PLAYERS = text(
    """
    SELECT brand, id FROM players
    WHERE (brand, id) > (:brand, :id) AND (hashtext(id) & 2147483647) % :of = :shard
    ORDER BY brand, id LIMIT :limit
    """
)
