"""The clock that every process is given, so that a test can stop it, and how a loop rests."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The clock of production: now, aware, in UTC."""
    return datetime.now(UTC)


async def sleep_or_stop(stop: asyncio.Event, seconds: float) -> None:
    """Sleep for so many seconds, or until told to stop."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
