"""Work in a process of its own."""

import asyncio
import math
import multiprocessing
import os
import time
from pathlib import Path

import pytest

from activities.own_process import in_own_process, own_process
from tests.support.machine import eventually, within


async def test_it_returns_what_the_work_returns_and_ends_the_process() -> None:
    assert await in_own_process(math.factorial, 5) == 120
    await eventually(lambda: not multiprocessing.active_children())


async def test_one_process_does_one_piece_of_work_after_the_other_and_goes_on_after_one_that_failed() -> None:
    async with own_process() as beside:
        first = await beside.do(os.getpid)
        with pytest.raises(ValueError, match="invalid literal"):
            await beside.do(int, "ten")
        assert await beside.do(os.getpid) == first != os.getpid()
    await eventually(lambda: not multiprocessing.active_children())


async def test_it_raises_what_the_work_raises() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        await in_own_process(int, "ten")


async def test_who_is_told_to_stop_waits_for_no_work_and_leaves_no_process_behind(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    working = asyncio.create_task(in_own_process(_work_long, begun))
    await eventually(begun.exists)
    working.cancel()
    async with within(60):
        with pytest.raises(asyncio.CancelledError):
            await working
    await eventually(lambda: not multiprocessing.active_children())


def _work_long(begun: Path) -> None:
    begun.touch()
    time.sleep(600)
