"""`journeys derive`: a new or changed rule, counted from the events that were kept."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from cli._console import fail, figures_table, out, plural, progress_bar, say
from cli._environment import open_database, run_on_database, settings_without_database

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.table import Table
    from rich.text import Text

    from activities.bulk_jobs import Job
    from activities.loops.rule_derivation import Deriver
    from workflows.player_state.rule_rebuild import Derivable

#: Players of the first batch, of the smallest and of the largest.
FIRST_BATCH, SMALLEST_BATCH, LARGEST_BATCH = 50, 10, 1_000
#: A batch is as large as fits into so many seconds, for which its players are locked and their events wait.
LOCK_SECONDS = 0.2
#: Characters of a rule's name before the bar: with them and its figures a line fits into 80.
NAME_WIDTH = 24


def derive(
    rule: Annotated[
        str | None, typer.Argument(help="A rule, a measure or a segment; without it they are listed.")
    ] = None,
    *,
    brand: Annotated[str | None, typer.Option(help="Only this brand's players.")] = None,
    per_second: Annotated[float | None, typer.Option(min=0.1, help="At most so many players a second.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Begin anew what was stopped half-way.")] = False,
) -> None:
    """Count a new or changed rule from the kept events, for every player, while intake goes on.

    It starts and wakes nothing. Stop it with Ctrl-C and repeat it: it goes on where it was.
    """
    from activities.clock import DatabaseClock
    from activities.intake.intake import Intake
    from activities.loops.rule_derivation import Deriver
    from workflows.player_state.rule_rebuild import derivables
    from workflows.source.journey_loading import load

    packages = settings_without_database().packages
    rules = load(packages).rules
    known = derivables(rules)
    if rule is None:
        for line in _described(known):
            out.print(line, soft_wrap=True)
        return
    if rule not in known:
        fail(_unknown(rule, known, packages))

    async def work() -> int:
        async with open_database() as database:
            clock = DatabaseClock()
            asked = clock.timer()
            clock.set(await database.now(), asked, clock.timer())
            deriver = Deriver(database, Intake(database, rules), known[rule], clock)
            return await _derive(deriver, brand, again=again, per_second=per_second)

    raise typer.Exit(run_on_database(work()))


def _described(known: Mapping[str, Derivable]) -> Iterator[Text]:
    """Everything that can be derived, a sentence about it and what it reads."""
    from rich.text import Text

    for one in known.values():
        yield Text(one.name, style="bold")
        yield Text(f"  {one.words}")
        reads = (
            f"reads {', '.join(sorted(one.kinds))}" if one.kinds else "reads no events: it follows from what is known"
        )
        lets = f"; lets into {', '.join(one.journeys)}" if one.journeys else ""
        yield Text(f"  {reads}{lets}", style="dim")


def _unknown(name: str, known: Mapping[str, Derivable], packages: Sequence[str]) -> str:
    """What to say to somebody who misspelt a rule, or whose package is not loaded."""
    from content.nearest_name import nearest

    meant = nearest(name, known)
    guess = f" Did you mean {meant}?" if meant else ""
    # The first package is the shipped one.
    alone = "" if packages[1:] else " JOURNEYS names no package of yours; if the rule is your own, name it there."
    return f"There is no rule {name}.{guess}{alone} `journeys derive` without a name lists them."


class Pace:
    """How many players the next batch has, and how long to wait before it."""

    def __init__(self, per_second: float | None) -> None:
        self.per_second = per_second
        self._size = float(FIRST_BATCH)
        self._largest = float(LARGEST_BATCH) if per_second is None else max(1.0, min(LARGEST_BATCH, per_second))

    @property
    def size(self) -> int:
        """Players of the next batch."""
        return int(max(1.0, min(self._size, self._largest)))

    def pause_after(self, players: int, seconds: float) -> float:
        """Learn from a batch how large the next may be; the seconds to wait before it, so that the rate is kept."""
        # On a busy machine even an empty batch takes long; smaller ones would only be more of them.
        fitting = players * LOCK_SECONDS / max(seconds, 0.001)
        self._size = max(SMALLEST_BATCH, min(fitting, 2 * self._size, LARGEST_BATCH))
        return 0.0 if self.per_second is None else max(0.0, players / self.per_second - seconds)


async def _derive(deriver: Deriver, brand: str | None, *, again: bool, per_second: float | None) -> int:
    """Derive a rule and say how it went; the exit code.

    0: done. 1: nobody was there, or a rule raised. 130: stopped with Ctrl-C.

    Whatever the code, and whatever is raised, the same command may be repeated and goes on.
    """
    from activities.loops.rule_derivation import RAISED

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    jobs = await deriver.open(brand, again=again)
    if not jobs:
        whom = f"of brand {brand}" if brand else "at all"
        say(f"There are no players {whom}, so there is nothing to derive.")
        return 1
    if went_before := sum(job.done for job in jobs):
        say(f"Going on after {plural(went_before, 'player')}; --again begins anew.")
    loop.add_signal_handler(signal.SIGINT, stop.set)
    try:
        done = await _work(deriver, jobs, Pace(per_second), stop)
    finally:
        loop.remove_signal_handler(signal.SIGINT)
    out.print(_table(done))
    if stop.is_set():
        say("Stopped. Repeat the same command to go on.")
        return 130
    if raised := sum(job.counts.get(RAISED, 0) for job in done):
        # The first failure is known only to the process that met it.
        first = f" The first: {deriver.failure}" if deriver.failure else ""
        say(f"For {plural(raised, 'player')} a rule raised and was taken for no.{first} Mend it and derive again.")
        return 1
    return 0


async def _work(deriver: Deriver, jobs: Sequence[Job], pace: Pace, stop: asyncio.Event) -> list[Job]:
    """Batch after batch, brand after brand, until nothing is left or somebody stops it; the jobs as they are then."""
    from rich.progress import TextColumn

    loop = asyncio.get_running_loop()
    began, derived = loop.time(), 0
    figures = TextColumn("{task.completed:,} players, {task.fields[rate]:,.0f} a second")
    now = {job.id: job for job in jobs}
    # The bar takes what is left, or the figures would be cut.
    with progress_bar(figures, width=None) as progress:
        name = deriver.what.name
        bar = progress.add_task(name if len(name) <= NAME_WIDTH else f"{name[: NAME_WIDTH - 1]}…", total=None, rate=0)
        for job in jobs:
            while not stop.is_set():
                batch_began = loop.time()
                batch = await deriver.batch(job, pace.size)
                if batch is None:
                    break
                now[job.id] = batch.job
                derived += batch.players
                done, total = (sum(counts) for counts in zip(*((j.done, j.total) for j in now.values()), strict=True))
                rate = derived / max(loop.time() - began, 0.001)
                # Players who came since it began are derived too.
                progress.update(bar, completed=done, total=max(done, total), rate=rate)
                with suppress(TimeoutError):
                    pause = pace.pause_after(batch.players, loop.time() - batch_began)
                    await asyncio.wait_for(stop.wait(), pause)
    return [*now.values()]


def _table(done: Sequence[Job]) -> Table:
    from activities.loops.rule_derivation import COUNTED, RAISED

    rare = {"unreadable", RAISED}
    headings = {
        "unreadable": "events no class reads",
        "entered": "came in",
        "left": "went out",
        RAISED: "a rule raised",
    }
    shown = [name for name in (*COUNTED, RAISED) if name not in rare or any(job.counts.get(name) for job in done)]
    table = figures_table(["brand"], ["players", *(headings.get(name, name) for name in shown)])
    for job in done:
        table.add_row(job.brand, f"{job.done:,}", *(f"{job.counts.get(name, 0):,}" for name in shown))
    return table
