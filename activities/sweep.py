"""Players whose next moment has come: a tick of the clock is taken in like an event."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from activities.database import Database
from activities.intake import Intake

logger = logging.getLogger(__name__)

CLAIM = 100
PERIOD = 1.0


class Sweeper:
    """Ticks players through the same pure function as events. Any number may run side by side.

    The player's own row is the claim: two sweepers never tick one player twice for one moment.
    """

    def __init__(self, database: Database, intake: Intake, clock: Callable[[], datetime]) -> None:
        self.database = database
        self.intake = intake
        self.clock = clock

    async def run_once(self) -> int:
        """Tick up to a hundred players whose moment has come; how many there were."""
        now = self.clock()
        async with self.database.transaction() as connection:
            due = (await connection.execute(_DUE, {"now": now, "limit": CLAIM})).all()
            for brand in sorted({row.brand for row in due}):
                ids = [row.id for row in due if row.brand == brand]
                async with self.intake.locked(connection, brand, ids, now) as players:
                    for player_id, state in sorted(players.states.items()):
                        players.decide(player_id, state.tick(self.intake.rules, now))
        return len(due)

    async def run(self, stop: asyncio.Event) -> None:
        """Sweep until told to stop; a full claim is followed by the next at once."""
        while not stop.is_set():
            swept = 0
            try:
                swept = await self.run_once()
            except (SQLAlchemyError, OSError) as away:
                logger.warning("Postgres is away, the sweep tries again: %s", away)
            except Exception:
                # A journey's own rule may raise; that must not end the process that dispatches.
                logger.exception("The sweep failed and is tried again; correct the rule that the traceback names.")
            if swept < CLAIM:
                try:
                    await asyncio.wait_for(stop.wait(), PERIOD)
                except TimeoutError:
                    continue


_DUE = text(
    """
    SELECT brand, id FROM players WHERE next_moment <= :now
    ORDER BY brand, id LIMIT :limit FOR UPDATE SKIP LOCKED
    """
)
