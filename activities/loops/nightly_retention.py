"""What the owner of the tables does: the nightly retention, and erasing players who asked for it, as activities."""

from prometheus_client import Counter
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.database import Database
from activities.erasures import erase_due
from activities.loops.maintenance import heartbeating
from activities.retention import retain
from activities.settings import Settings
from workflows.background.maintenance import ERASE, RETAIN

FORGOTTEN = Counter("journeys_forgotten_rows_total", "Rows that retention has deleted.", ["table"])
RECORDS_GONE = Counter(
    "journeys_forgotten_records_total", "Records that retention has deleted, by class.", ["record_class"]
)
ERASED = Counter("journeys_erasures_total", "Players whose erasure is certified.")


class Forgetting:
    """Retention by the settings of the process and the clock of the database, never by that of this machine."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self.database = database
        self.settings = settings

    @activity.defn(name=RETAIN)
    async def retain(self) -> dict[str, int]:
        """Make the months to come and forget what is due; by table, how many rows went, or were kept of a month."""
        counts: dict[str, int] = {}
        async with heartbeating():
            async for forgotten in retain(self.database, self.settings, await self.database.now()):
                counts[forgotten.table] = counts.get(forgotten.table, 0) + forgotten.rows
                FORGOTTEN.labels(forgotten.table).inc(forgotten.rows)
                if forgotten.record_class is not None:
                    RECORDS_GONE.labels(forgotten.record_class).inc(forgotten.rows)
                if activity.is_worker_shutdown():
                    raise ApplicationError("This worker ends; another one goes on from here.", type="WorkerEnds")
        return counts

    @activity.defn(name=ERASE)
    async def erase(self) -> int:
        """Do what is open of the erasures that were asked for; how many were certified."""
        done = 0
        async with heartbeating():
            async for erasure in erase_due(self.database):
                if erasure.done_at is not None:
                    done += 1
                    ERASED.inc()
                if activity.is_worker_shutdown():
                    raise ApplicationError("This worker ends; another one goes on from here.", type="WorkerEnds")
        return done
