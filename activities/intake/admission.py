"""Whose turn it is to be taken in: batches wait for each other here, and not in Postgres.

Batches that share players wait for each other's rows anyway. In Postgres each of them would hold a connection all the
while, and the more wait there the slower all of them become.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from prometheus_client import Gauge

WAITING: Final = Gauge("journeys_events_waiting", "Events received that wait for their turn to be taken in.")


class Crowded(TimeoutError):
    """Somebody's turn did not come in time; nothing was done."""


class Turns:
    """Lets at most so many events be taken in at a time; whoever comes first goes first.

    A batch larger than that goes alone. A small one does not overtake a large one that waits, or the large one would
    wait for ever.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.under_way = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def of(self, events: int, patience: float | None) -> AsyncIterator[None]:
        """A turn for so many events, given back at the end of the block.

        Raises `Crowded` when it has not come after `patience` seconds; None waits however long it takes.
        """
        size = min(events, self.most)
        if self._waiting or self.under_way + size > self.most:
            await self._wait(size, patience)
        else:
            self.under_way += size
        try:
            yield
        finally:
            self._give_back(size)

    async def _wait(self, size: int, patience: float | None) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        WAITING.inc(size)
        try:
            async with asyncio.timeout(patience):
                await turn
        except BaseException as left:
            if turn.done() and not turn.cancelled():
                # It came in the same moment.
                self._give_back(size)
            else:
                self._waiting.remove((size, turn))
                self._admit()
            if isinstance(left, TimeoutError):
                raise Crowded(f"No turn came within {patience} s.") from None
            raise
        finally:
            WAITING.dec(size)

    def _give_back(self, size: int) -> None:
        self.under_way -= size
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self.under_way + self._waiting[0][0] <= self.most:
            size, turn = self._waiting[0]
            if turn.cancelled():
                # Its task has yet to hear of it, and will leave the line itself.
                return
            self._waiting.popleft()
            self.under_way += size
            turn.set_result(None)
