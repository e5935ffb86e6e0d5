"""The tables `point_days` and `point_months`: the journal of points added up, by what moved between which accounts.

The journal only grows and a day that is over does not change, so it is added up once; the present day again and again,
and each month from its days. Whoever asks for the economy of points reads these few rows, and never the journal.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
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
#: Seconds between two counts of the present day.
COUNT_EVERY: Final = 600.0
#: How long after its end a day is added up for good: what was written in it is committed by then.
SETTLED_AFTER: Final = timedelta(hours=1)


class PointEconomy:
    """Adds the journal up. Any number may do it side by side: they write the same sums."""

    def __init__(self, database: Database, program: LoyaltyProgram, clock: Clock) -> None:
        self.database = database
        self.program = program
        self.clock = clock

    async def count_once(self) -> None:
        """Add up every day that is not yet settled, and set the gauges. Raises what the database raises.

        A day is a transaction, so that the first count of a long journal goes on where it was ended.
        """
        now = self.clock()
        async with self.database.reading() as connection:
            first: datetime | None = await connection.scalar(_FIRST_OPEN, {"settled": SETTLED_AFTER})
        if first is None:
            return
        day = first.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        while day <= now:
            async with self.database.transaction() as connection:
                await _count(connection, day, now)
            day += timedelta(days=1)
        async with self.database.reading() as connection:
            brands = (await connection.execute(_BRANDS)).scalars().all()
            for brand in brands:
                for one in newest(months_of(await flows(connection, brand))):
                    _show(brand, one, now)

    async def watch(self, stop: asyncio.Event) -> None:
        """Count again and again until told to stop; of a deployment that declares no points nothing."""
        if self.program.currencies:
            await repeat(self.count_once, stop, every_s=COUNT_EVERY, what="adding up the journal of points")


async def _count(connection: AsyncConnection, day: datetime, now: datetime) -> None:
    """Add up a day, and its month with it."""
    month = month_of(day)
    counted = {"day": day.date(), "since": day, "until": day + timedelta(days=1), "month": month, "now": now}
    await connection.execute(_COUNT_DAY, counted)
    about = {"month": month.date(), "after": month_after(month).date(), "now": now}
    await connection.execute(_COUNT_MONTH, about)


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


#: The first moment of the journal that is on no settled day.
_FIRST_OPEN: Final = text(
    """
    SELECT min(at) FROM point_transfers WHERE at >= coalesce(
        (SELECT max((day + interval '1 day') AT TIME ZONE 'UTC') FROM point_days
         WHERE counted_at >= (day + interval '1 day') AT TIME ZONE 'UTC' + :settled), '-infinity')
    """
)
#: Of who played, a day counts those who had not yet played in its month, so that days add up to players of a month.
_COUNT_DAY: Final = text(
    """
    INSERT INTO point_days (brand, currency, day, debit, credit, amount, transfers, players, counted_at)
    SELECT moved.brand, moved.currency, :day, moved.debit, moved.credit, moved.amount, moved.transfers,
           coalesce(played.players, 0), :now
    FROM (
        SELECT brand, currency, debit, credit, sum(amount) AS amount, count(*) AS transfers
        FROM point_transfers WHERE at >= :since AND at < :until GROUP BY brand, currency, debit, credit
    ) AS moved
    LEFT JOIN (
        SELECT today.brand, today.currency, today.credit, count(*) AS players
        FROM (
            SELECT DISTINCT brand, currency, credit, player_id FROM point_transfers
            WHERE at >= :since AND at < :until AND debit = 'issued:wager'
        ) AS today
        LEFT JOIN LATERAL (
            SELECT true AS played FROM point_transfers AS before
            WHERE before.brand = today.brand AND before.player_id = today.player_id
              AND before.currency = today.currency AND before.credit = today.credit AND before.debit = 'issued:wager'
              AND before.at >= :month AND before.at < :since
            LIMIT 1  -- so that a player's own rows are looked up, and not the month read
        ) AS already ON true
        WHERE already.played IS NULL
        GROUP BY today.brand, today.currency, today.credit
    ) AS played ON played.brand = moved.brand AND played.currency = moved.currency AND played.credit = moved.credit
        AND moved.debit = 'issued:wager'
    ON CONFLICT (brand, currency, day, debit, credit)
    DO UPDATE SET amount = EXCLUDED.amount, transfers = EXCLUDED.transfers, players = EXCLUDED.players,
                  counted_at = EXCLUDED.counted_at
    """
)
_COUNT_MONTH: Final = text(
    """
    INSERT INTO point_months (brand, currency, month, debit, credit, amount, transfers, players, counted_at)
    SELECT brand, currency, :month, debit, credit, sum(amount), sum(transfers), sum(players), :now
    FROM point_days WHERE day >= :month AND day < :after GROUP BY brand, currency, debit, credit
    ON CONFLICT (brand, currency, month, debit, credit)
    DO UPDATE SET amount = EXCLUDED.amount, transfers = EXCLUDED.transfers, players = EXCLUDED.players,
                  counted_at = EXCLUDED.counted_at
    """
)
_BRANDS: Final = text("SELECT DISTINCT brand FROM point_months")
