"""An import as a terminal sees it: a bar, a rate, Ctrl-C, and a table at the end."""

import asyncio
import signal
from contextlib import suppress
from pathlib import Path

import httpx
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from activities.importing.event_sender import Events, Mode
from activities.importing.source_file import Importer, Report, SourceFile
from workflows.errors import JourneysError

LOOK = 0.2


async def import_on_terminal(file: SourceFile, url: str, key: str, mode: Mode, rejections: Path, *, batch: int) -> int:
    """Send a file and tell how it went; the exit code.

    0: everything is kept. 1: some rows were rejected, or the API went away. 130: stopped with Ctrl-C. Whatever the
    code, the same command may be repeated. Raises JourneysError when nothing could be sent at all.
    """
    say = Console(stderr=True)
    failure: JourneysError | None = None
    async with httpx.AsyncClient() as http:
        importer = Importer(file, Events(http, url, key), mode, rejections, batch=batch)
        showing = asyncio.create_task(_show(importer, say))
        _stop_on_ctrl_c(importer)
        try:
            await importer.run()
        except JourneysError as error:
            failure = error
        finally:
            showing.cancel()
            with suppress(asyncio.CancelledError):
                await showing
            asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)
    report = importer.report
    if failure is not None and not report.sent:
        raise failure
    Console().print(_table(report))
    if report.rejected:
        say.print(f"Rejected rows and why: {rejections}", soft_wrap=True)
    if failure is not None:
        say.print(str(failure), markup=False, highlight=False, soft_wrap=True)
        return 1
    if report.stopped:
        say.print("Stopped. Repeat the same command to go on; what was kept is not counted twice.", soft_wrap=True)
        return 130
    return 1 if report.rejected else 0


def _stop_on_ctrl_c(importer: Importer) -> None:
    loop = asyncio.get_running_loop()

    def leave() -> None:
        # A second Ctrl-C does not wait for the requests under way.
        loop.remove_signal_handler(signal.SIGINT)
        importer.stop.set()

    loop.add_signal_handler(signal.SIGINT, leave)


async def _show(importer: Importer, say: Console) -> None:
    loop = asyncio.get_running_loop()
    file, report, began = importer.file, importer.report, loop.time()
    columns = (
        TextColumn(file.path.name),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[sent]:,} events, {task.fields[rate]:,.0f} a second"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[waiting]}"),
    )
    with Progress(*columns, console=say) as progress:
        bar = progress.add_task("", total=file.size, sent=0, rate=0, waiting="")
        try:
            while True:
                rate = report.sent / max(loop.time() - began, 0.001)
                waiting = importer.events.waiting
                progress.update(bar, completed=file.read, sent=report.sent, rate=rate, waiting=waiting)
                await asyncio.sleep(LOOK)
        finally:
            rate = report.sent / max(loop.time() - began, 0.001)
            progress.update(bar, completed=file.read, sent=report.sent, rate=rate, waiting="")


def _table(report: Report) -> Table:
    table = Table(box=None)
    figures = {
        "sent": report.sent,
        "accepted": report.accepted,
        "duplicate": report.duplicate,
        "rejected": report.rejected,
    }
    for name in figures:
        table.add_column(name, justify="right", style="red" if name == "rejected" and report.rejected else None)
    table.add_row(*(f"{figure:,}" for figure in figures.values()))
    return table
