"""Limits how many events one process ingests at a time; first in, first out.

Batches wait for each other here and not in Postgres. Those that share players wait for each
other's rows anyway; in Postgres each of them would hold a connection all the while, and the more wait there the slower
all of them become.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

from prometheus_client import Gauge

#: More events than this in a batch that protects make others wait, so such batches go one at a time.
LARGE: Final = 50

WAITING: Final = Gauge("journeys_events_waiting", "Events received that wait for their turn to be taken in.")


class AdmissionTimeout(TimeoutError):
    """A batch was not admitted in time; nothing was done."""


class AdmissionQueue:
    """Admits at most so many events at a time; whoever comes first goes first.

    A batch larger than that goes alone. A small one does not overtake a large one that waits, or the large one would
    wait for ever.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.under_way = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def admitted(self, events: int, timeout: timedelta | None) -> AsyncIterator[None]:  # noqa: ASYNC109 - it bounds the wait, not the block
        """Hold room for so many events until the block ends.

        Raises `AdmissionTimeout` when there was none after `timeout`; None waits however long it takes.
        """
        size = min(events, self.capacity)
        if self._waiting or self.under_way + size > self.capacity:
            await self._wait(size, timeout)
        else:
            self.under_way += size
        try:
            yield
        finally:
            self._release(size)

    async def _wait(self, size: int, timeout: timedelta | None) -> None:  # noqa: ASYNC109 - as above
        admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, admitted))
        WAITING.inc(size)
        try:
            async with asyncio.timeout(None if timeout is None else timeout.total_seconds()):
                await admitted
        except BaseException as error:
            if admitted.done() and not admitted.cancelled():
                # It came in the same moment.
                self._release(size)
            else:
                self._waiting.remove((size, admitted))
                self._admit()
            if isinstance(error, TimeoutError):
                raise AdmissionTimeout(f"No turn came within {timeout}.") from None
            raise
        finally:
            WAITING.dec(size)

    def _release(self, size: int) -> None:
        self.under_way -= size
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self.under_way + self._waiting[0][0] <= self.capacity:
            size, admitted = self._waiting[0]
            if admitted.cancelled():
                # Its task has yet to hear of it, and will leave the line itself.
                return
            self._waiting.popleft()
            self.under_way += size
            admitted.set_result(None)
