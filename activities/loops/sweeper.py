"""Ticks players whose next moment has come; a tick of the clock is handled like an event."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from prometheus_client import Counter, Gauge
from sqlalchemy import text
from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.clock import Clock, sleep_or_stop
from activities.database import Database
from activities.intake.backpressure import Pressure
from activities.intake.intake import Intake
from activities.intake.locked_players import LockedPlayers
from activities.player_rows import put_off
from activities.processes import Processes

logger = logging.getLogger(__name__)

PLAYERS_AT_ONCE: Final = 100
RATE: Final = 500
#: Seconds to rest when nobody is due, and while deliveries pile up.
REST: Final = 1.0
#: Seconds between two readings of the gauges, and how far due players are counted for them.
MEASURED_EVERY, COUNTED = 5.0, 10_000
#: How long a player waits whom the rules cannot tick: everybody else must not wait behind.
PUT_OFF: Final = timedelta(minutes=5)
#: How long a player waits for a sweeper that knows what is due.
KNOWN_ELSEWHERE: Final = timedelta(seconds=15)

TICKED: Final = Counter("journeys_sweep_ticks_total", "Players ticked by the sweep.")
FAILED: Final = Counter("journeys_sweep_failures_total", "Players whose tick failed and was put off.")
DUE: Final = Gauge("journeys_sweep_due_players", f"Players whose moment has come; counted no further than {COUNTED}.")
LATE: Final = Gauge("journeys_sweep_lateness_seconds", "How long the longest waiting of them has been due.")

Pause = Callable[[asyncio.Event, float], Awaitable[None]]


class Sweeper:
    """Ticks players through the same pure function as events. Any number may run side by side.

    The player's own row is the claim: two sweepers never tick one player twice for one moment. The oldest
    moments come first and at most `rate` players a second, so that what has gathered while nobody swept is
    spread and not unleashed; and nobody is ticked while deliveries pile up.
    """

    def __init__(
        self,
        database: Database,
        intake: Intake,
        clock: Clock,
        *,
        rate: int = RATE,
        pressure: Pressure | None = None,
        processes: Processes | None = None,
        pause: Pause = sleep_or_stop,
    ) -> None:
        self.database = database
        self.intake = intake
        self.clock = clock
        self.processes = processes or Processes(database, intake.rules)
        self.rate = rate
        self.players_at_once = min(PLAYERS_AT_ONCE, rate)
        self.pressure = pressure
        self.pause = pause
        self._measured = -MEASURED_EVERY

    async def run_once(self) -> int:
        """Tick players whose moment has come, the longest waiting hundred; how many there were.

        A player whose tick fails is put off and the others are ticked; so is, for a shorter time, one who awaits
        what only a process of another release knows. Raises what the database raises when it is away; then nobody
        was ticked.
        """
        now = self.clock()

        async with self.database.transaction() as connection:
            elsewhere = (await self.processes.look(connection)).moments
            waiting: set[str] = set()

            def tick(players: LockedPlayers, player_id: str) -> None:
                state = players.states[player_id]
                players.record(player_id, state.tick(players.rules, now, players.failures, elsewhere=elsewhere))
                if (moment := state.next_moment) is not None and moment <= now:
                    waiting.add(player_id)

            # Locked in the order of their moments, where everybody else locks by id. It makes no circle: rows that
            # are locked are skipped, so while it holds some a sweeper waits for none.
            due = (await connection.execute(_DUE, {"now": now, "limit": self.players_at_once})).all()
            for brand in sorted({row.brand for row in due}):
                ids = sorted(row.id for row in due if row.brand == brand)
                waiting.clear()
                failed = await for_each(connection, self.intake, brand, ids, now, tick)
                await put_off(connection, brand, [*waiting], now + KNOWN_ELSEWHERE)
                if failed:
                    FAILED.inc(len(failed))
                    await put_off(connection, brand, failed, now + PUT_OFF)
        TICKED.inc(len(due))
        return len(due)

    async def run(self, stop: asyncio.Event) -> None:
        """Sweep until told to stop."""
        while not stop.is_set():
            await self.pause(stop, await self._sweep())

    async def _sweep(self) -> float:
        """One pass; how many seconds to rest before the next."""
        try:
            await self._measure()
            if self.pressure is not None and await self.pressure.is_high():
                return REST
            swept = await self.run_once()
        except (SQLAlchemyError, OSError) as away:
            logger.warning("Postgres is away, the sweep tries again: %s", away)
            return REST
        except Exception:
            # It must not end the process that dispatches.
            logger.exception("The sweep failed and is tried again.")
            return REST
        return swept / self.rate if swept == self.players_at_once else REST

    async def _measure(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._measured < MEASURED_EVERY:
            return
        self._measured = now
        async with self.database.reading() as connection:
            row = (await connection.execute(_READ_LATENESS, {"now": self.clock(), "most": COUNTED})).one()
        DUE.set(row.due)
        LATE.set(row.late)


async def for_each(
    connection: AsyncConnection,
    intake: Intake,
    brand: str,
    ids: Sequence[str],
    now: datetime,
    change: Callable[[LockedPlayers, str], None],
) -> list[str]:
    """Change each of these players under their locks; the ids of those for whom it raised, who stay as they were.

    To be called inside a transaction. Raises what the database raises when it is away.
    """
    try:
        async with connection.begin_nested(), intake.locked(connection, brand, ids, now) as players:
            for player_id in sorted(players.states):
                change(players, player_id)
    except (OperationalError, InterfaceError, OSError):
        raise
    except Exception:
        if len(ids) > 1:
            alone = [await for_each(connection, intake, brand, [player_id], now, change) for player_id in ids]
            return [player_id for failed in alone for player_id in failed]
        logger.exception("Player %s of %s cannot be looked at; correct what the traceback names.", ids[0], brand)
        return [*ids]
    return []


_DUE = text(
    """
    SELECT brand, id FROM players WHERE next_moment <= :now
    ORDER BY next_moment LIMIT :limit FOR UPDATE SKIP LOCKED
    """
)
_READ_LATENESS = text(
    """
    SELECT count(*) AS due,
           coalesce(extract(epoch FROM CAST(:now AS timestamptz) - min(next_moment)), 0)::float8 AS late
    FROM (SELECT next_moment FROM players WHERE next_moment <= :now ORDER BY next_moment LIMIT :most) d
    """
)
