"""The machine that the tests run on: how slow it is, and how to wait on it."""

import asyncio
import inspect
import os
import re
import shutil
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar, overload

import psutil
import pytest

from local.slowness import slowness

T = TypeVar("T")
#: What a session calls its folder, before its own process id.
FOLDER = "journeys-tests-"
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.002, 0.05


def promised(seconds: float) -> float:
    """The limit for an answer that is promised within so many seconds.

    `slowness` is measured while nothing else runs; beside another worker an answer takes up to twice as long.
    """
    return seconds * slowness() * (2 if "PYTEST_XDIST_WORKER" in os.environ else 1)


def within(seconds: float) -> asyncio.Timeout:
    """`asyncio.timeout`, in seconds of a usual machine."""
    return asyncio.timeout(seconds * slowness())


async def unhurried(attempt: Callable[[timedelta], Awaitable[None]]) -> None:
    """Make an attempt in which one wait is to run out, within as little time as the machine lets it.

    The limit it is given holds for the waits that are to end well too, which a machine that stands still ends
    otherwise. So an attempt that fails is made again with ten times as long, and what the last one says counts.
    """
    for limit in (timedelta(seconds=0.3), timedelta(seconds=3)):
        with suppress(Exception, pytest.fail.Exception):
            await attempt(limit)
            return
    await attempt(timedelta(seconds=30))


def remove_left_behind(place: Path) -> None:
    """Remove the folders of sessions that were killed: in memory they would take its room until the next boot."""
    for folder in place.glob(f"{FOLDER}*"):
        owner = re.match(rf"{FOLDER}(\d+)-", folder.name)
        if owner is not None and not psutil.pid_exists(int(owner[1])):
            shutil.rmtree(folder, ignore_errors=True)


@overload
async def eventually(condition: Callable[[], Awaitable[T | None]], *, within: float = 60) -> T: ...


@overload
async def eventually(condition: Callable[[], T | None], *, within: float = 60) -> T: ...


async def eventually(condition: Callable[[], Any], *, within: float = 60) -> Any:
    """What the condition returns, as soon as that is true; it may be a coroutine function.

    `within` is in seconds of a usual machine. Raises TimeoutError with the last answer when it never is.
    """
    answer = None
    pause = FIRST_PAUSE_S
    try:
        async with asyncio.timeout(within * slowness()):
            while True:
                result = condition()
                answer = await result if inspect.isawaitable(result) else result
                if answer:
                    return answer
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, LONGEST_PAUSE_S)
    except TimeoutError as late:
        raise TimeoutError(f"Not within {within * slowness():.0f} s; the last answer was {answer!r}.") from late
