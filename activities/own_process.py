"""Work that would hold up everything else of a process, done in one of its own."""

import asyncio
import os
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def in_own_process(work: Callable[P, T], *args: P.args, **_: P.kwargs) -> T:
    """What `work` returns, done in a process that is begun for it and ended with it.

    Who is told to stop meanwhile ends that process and does not wait for the work. Raises what the work raises.
    """
    loop = asyncio.get_running_loop()
    # Leaving the pool's own `with` would wait for the work on the event loop, also when told to stop.
    pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
    process: int | None = None
    try:
        process = await loop.run_in_executor(pool, os.getpid)
        return await loop.run_in_executor(pool, work, *args)
    except asyncio.CancelledError:
        if process is not None:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
