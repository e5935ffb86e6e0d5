"""Requests a second of one live event each that wakes a run, beside the same that wakes nobody.

python bench/single_commits.py [--seconds N] [--runs N] [--callers N] [--rounds N]
"""

import argparse
import asyncio
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count

from bench.harness import House, batches, house
from bench.measuring import Figures, alternate, leave, main
from bench.reaction import park, register
from bench.traffic import cloud_event, players

#: What a parked run waits for, and what it does not.
WAKES, PASSES = "bench.called", "bench.woken"
READING = ("dispatcher", "worker")


@contextmanager
def frozen(built: House) -> Iterator[None]:
    """Nobody works on what is committed, so that only the commits are measured."""
    pids = [pid for name in READING if (pid := built.pid(name))]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


async def measure(given: argparse.Namespace) -> Figures:
    async with house(journeys="bench.journeys", extra={"BACKLOG_HIGH": "10000000"}) as built:
        ids = players(given.runs)
        await register(built, ids)
        await park(built, ids)
        with frozen(built):
            return await compare(built, given, ids)


async def compare(built: House, given: argparse.Namespace, ids: Sequence[str]) -> Figures:
    """Both sides in turn, while nobody listens."""
    numbers = count()

    async def requests(kind: str, seconds: float) -> float:
        await built.sql.execute("DELETE FROM deliveries")
        await built.sql.execute("VACUUM deliveries")
        await built.settle()
        began = time.perf_counter()
        sent = 0

        async def caller() -> None:
            nonlocal sent
            while time.perf_counter() - began < seconds:
                number = next(numbers)
                await built.post(batches([cloud_event(kind, ids[number % len(ids)], f"single-{number}")], 1)[0])
                sent += 1

        await asyncio.gather(*(caller() for _ in range(given.callers)))
        rate = sent / (time.perf_counter() - began)
        waiting = await built.count("SELECT count(*) FROM deliveries")
        assert waiting == (sent if kind == WAKES else 0), f"{waiting} deliveries after {sent} events of {kind}."
        return rate

    for kind in (WAKES, PASSES):
        await requests(kind, 1)
    compared = await alternate(
        given.rounds,
        lambda _: requests(WAKES, given.seconds),
        lambda _: requests(PASSES, given.seconds),
        what="Single events",
        unit="requests/s",
    )
    return compared.figures("single_commits", "single_commits_per_s", "single_commits_unmatched_per_s", 0)


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=8, help="length of a round on one side")
    options.add_argument("--runs", type=int, default=500, help="players in runs that wait")
    options.add_argument("--callers", type=int, default=32)
    options.add_argument("--rounds", type=int, default=3)
    given = options.parse_args()
    leave(main(lambda: measure(given)))
