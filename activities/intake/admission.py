"""Limits how many events one process ingests at a time; brands take turns, and in each it is first in, first out.

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

WAITING: Final = Gauge("journeys_events_waiting", "Events received that wait for their turn to be taken in.")


class AdmissionTimeout(TimeoutError):
    """A batch was not admitted in time; nothing was done."""


class AdmissionQueue:
    """Admits at most so many events at a time; lines take turns, and in a line whoever comes first goes first.

    A batch larger than that goes alone. A small one does not overtake a large one whose turn it is, or the large one
    would wait for ever. Each brand stands in a line of its own, so that one with a hundred batches waiting delays
    another by one of them.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.under_way = 0
        #: The lines in which somebody waits; the first of the first is admitted next.
        self._waiting: dict[str, deque[tuple[int, asyncio.Future[None]]]] = {}

    @asynccontextmanager
    async def admitted(
        self,
        events: int,
        timeout: timedelta | None,  # noqa: ASYNC109 - it bounds the wait, not the block
        line: str = "",
    ) -> AsyncIterator[None]:
        """Hold room for so many events until the block ends.

        Raises `AdmissionTimeout` when there was none after `timeout`; None waits however long it takes.
        """
        size = min(events, self.capacity)
        if self._waiting or self.under_way + size > self.capacity:
            await self._wait(size, timeout, line)
        else:
            self.under_way += size
        try:
            yield
        finally:
            self._release(size)

    async def _wait(self, size: int, timeout: timedelta | None, line: str) -> None:  # noqa: ASYNC109 - as above
        admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(line, deque()).append((size, admitted))
        WAITING.inc(size)
        try:
            async with asyncio.timeout(None if timeout is None else timeout.total_seconds()):
                await admitted
        except BaseException as error:
            if admitted.done() and not admitted.cancelled():
                # It came in the same moment.
                self._release(size)
            else:
                self._leave(line, (size, admitted))
                self._admit()
            if isinstance(error, TimeoutError):
                raise AdmissionTimeout(f"No turn came within {timeout}.") from None
            raise
        finally:
            WAITING.dec(size)

    def _release(self, size: int) -> None:
        self.under_way -= size
        self._admit()

    def _leave(self, line: str, one: tuple[int, asyncio.Future[None]]) -> None:
        self._waiting[line].remove(one)
        if not self._waiting[line]:
            del self._waiting[line]

    def _admit(self) -> None:
        while self._waiting:
            line, waiting = next(iter(self._waiting.items()))
            size, admitted = waiting[0]
            # A task that was cancelled has yet to hear of it, and will leave the line itself.
            if admitted.cancelled() or self.under_way + size > self.capacity:
                return
            self._leave(line, (size, admitted))
            if waiting:
                # Its turn is over; the others come first.
                self._waiting[line] = self._waiting.pop(line)
            self.under_way += size
            admitted.set_result(None)
