"""Settles purchases whose delivery is over: the house has their points, or they go back where they came from.

It looks at what is, not at what it was told, so it makes no difference what ended a run: the journey, a stop, an
exclusion, a person, or Temporal that lost it.
"""

import asyncio
import logging
from typing import Final

from prometheus_client import Counter
from sqlalchemy import text

from activities.clock import Clock
from activities.database import Database
from activities.intake.intake import Intake
from activities.intake.locked_elsewhere import PlayersLocked
from activities.repeating import repeat
from activities.shop_purchases import Purchase, accounts_of, due_purchases, put_off, settle

logger = logging.getLogger(__name__)

PURCHASES: Final = Counter("journeys_purchases_settled_total", "Purchases by what they came to.", ["state"])
FAILED: Final = Counter(
    "journeys_purchases_not_settled_total", "Purchases that could not be settled and are tried again.", ["brand"]
)
#: Seconds between two looks, and purchases that one look settles.
LOOK_EVERY: Final = 1.0
AT_ONCE: Final = 100


class ShopSettlement:
    """Settles purchases. Any number may do it side by side."""

    def __init__(self, database: Database, intake: Intake, clock: Clock) -> None:
        self.database = database
        self.intake = intake
        self.clock = clock

    async def run(self, stop: asyncio.Event) -> None:
        """Settle until told to stop."""
        await repeat(self._settle_some, stop, every_s=LOOK_EVERY, what="settling purchases")

    async def _settle_some(self) -> bool:
        return await self.settle_once() >= AT_ONCE

    async def settle_once(self) -> int:
        """Settle what is due, each in a transaction of its own; how many there were.

        One that cannot be settled is put off, so that it holds up nobody else's.
        """
        async with self.database.transaction() as connection:
            due = await due_purchases(connection, self.clock(), AT_ONCE)
        for one in due:
            try:
                await self._settle(one)
            except PlayersLocked:
                logger.info("The buyer of %s is locked; it is settled later.", one.id)
            except Exception:
                logger.exception("The purchase %s could not be settled; it is tried again.", one.id)
                FAILED.labels(one.brand).inc()
                async with self.database.transaction() as connection:
                    await put_off(connection, one.id, self.clock())
        return len(due)

    async def _settle(self, purchase: Purchase) -> None:
        now, whose = self.clock(), {"brand": purchase.brand, "player": purchase.player_id}
        async with self.database.transaction() as connection:
            merged = await connection.scalar(_MERGED_INTO, whose)
            accounts = accounts_of(purchase, merged)
            async with self.intake.locked(connection, purchase.brand, accounts, now) as players:
                state = await settle(connection, players, purchase, now)
        if state is not None:
            PURCHASES.labels(state).inc()


_MERGED_INTO: Final = text("SELECT state ->> 'merged_into' FROM players WHERE brand = :brand AND id = :player")
