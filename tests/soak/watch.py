"""What is looked at while the soak runs: how much waits, and how much memory our processes hold."""

import asyncio
import time
from dataclasses import dataclass, field
from itertools import combinations
from statistics import median

import psutil
import psycopg

from local.stack import Stack

PARTS = ("api", "worker", "dispatcher")
PERIOD = 1.0
MIB = 1024 * 1024

WAITING = """
SELECT (SELECT count(*) FROM deliveries), (SELECT count(*) FROM runs WHERE state = 'active' AND arm = 'treated')
"""


@dataclass(frozen=True)
class Sample:
    """One look. `memory` is by part: the process and its bytes."""

    at: float
    deliveries: int
    runs: int
    memory: dict[str, tuple[int, int]]


@dataclass
class Watch:
    """Looks once a second until cancelled."""

    stack: Stack
    samples: list[Sample] = field(default_factory=list)

    async def look(self) -> None:
        database = self.stack.environment()["DATABASE_URL"].replace("+psycopg", "")
        async with await psycopg.AsyncConnection.connect(database, autocommit=True, connect_timeout=5) as connection:
            while True:
                row = await (await connection.execute(WAITING)).fetchone()
                assert row is not None
                memory = {part: held for part in PARTS if (held := self._held(part)) is not None}
                self.samples.append(Sample(time.monotonic(), row[0], row[1], memory))
                await asyncio.sleep(PERIOD)

    def _held(self, part: str) -> tuple[int, int] | None:
        pid = self.stack.pid(part)
        if pid is None:
            return None
        try:
            process = psutil.Process(pid)
            family = [process, *process.children(recursive=True)]
            return pid, sum(one.memory_info().rss for one in family)
        except psutil.NoSuchProcess:
            return None


@dataclass(frozen=True)
class Growth:
    """How one process's memory moved once it was warm."""

    part: str
    seconds: float
    mebibytes: float
    #: Of itself, in ten minutes.
    share: float


def growth(samples: list[Sample], part: str, warm_after: float) -> Growth | None:
    """The slope of the longest life of a part, by Theil and Sen, which a few outliers do not move."""
    lives: dict[int, list[tuple[float, int]]] = {}
    for sample in samples:
        if part in sample.memory:
            pid, held = sample.memory[part]
            lives.setdefault(pid, []).append((sample.at, held))
    if not lives:
        return None
    longest = max(lives.values(), key=lambda life: life[-1][0] - life[0][0])
    warm = [(at, held) for at, held in longest if at >= longest[0][0] + warm_after]
    if len(warm) < 10:
        return None
    thinned = warm[:: max(1, len(warm) // 200)]
    slope = median((b - a) / (t - s) for (s, a), (t, b) in combinations(thinned, 2))
    middle = median(held for _, held in warm)
    return Growth(part, warm[-1][0] - warm[0][0], middle / MIB, slope * 600 / middle)


def calm_again(waiting: list[tuple[float, int]], normal: int, since: float, stay: float) -> float | None:
    """Seconds after `since` until no more than `normal` waits, and stays so for a while; None if it never does."""
    begun: float | None = None
    for at, count in waiting:
        if at < since:
            continue
        if count > normal:
            begun = None
        elif begun is None:
            begun = at
        if begun is not None and at - begun >= stay:
            return begun - since
    return None
