"""How many tickets all players have in a raffle's period, counted at most every few seconds by a process."""

import time
from collections.abc import Callable
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

#: How old a total may be that is told, and how many a process keeps.
LASTS_S: Final = 10.0
MOST_TOTALS: Final = 1_000


class TicketTotals:
    """The totals of one process: who asks for their tickets does not have everybody's counted each time."""

    def __init__(self, timer: Callable[[], float] = time.monotonic) -> None:
        self.timer = timer
        #: By brand, raffle and period: the total, and when it was counted.
        self._known: dict[tuple[str, str, str], tuple[int, float]] = {}

    async def of(self, connection: AsyncConnection, brand: str, raffle: str, period: str) -> int:
        """How many there are, or were a few seconds ago."""
        key, now = (brand, raffle, period), self.timer()
        known = self._known.get(key)
        if known is not None:
            if now - known[1] < LASTS_S:
                return known[0]
            # Whoever asks while this one counts is told what was known.
            self._known[key] = (known[0], now)
        elif len(self._known) >= MOST_TOTALS:
            del self._known[min(self._known, key=lambda one: self._known[one][1])]
        asked = {"brand": brand, "raffle": raffle, "period": period}
        total = int((await connection.execute(_TOTAL, asked)).scalar_one())
        self._known[key] = (total, now)
        return total


_TOTAL: Final = text(
    """
    SELECT coalesce(sum(count), 0) FROM raffle_tickets
    WHERE brand = :brand AND raffle = :raffle AND period = :period
    """
)
