"""Virtual time: a heap of future moments, played one after the other."""

import gc
import heapq
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

#: New objects between two looks of the garbage collector, instead of the usual 700.
YOUNG = 100_000


class VirtualClock:
    """A clock that only moves when told, and what is to happen when it does.

    Moments of one instant are played in the order they were made.
    """

    def __init__(self, now: datetime) -> None:
        self.now = now
        self._moments: list[tuple[datetime, int, Callable[[], object]]] = []
        self._order = 0

    @property
    def next_moment(self) -> datetime | None:
        """When something is due next, or None."""
        return self._moments[0][0] if self._moments else None

    def at(self, moment: datetime, happen: Callable[[], object]) -> None:
        """Have something happen at a moment, after whatever was planned for it before."""
        self._order += 1
        heapq.heappush(self._moments, (max(moment, self.now), self._order, happen))

    def advance_to(self, until: datetime) -> None:
        """Play every moment up to and including `until`, which is now afterwards."""
        with rare_collections():
            while self._moments and self._moments[0][0] <= until:
                self.step()
        self.now = max(self.now, until)

    def finish(self) -> None:
        """Play every moment until nothing more is due."""
        with rare_collections():
            while self._moments:
                self.step()

    def step(self) -> None:
        """Play the next moment."""
        moment, _, happen = heapq.heappop(self._moments)
        self.now = max(self.now, moment)
        happen()


@contextmanager
def rare_collections() -> Iterator[None]:
    """Let the garbage collector look less often: most of what a run makes lives until it is over."""
    before = gc.get_threshold()
    if before[0]:
        gc.set_threshold(max(before[0], YOUNG), *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
