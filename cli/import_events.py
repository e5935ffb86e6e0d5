"""`journeys import`: a file of events sent to the API, with a bar, a rate and a table at the end."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli._console import figures_table, out, progress_bar, say
from cli._environment import api_address

if TYPE_CHECKING:
    from rich.table import Table

    from activities.importing.file_import import Importer, Report

#: Seconds between two updates of the bar.
REFRESH = 0.2


def import_events(
    file: Annotated[Path, typer.Argument(help="CSV with a header, NDJSON, or NDJSON of CloudEvents.")],
    *,
    url: Annotated[str | None, typer.Option(envvar="JOURNEYS_URL", help="The API; the local stack's if unset.")] = None,
    key: Annotated[
        str | None, typer.Option(envvar="JOURNEYS_KEY", help="A key with events:write; the local stack's if unset.")
    ] = None,
    kind: Annotated[str | None, typer.Option("--type", help="Event type, such as payment.deposit_approved.")] = None,
    maps: Annotated[
        list[str] | None, typer.Option("--map", help="PART=COLUMN or PART=COLUMN:CONVERSION; repeat it.")
    ] = None,
    sets: Annotated[list[str] | None, typer.Option("--set", help="PART=TEXT, the same in all rows; repeat it.")] = None,
    mapping: Annotated[
        Path | None, typer.Option(help="A TOML file with type, source and the tables map and set.")
    ] = None,
    source: Annotated[str | None, typer.Option(help="CloudEvents source of every row; /import if unset.")] = None,
    zone: Annotated[str | None, typer.Option(help="Zone of times without an offset; UTC if unset.")] = None,
    encoding: Annotated[
        str | None, typer.Option(help="How the file writes its letters, such as windows-1251; found out if unset.")
    ] = None,
    nulls: Annotated[
        list[str] | None,
        typer.Option("--null", help="TEXT that says nothing in a cell; repeat it. NA, NULL, - and the like if unset."),
    ] = None,
    live: Annotated[bool, typer.Option("--live", help="Let journeys start; history starts nothing.")] = False,
    batch: Annotated[int, typer.Option(min=1, max=1000, help="Events in one request.")] = 500,
    rejected: Annotated[
        Path | None, typer.Option(help="Where refused rows go; FILE.rejected.ndjson beside FILE if unset.")
    ] = None,
) -> None:
    """Send a file of events, by default as history, which starts nothing.

    PART is subject, time, type, id, source or data.<field>. Conversions: minor (amounts to minor units), unix, list,
    json, lower, upper, integer. The column @id is the row's own identity. Stop it with Ctrl-C and repeat it as often as
    you like: what was kept is not counted twice.
    """
    import httpx

    from activities.importing.event_sender import Events
    from activities.importing.file_import import Importer, SourceFile
    from content.row_mapping import mapping_of

    # What is wrong with the file is said before anybody looks for an API.
    columns = mapping_of(maps or (), sets or (), kind=kind, source=source, file=mapping, zone=zone, nulls=nulls or ())
    source_file = SourceFile(file, columns, encoding)
    for notice in source_file.notices:
        say(notice, style="yellow")
    address, secret = api_address(url, key, role="backend")
    rejections = rejected or file.with_name(f"{file.name}.rejected.ndjson")

    async def work() -> int:
        async with httpx.AsyncClient() as http:
            events = Events(http, address, secret)
            return await _import(Importer(source_file, events, "live" if live else "history", rejections, batch=batch))

    raise typer.Exit(asyncio.run(work()))


async def _import(importer: Importer) -> int:
    """Send a file and say how it went; the exit code.

    0: everything is kept. 1: some rows were rejected, or the API went away. 130: stopped with Ctrl-C. Whatever the
    code, the same command may be repeated. Raises `JourneysError` when nothing could be sent at all.
    """
    from workflows.errors import JourneysError

    failure: JourneysError | None = None
    showing = asyncio.create_task(_show_progress(importer))
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
    out.print(_table(report, importer.file.rows))
    if report.rejected:
        say(f"Rejected rows and why: {importer.rejections}")
    if failure is not None:
        say(failure)
        return 1
    if report.stopped:
        say("Stopped. Repeat the same command to go on; what was kept is not counted twice.")
        return 130
    return 1 if report.rejected else 0


def _stop_on_ctrl_c(importer: Importer) -> None:
    loop = asyncio.get_running_loop()

    def stop() -> None:
        # A second Ctrl-C does not wait for the requests under way.
        loop.remove_signal_handler(signal.SIGINT)
        importer.stop.set()

    loop.add_signal_handler(signal.SIGINT, stop)


async def _show_progress(importer: Importer) -> None:
    from rich.progress import TextColumn

    loop = asyncio.get_running_loop()
    file, report, began = importer.file, importer.report, loop.time()
    figures = TextColumn("{task.fields[sent]:,} events, {task.fields[rate]:,.0f} a second")
    waiting_for = TextColumn("{task.fields[waiting]}")
    with progress_bar(figures, after=[waiting_for]) as progress:
        bar = progress.add_task(file.path.name, total=file.size, sent=0, rate=0, waiting="")
        try:
            while True:
                rate = report.sent / max(loop.time() - began, 0.001)
                waiting = importer.events.waiting
                progress.update(bar, completed=file.read, sent=report.sent, rate=rate, waiting=waiting)
                await asyncio.sleep(REFRESH)
        finally:
            rate = report.sent / max(loop.time() - began, 0.001)
            progress.update(bar, completed=file.read, sent=report.sent, rate=rate, waiting="")


def _table(report: Report, rows: int) -> Table:
    """What became of every row of the file; `left` are those of which nothing is known."""
    counts = {
        "rows": rows,
        "left": rows - report.sent,
        "sent": report.sent,
        "accepted": report.accepted,
        "duplicate": report.duplicate,
        "rejected": report.rejected,
    }
    table = figures_table([], [*counts])
    table.columns[-1].style = "red" if report.rejected else ""
    table.add_row(*(f"{count:,}" for count in counts.values()))
    return table
