"""The table `point_months`: the journal of points added up by month and by what moved between which accounts.

The journal only grows and a month that is over does not change, so it is added up once; the present month again and
again. Whoever asks for the economy of points reads these few rows, and never the journal.
"""

import asyncio
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Final

from prometheus_client import Gauge
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.clock import Clock
from activities.database import Database
from activities.loyalty_tables import point_months
from activities.month_partitions import month_after, month_of
from activities.repeating import repeat
from workflows.loyalty.point_economy import MonthOfPoints, PointFlow, months_of
from workflows.loyalty.program import LoyaltyProgram

LIABILITY = Gauge("journeys_points_liability", "Points that players have, less what they owe.", ["brand", "currency"])
ISSUED = Gauge("journeys_points_issued_month", "Points that were issued in the present month.", ["brand", "currency"])
INFLATION = Gauge(
    "journeys_points_inflation_pct",
    "How much more points players have than at the month's beginning.",
    ["brand", "currency"],
)
#: Seconds between two counts of the present month.
COUNT_EVERY: Final = 600.0
#: How long after its end a month is added up for good: what was written in it is committed by then.
SETTLED_AFTER: Final = timedelta(hours=1)


class PointEconomy:
    """Adds the journal up. Any number may do it side by side: they write the same sums."""

    def __init__(self, database: Database, program: LoyaltyProgram, clock: Clock) -> None:
        self.database = database
        self.program = program
        self.clock = clock

    async def count_once(self) -> None:
        """Add up every month that is not yet settled, and set the gauges. Raises what the database raises."""
        now = self.clock()
        async with self.database.transaction() as connection:
            first = await connection.scalar(_FIRST_OPEN, {"settled": SETTLED_AFTER})
            if first is None:
                return
            month = month_of(first)
            while month <= now:
                after = month_after(month)
                await connection.execute(_COUNT, {"month": month.date(), "since": month, "until": after, "now": now})
                month = after
            brands = (await connection.execute(_BRANDS)).scalars().all()
            for brand in brands:
                for one in newest(months_of(await flows(connection, brand))):
                    _show(brand, one, now)

    async def watch(self, stop: asyncio.Event) -> None:
        """Count again and again until told to stop; of a deployment that declares no points nothing."""
        if self.program.currencies:
            await repeat(self.count_once, stop, every_s=COUNT_EVERY, what="adding up the journal of points")


async def flows(connection: AsyncConnection, brand: str) -> list[PointFlow]:
    """What moved of a brand's points, by month, as it was added up last."""
    chosen = select(*(point_months.c[name] for name in PointFlow.__dataclass_fields__))
    return [PointFlow(*row) for row in await connection.execute(chosen.where(point_months.c.brand == brand))]


def newest(months: Sequence[MonthOfPoints]) -> list[MonthOfPoints]:
    """The newest month of each currency."""
    return [*{one.currency: one for one in months}.values()]


def _show(brand: str, one: MonthOfPoints, now: datetime) -> None:
    LIABILITY.labels(brand, one.currency).set(one.liability)
    present = one.month == date(now.year, now.month, 1)
    ISSUED.labels(brand, one.currency).set(one.issued if present else 0)
    INFLATION.labels(brand, one.currency).set((one.inflation_pct or 0) if present else 0)


#: The first moment of the journal that is in no settled month.
_FIRST_OPEN: Final = text(
    """
    SELECT min(at) FROM point_transfers WHERE at >= coalesce(
        (SELECT max((month + interval '1 month') AT TIME ZONE 'UTC') FROM point_months
         WHERE counted_at >= (month + interval '1 month') AT TIME ZONE 'UTC' + :settled), '-infinity')
    """
)
_COUNT: Final = text(
    """
    INSERT INTO point_months (brand, currency, month, debit, credit, amount, transfers, players, counted_at)
    SELECT brand, currency, :month, debit, credit, sum(amount), count(*), count(DISTINCT player_id), :now
    FROM point_transfers WHERE at >= :since AND at < :until GROUP BY brand, currency, debit, credit
    ON CONFLICT (brand, currency, month, debit, credit)
    DO UPDATE SET amount = EXCLUDED.amount, transfers = EXCLUDED.transfers, players = EXCLUDED.players,
                  counted_at = EXCLUDED.counted_at
    """
)
_BRANDS: Final = text("SELECT DISTINCT brand FROM point_months")
