"""The clock that every process is given, so that a test can stop it, and how a loop rests."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

Clock = Callable[[], datetime]

#: After so many seconds any reading of the database's clock is better than the one before.
STALE_S: Final = 60.0


def utc_now() -> datetime:
    """What this machine takes for the time: now, aware, in UTC. Decides nothing but until the database is asked."""
    return datetime.now(UTC)


class DatabaseClock:
    """The clock of production: the database's, so that all processes decide by one.

    It goes by this process's own ticking and is set by what the database says now and then (`Processes.beat`), so it
    costs no question; it is wrong by no more than half of how long that answer took. Until the first one it is the
    machine's.
    """

    def __init__(self, own: Clock = utc_now, timer: Callable[[], float] = time.monotonic) -> None:
        self.own = own
        self.timer = timer
        self._told: datetime | None = None
        self._at = 0.0
        self._answer_took = 0.0

    def __call__(self) -> datetime:
        """Now, aware, in UTC."""
        if self._told is None:
            return self.own()
        return self._told + timedelta(seconds=self.timer() - self._at)

    def set(self, told: datetime, asked: float, answered: float) -> None:
        """Take over what the database said between two instants of `timer`, unless an earlier answer was surer."""
        took = answered - asked
        if self._told is None or took <= 2 * self._answer_took or answered - self._at > STALE_S:
            self._told, self._at, self._answer_took = told.astimezone(UTC), (asked + answered) / 2, took


async def sleep_or_stop(stop: asyncio.Event, seconds: float) -> None:
    """Sleep for so many seconds, or until told to stop."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
