"""`journeys derive` as a terminal sees it: a bar, a rate, Ctrl-C, and a table at the end."""

import asyncio
import signal
from collections.abc import Sequence
from contextlib import suppress

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from activities.loops.backfill import COUNTED, RAISED, Deriver
from activities.loops.bulk_jobs import Job

#: Players of the first batch, of the smallest and of the largest. Between these a batch is as large as fits into `HOLD`
#: seconds, for which its players are locked and their events wait.
FIRST, LEAST, MOST, HOLD = 50, 10, 1_000, 0.2
#: Characters of a rule's name before the bar: with them and its figures a line fits into 80.
NAMED = 24
HEADINGS = {"unreadable": "events no class reads", "entered": "came in", "left": "went out", RAISED: "a rule raised"}


class Pace:
    """How many players to take next, and how long to wait before."""

    def __init__(self, per_second: float | None) -> None:
        self.per_second = per_second
        self._size = float(FIRST)
        self._most = float(MOST) if per_second is None else max(1.0, min(MOST, per_second))

    @property
    def size(self) -> int:
        """Players of the next batch."""
        return int(max(1.0, min(self._size, self._most)))

    def took(self, players: int, seconds: float) -> float:
        """Learn from a batch; the seconds to wait, so that the rate is kept."""
        # On a busy machine even an empty batch takes long; smaller ones would only be more of them.
        self._size = max(LEAST, min(players * HOLD / max(seconds, 0.001), 2 * self._size, MOST))
        return 0.0 if self.per_second is None else max(0.0, players / self.per_second - seconds)


async def derive_on_terminal(deriver: Deriver, brand: str | None, *, again: bool, per_second: float | None) -> int:
    """Derive a rule and tell how it went; the exit code.

    0: done. 1: nobody was there, or a rule raised. 130: stopped with Ctrl-C.

    Whatever the code, and whatever is raised, the same command may be repeated and goes on.
    """
    say = Console(stderr=True)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    jobs = await deriver.open(brand, again=again)
    if not jobs:
        whom = f"of brand {brand}" if brand else "at all"
        say.print(f"There are no players {whom}, so there is nothing to derive.", highlight=False, soft_wrap=True)
        return 1
    if went_before := sum(job.done for job in jobs):
        say.print(f"Going on after {_players(went_before)}; --again begins anew.", highlight=False, soft_wrap=True)
    loop.add_signal_handler(signal.SIGINT, stop.set)
    try:
        done = await _work(deriver, jobs, Pace(per_second), stop, say)
    finally:
        loop.remove_signal_handler(signal.SIGINT)
    Console().print(_table(done))
    if stop.is_set():
        say.print("Stopped. Repeat the same command to go on.", highlight=False, soft_wrap=True)
        return 130
    if raised := sum(job.counts.get(RAISED, 0) for job in done):
        say.print(_failed(raised, deriver.failure), markup=False, highlight=False, soft_wrap=True)
        return 1
    return 0


def _failed(raised: int, failure: str | None) -> str:
    """What to do about rules that raised; the first failure is known only to the process that met it."""
    told = f"For {_players(raised)} a rule raised and was taken for no."
    first = f" The first: {failure}" if failure else ""
    return f"{told}{first} Mend it and derive again."


def _players(count: int) -> str:
    return f"{count:,} player{'' if count == 1 else 's'}"


async def _work(deriver: Deriver, jobs: Sequence[Job], pace: Pace, stop: asyncio.Event, say: Console) -> list[Job]:
    """Batch after batch, brand after brand, until nothing is left or somebody stops it; the jobs as they are then."""
    loop = asyncio.get_running_loop()
    began, taken = loop.time(), 0
    columns = (
        TextColumn("{task.description}", markup=False),
        # The bar takes what is left, or the figures would be cut.
        BarColumn(bar_width=None),
        TaskProgressColumn(),
        TextColumn("{task.completed:,} players, {task.fields[rate]:,.0f} a second"),
        TimeRemainingColumn(),
    )
    now = {job.id: job for job in jobs}
    with Progress(*columns, console=say) as progress:
        name = deriver.what.name
        bar = progress.add_task(name if len(name) <= NAMED else f"{name[: NAMED - 1]}…", total=None, rate=0)
        for job in jobs:
            while not stop.is_set():
                at = loop.time()
                batch = await deriver.batch(job, pace.size)
                if batch is None:
                    break
                now[job.id] = batch.job
                taken += batch.players
                done, total = (sum(figures) for figures in zip(*((j.done, j.total) for j in now.values()), strict=True))
                rate = taken / max(loop.time() - began, 0.001)
                # Players who came since it began are derived too.
                progress.update(bar, completed=done, total=max(done, total), rate=rate)
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), pace.took(batch.players, loop.time() - at))
    return [*now.values()]


def _table(done: Sequence[Job]) -> Table:
    table = Table(box=None)
    table.add_column("brand")
    rare = {"unreadable", RAISED}
    shown = [name for name in (*COUNTED, RAISED) if name not in rare or any(job.counts.get(name) for job in done)]
    for heading in ("players", *(HEADINGS.get(name, name) for name in shown)):
        table.add_column(heading, justify="right")
    for job in done:
        table.add_row(job.brand, f"{job.done:,}", *(f"{job.counts.get(name, 0):,}" for name in shown))
    return table
