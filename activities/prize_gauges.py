"""Gauges of what players have won and do not have yet: prizes of money, places of raffles, boards that are over."""

from datetime import datetime
from typing import Final

from prometheus_client import Gauge
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from workflows.player_state.prizes import NO_JOURNEY

DUE: Final = Gauge(
    "journeys_prizes_due",
    "What was won and is not given yet: reserved grants (money), places of drawn raffles, tournaments past their cut.",
    ["of"],
)
OLDEST: Final = Gauge("journeys_prizes_oldest_seconds", "How long the first of these has been due.", ["of"])


async def count_prizes(connection: AsyncConnection, now: datetime) -> None:
    """Set both gauges anew."""
    for row in (await connection.execute(_DUE, {"now": now, "none": NO_JOURNEY})).all():
        DUE.labels(row.of).set(row.due)
        OLDEST.labels(row.of).set(0 if row.since is None else max(0.0, (now - row.since).total_seconds()))


_DUE: Final = text(
    """
    SELECT 'money' AS of, count(*) AS due, min(reserved_at) AS since FROM grants
    WHERE status = 'reserved' AND journey = :none
    UNION ALL
    SELECT 'raffle', count(*), min(d.drawn_at) FROM raffle_winners w JOIN raffle_draws d USING (brand, raffle, period)
    WHERE w.settled_at IS NULL
    UNION ALL
    SELECT 'tournament', count(*), min(cut_at) FROM tournaments
    WHERE ended_at IS NULL AND cut_at <= CAST(:now AS timestamptz)
    """
)
