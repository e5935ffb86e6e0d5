"""The loop that has the bonus engine give prizes of money that players won without a run: on wheels, in raffles."""

import asyncio
from typing import Final

from activities.repeating import repeat
from activities.rewards import Grants

#: Seconds between two looks while nothing waits.
PAUSE_S: Final = 1.0


class PrizePayments:
    """Gives what is reserved. Any number may run side by side."""

    def __init__(self, grants: Grants) -> None:
        self.grants = grants

    async def run(self, stop: asyncio.Event) -> None:
        """Give until told to stop; what the database or the bonus engine refuse is tried again later."""
        await repeat(self._give, stop, every_s=PAUSE_S, what="giving prizes")

    async def _give(self) -> bool:
        return await self.grants.pay_prizes_once() > 0
