"""The loop that has the bonus engine give prizes of money that players won without a run: on wheels, in raffles."""

import asyncio
import logging
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from activities.clock import sleep_or_stop
from activities.rewards import Grants

logger = logging.getLogger(__name__)

#: Seconds between two looks while nothing waits.
PAUSE_S: Final = 1.0


class PrizePayments:
    """Gives what is reserved. Any number may run side by side."""

    def __init__(self, grants: Grants) -> None:
        self.grants = grants

    async def run(self, stop: asyncio.Event) -> None:
        """Give until told to stop; what the database or the bonus engine refuse is tried again later."""
        while not stop.is_set():
            try:
                done = await self.grants.pay_prizes_once()
            except (SQLAlchemyError, OSError) as error:
                logger.warning("Prizes wait for the database: %s", error)
                done = 0
            except Exception:
                logger.exception("Giving prizes failed and is tried again.")
                done = 0
            if not done:
                await sleep_or_stop(stop, PAUSE_S)
