"""Work that would hold up everything else of a process, done in one of its own."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from multiprocessing import get_context
from typing import ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Beside(Protocol):
    """Where work is done."""

    async def do(self, work: Callable[P, T], *args: P.args, **more: P.kwargs) -> T:
        """What `work` returns. Raises what the work raises."""


class InPlace:
    """Where it is asked for, for tests."""

    async def do(self, work: Callable[P, T], *args: P.args, **more: P.kwargs) -> T:
        """What `work` returns."""
        return work(*args, **more)


class OwnProcess:
    """A process that one piece of work after the other is done in."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    async def do(self, work: Callable[P, T], *args: P.args, **more: P.kwargs) -> T:
        """What `work` returns, done in the process. Raises what the work raises."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, partial(work, *args, **more))


@asynccontextmanager
async def own_process() -> AsyncIterator[OwnProcess]:
    """A process that is begun for the block and ended with it.

    Who is told to stop meanwhile ends that process and does not wait for the work.
    """
    # Leaving the pool's own `with` would wait for the work on the event loop, also when told to stop.
    pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
    beside = OwnProcess(pool)
    process: int | None = None
    try:
        process = await beside.do(os.getpid)
        yield beside
    except asyncio.CancelledError:
        if process is not None:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


async def in_own_process(work: Callable[P, T], *args: P.args, **more: P.kwargs) -> T:
    """What `work` returns, done in a process that is begun for it and ended with it. Raises what the work raises."""
    async with own_process() as beside:
        return await beside.do(work, *args, **more)
