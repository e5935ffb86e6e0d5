"""The bulk job that ends the runs of a shadow which was stopped, and tells each of them so."""

import secrets
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.bulk_jobs import Job, insert_job
from activities.loops.bulk_work import Batch, BulkWork, Meant
from activities.shadows import ShadowRow, end_stopped_runs, next_shadow_runs
from workflows.background.bulk_job import BulkJobKind

STOP_SHADOW: Final[BulkJobKind] = "stop_shadow"
#: Shadow runs told a second; nobody waits for them.
PER_SECOND: Final = 500


async def begin_shadow_stop(connection: AsyncConnection, shadow: ShadowRow, actor: str, now: datetime) -> Job:
    """Insert the job that ends the runs of a shadow that was just stopped. Wake it afterwards."""
    job = Job(
        id=secrets.token_hex(8),
        brand=shadow.brand,
        kind=STOP_SHADOW,
        subject=shadow.journey,
        detail={"shadow": shadow.id, "per_second": PER_SECOND},
        created_by=actor,
        created_at=now,
        updated_at=now,
    )
    await insert_job(connection, job)
    return job


class ShadowStops(BulkWork):
    """Ends shadow runs. No player is locked: a shadow run stands in no table of live ones.

    A run may begin until every process has noticed that the shadow was stopped, so it goes through them once more.
    """

    kind: ClassVar[BulkJobKind] = STOP_SHADOW
    settles: ClassVar[bool] = True

    async def next(self, connection: AsyncConnection, job: Job, limit: int) -> Sequence[Meant]:
        """The next runs under way, by their ids."""
        found = await next_shadow_runs(connection, int(job.detail["shadow"]), job.cursor, limit)
        return [Meant(player_id, run_id, run_id) for run_id, player_id in found]

    async def do_batch(
        self, connection: AsyncConnection, job: Job, meant: Sequence[Meant], now: datetime
    ) -> Counter[str]:
        """End them in the books and have them told; `left` are those that ended since they were listed."""
        ended = await end_stopped_runs(connection, job.brand, [one.run_id for one in meant], now)
        return Counter({"stopped": ended, "left": len(meant) - ended})

    async def do(self, batch: Batch, one: Meant) -> str:
        """End one of them."""
        done = await self.do_batch(batch.connection, batch.job, [one], batch.now)
        return next(iter(+done))
