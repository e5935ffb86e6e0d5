"""The clock that every process is given, so that a test can stop it."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The clock of production: now, aware, in UTC."""
    return datetime.now(UTC)
