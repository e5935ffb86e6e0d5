"""Long work goes on a piece at a time: whoever needs many short turns waits for one piece each time, not for all."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from activities.event_loop_turns import AT_ONCE, LONGEST_PAUSE, Precedence, in_turns

PIECES = 20


class Work:
    """Tasks that work through items in turns, and what each has done."""

    def __init__(self) -> None:
        self.done: Counter[int] = Counter()
        self.tasks: list[asyncio.Task[None]] = []

    def begin(self, precedence: Precedence | None = None) -> None:
        self.tasks.append(asyncio.create_task(self._do(len(self.tasks), precedence)))

    async def _do(self, number: int, precedence: Precedence | None) -> None:
        async for item in in_turns(range(PIECES * AT_ONCE), precedence):
            assert item == self.done[number]
            self.done[number] += 1


@pytest.fixture
async def work() -> AsyncIterator[Work]:
    made = Work()
    yield made
    for task in made.tasks:
        task.cancel()
    await asyncio.gather(*made.tasks, return_exceptions=True)


async def test_each_time_round_one_piece_of_all_long_work_is_done(work: Work) -> None:
    for _ in range(5):
        work.begin()
    await asyncio.sleep(0)
    rounds = 0
    while any(not task.done() for task in work.tasks):
        before = work.done.total()
        await asyncio.sleep(0)
        rounds += 1
        assert work.done.total() - before <= AT_ONCE
    assert work.done == dict.fromkeys(range(5), PIECES * AT_ONCE)
    # It stands still for nobody: all but the beginning and the end of it takes no more rounds than pieces.
    assert rounds <= 5 * PIECES + 5


async def test_all_work_comes_forward_alike(work: Work) -> None:
    for _ in range(3):
        work.begin()
    for _ in range(PIECES):
        await asyncio.sleep(0)
    assert max(work.done.values()) - min(work.done.values()) <= AT_ONCE


async def test_work_that_is_given_up_takes_nobodys_turn_along(work: Work) -> None:
    for _ in range(3):
        work.begin()
    await asyncio.sleep(0)
    work.tasks[0].cancel()
    work.tasks[1].cancel()
    await work.tasks[2]
    assert work.done[2] == PIECES * AT_ONCE


async def test_work_stands_still_while_something_protects_and_not_for_ever(work: Work) -> None:
    precedence = Precedence()
    loop = asyncio.get_running_loop()
    with precedence.protecting():
        work.begin(precedence)
        began = loop.time()
        while work.done[0] < 2 * AT_ONCE:
            await asyncio.sleep(0)
        assert loop.time() - began >= LONGEST_PAUSE / 2
        done = work.done[0]
    await work.tasks[0]
    assert work.done[0] > done
