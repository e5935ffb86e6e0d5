"""How fast one player may press buttons and open streams: a bucket that leaks, in the memory of each process."""

import math
import time
from collections.abc import Callable
from typing import Final

from api.permissions import Key
from api.problems import Problem

#: Players whose buckets a process remembers; who pressed longest ago is forgotten first.
MOST: Final = 100_000


class PlayerPace:
    """So many at once, and so many a second from then on."""

    def __init__(self, at_once: int, a_second: float, timer: Callable[[], float] = time.monotonic) -> None:
        self._at_once = at_once
        self._a_second = a_second
        self._timer = timer
        #: By brand and player: when the last one was let pass, and how full the bucket was then.
        self._levels: dict[tuple[str, str], tuple[float, float]] = {}

    def take(self, key: Key) -> None:
        """Let one pass. Raises `Problem` where it is too early, which fills no bucket: asking again does no harm."""
        assert key.player_id is not None
        whose, now = (key.brand, key.player_id), self._timer()
        at, level = self._levels.get(whose, (now, 0.0))
        level = max(0.0, level - (now - at) * self._a_second)
        if (over := level + 1 - self._at_once) > 0:
            wait = max(1, math.ceil(over / self._a_second))
            raise Problem("too-fast", "Do it again in a moment.", headers={"Retry-After": str(wait)})
        self._levels.pop(whose, None)
        if len(self._levels) >= MOST:
            del self._levels[next(iter(self._levels))]
        self._levels[whose] = (now, level + 1)
