"""The loops of a process: they rest, they go on after what fails, they end when told."""

import asyncio
import logging

import pytest
from sqlalchemy.exc import OperationalError

from activities.repeating import repeat
from tests.support.machine import within


async def test_a_step_that_fails_is_tried_again_until_told_to_stop(caplog: pytest.LogCaptureFixture) -> None:
    stop, failures = asyncio.Event(), [OperationalError("", None, Exception("gone")), KeyError("a slip")]

    async def step() -> None:
        if failures:
            raise failures.pop(0)
        stop.set()

    with caplog.at_level(logging.WARNING):
        async with within(60):
            await repeat(step, stop, every_s=0.0, what="counting")
    told = [(one.levelname, one.exc_info is not None) for one in caplog.records]
    assert told == [("WARNING", False), ("ERROR", True)]
    assert "counting" in caplog.text


async def test_there_is_no_pause_while_there_is_more() -> None:
    stop, left = asyncio.Event(), [3]

    async def step() -> bool:
        left[0] -= 1
        if not left[0]:
            stop.set()
        return True

    async with within(60):
        await repeat(step, stop, every_s=3_600.0, what="counting")
    assert left == [0]
