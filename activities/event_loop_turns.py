"""Turns of the event loop: long work lets others go on in between, and lets pass what protects players."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")

#: Items worked on before others get a turn. A faulty event costs a hundred times what a good one does.
AT_ONCE: Final = 10
#: Seconds for which other work stands still at a time while something protects; then it goes on a little all the same.
LONGEST_PAUSE: Final = 0.05


class Precedence:
    """Whether something is under way that protects a player, for which other work stands still."""

    def __init__(self) -> None:
        self._under_way = 0
        self._over = asyncio.Event()

    @contextmanager
    def protecting(self) -> Iterator[None]:
        """Have others let this pass until the block ends."""
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._over.set()
                self._over = asyncio.Event()

    async def give_way(self) -> None:
        """Let everybody else have a turn, and what protects as many as it needs.

        Not to be called with a player's row in hand: what protects may need that very row.
        """
        await _turn()
        if self._under_way:
            with suppress(TimeoutError):
                async with asyncio.timeout(LONGEST_PAUSE):
                    await self._over.wait()


class _Line:
    """All long work of one event loop: each time round the loop a single one of them goes on.

    Who needs many short turns, as every wait for Postgres is one, then waits for one piece of long work each time and
    not for a piece of each. The whole is done as fast, and most of it sooner.
    """

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def turn(self) -> None:
        """Return when it is one's turn, at the next time round the loop at the soonest."""
        loop = asyncio.get_running_loop()
        mine: asyncio.Future[None] = loop.create_future()
        self._waiting.append(mine)
        if len(self._waiting) == 1:
            loop.call_soon(self._next)
        await mine

    def _next(self) -> None:
        while self._waiting:
            one = self._waiting.popleft()
            if not one.done():
                one.set_result(None)
                break
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._next)


#: Nothing of a line leads to its loop, or the loop would be kept for ever.
_LINES: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, _Line]] = WeakKeyDictionary()


async def _turn() -> None:
    await _LINES.setdefault(asyncio.get_running_loop(), _Line()).turn()


async def in_turns(items: Iterable[T], precedence: Precedence | None = None) -> AsyncIterator[T]:
    """The items one by one, with a turn for everybody else after every few of them."""
    for number, item in enumerate(items, 1):
        if number % AT_ONCE == 0:
            await (_turn() if precedence is None else precedence.give_way())
        yield item
