"""The one clock of every process: what is asked for the time, so that a test may hold it."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The clock of production: now, aware, in UTC."""
    return datetime.now(UTC)
