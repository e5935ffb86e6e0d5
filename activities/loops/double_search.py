"""The nightly search for accounts that are likely one person's: each pair becomes a task, once."""

from prometheus_client import Counter
from sqlalchemy import text
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.clock import Clock
from activities.database import Database
from activities.double_reviews import close_needless, join_answered, open_tasks
from activities.intake.intake import Intake
from activities.likely_doubles import find_doubles
from activities.loops.maintenance import heartbeating
from workflows.background.maintenance import FIND_DOUBLES, PlayerShare

DOUBLES = Counter("journeys_likely_doubles_total", "Tasks about accounts that are likely one person's.", ["became"])


class DoubleSearch:
    """The activity of the search. `least` is how sure a pair must be, in basis points; 0 searches for none.

    A share is of the brands: what is compared is compared within one. Whoever goes on after a worker died begins with
    the brand that it was at, and finds the tasks that are open already.
    """

    def __init__(self, database: Database, intake: Intake, clock: Clock, *, least: int) -> None:
        self.database = database
        self.intake = intake
        self.clock = clock
        self.least = least

    @activity.defn(name=FIND_DOUBLES)
    async def search(self, share: PlayerShare) -> int:
        """Search the brands of a share; how many tasks were opened."""
        done = [*activity.info().heartbeat_details]
        opened = 0
        async with heartbeating(lambda: done):
            for brand in await self.brands(share):
                if brand in done:
                    continue
                opened += await self.search_brand(brand)
                done.append(brand)
                if activity.is_worker_shutdown():
                    activity.heartbeat(*done)
                    raise ApplicationError("This worker ends; another one goes on from here.", type="WorkerEnds")
        return opened

    async def brands(self, share: PlayerShare) -> list[str]:
        """The brands of a share, in the order of their names."""
        async with self.database.reading() as connection:
            which = {"shard": share.number, "of": share.of}
            return [*(await connection.execute(_BRANDS, which)).scalars()]

    async def search_brand(self, brand: str) -> int:
        """Join what people said is one, close what needs no answer, open what is new; how many were opened."""
        joined = await join_answered(self.database, self.intake, brand, self.clock())
        closed = await close_needless(self.database, brand, self.clock())
        found = await find_doubles(self.database, brand) if self.least else []
        sure = [double for double in found if double.score >= self.least]
        opened = await open_tasks(self.database, brand, sure, self.clock())
        for became, count in (("joined", joined), ("closed", closed), ("opened", opened)):
            DOUBLES.labels(became).inc(count)
        return opened


_BRANDS = text(
    """
    SELECT brand FROM (SELECT DISTINCT brand FROM players) AS known
    WHERE (hashtext(brand) & 2147483647) % :of = :shard ORDER BY brand
    """
)
