"""How many tickets all players have in a raffle's period."""

import time
from collections.abc import Callable
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.recent_counts import RecentCounts


class TicketTotals:
    """The totals of one process: who asks for their tickets does not have everybody's counted each time."""

    def __init__(self, timer: Callable[[], float] = time.monotonic) -> None:
        self._recent = RecentCounts[tuple[str, str, str]](timer)

    async def of(self, connection: AsyncConnection, brand: str, raffle: str, period: str) -> int:
        """How many there are, or were a few seconds ago."""
        asked = {"brand": brand, "raffle": raffle, "period": period}

        async def count() -> int:
            return int((await connection.execute(_TOTAL, asked)).scalar_one())

        return await self._recent.of((brand, raffle, period), count)


_TOTAL: Final = text(
    """
    SELECT coalesce(sum(count), 0) FROM raffle_tickets
    WHERE brand = :brand AND raffle = :raffle AND period = :period
    """
)
