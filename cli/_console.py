"""What commands say and show: sentences on stderr, results on stdout, one way of counting and of drawing a bar."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import typer
from rich.console import Console

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import timedelta

    from rich.progress import Progress, ProgressColumn
    from rich.table import Table

out = Console()
err = Console(stderr=True)


def say(sentence: object, *, style: str | None = None) -> None:
    """Tell the person at the terminal something; it stays out of what a script reads."""
    err.print(str(sentence), style=style, markup=False, highlight=False, soft_wrap=True)


def fail(sentence: object, code: int = 1) -> NoReturn:
    """Say why the command is not done, and end it."""
    say(sentence)
    raise typer.Exit(code)


def print_lines(lines: Iterable[object]) -> None:
    """Results, one a line, never broken by us."""
    for line in lines:
        out.print(str(line), markup=False, highlight=False, soft_wrap=True)


def plural(count: int, noun: str) -> str:
    """`1 player`, `2,000 players`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def duration(span: timedelta) -> str:
    """A duration in its largest whole unit, such as `14 days`."""
    for unit, seconds in (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)):
        count, rest = divmod(span.total_seconds(), seconds)
        if count and not rest:
            return f"{count:.0f} {unit}{'s' if count > 1 else ''}"
    return str(span)


def about(seconds: float) -> str:
    """How long something takes, roughly: `45 s`, `12 minutes`, `3.1 hours`."""
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    minutes = seconds / 60
    return f"{minutes:.0f} minutes" if minutes < 100 else f"{minutes / 60:.1f} hours"


def figures_table(texts: Sequence[str], figures: Sequence[str]) -> Table:
    """A table without lines: some columns of text, then columns of numbers."""
    from rich.table import Table

    table = Table(box=None)
    for heading in texts:
        table.add_column(heading, no_wrap=True)
    for heading in figures:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def progress_bar(
    *figures: ProgressColumn, after: Sequence[ProgressColumn] = (), width: int | None = 40, transient: bool = False
) -> Progress:
    """A bar with its task's description before it, and `figures` between the percentage and the time that is left.

    A `width` of None lets the bar shrink to what the figures leave.
    """
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    before = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=width), TaskProgressColumn())
    return Progress(*before, *figures, TimeRemainingColumn(), *after, console=err, transient=transient)
