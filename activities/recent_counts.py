"""Counts that many are told and that may be seconds old: one process counts once in a while, however many ask."""

import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, Generic, TypeVar

#: How old a count may be that is told, in seconds, and how many a process keeps; then the oldest goes.
LASTS_S: Final = 10.0
MOST_KEPT: Final = 1_000

_Key = TypeVar("_Key", bound=Hashable)


class RecentCounts(Generic[_Key]):
    """The newest count of each thing, by what it is found by."""

    def __init__(self, timer: Callable[[], float] = time.monotonic) -> None:
        self.timer = timer
        #: The count, and when it was counted.
        self._known: dict[_Key, tuple[int, float]] = {}

    async def of(self, key: _Key, count: Callable[[], Awaitable[int]]) -> int:
        """The count as it is known, or counted anew where that is `LASTS_S` old."""
        now, known = self.timer(), self._known.get(key)
        if known is not None:
            if now - known[1] < LASTS_S:
                return known[0]
            # Whoever asks meanwhile is told the old one, and does not count beside us.
            self._known[key] = (known[0], now)
        elif len(self._known) >= MOST_KEPT:
            del self._known[min(self._known, key=lambda one: self._known[one][1])]
        counted = await count()
        self._known[key] = (counted, self.timer())
        return counted
