"""`journeys rehearse`: the real journeys on a year of history, before a player meets them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli._console import err, figures_table, progress_bar, say
from cli._environment import deployment, open_database, run_on_database, settings_without_database

if TYPE_CHECKING:
    from stage.backtest.backtest import BacktestPlan
    from stage.backtest.counts import BacktestCounts
    from stage.backtest.event_log import Log
    from stage.backtest.metrics import BacktestMetrics

Journeys = Annotated[list[str] | None, typer.Argument(help="Journeys to rehearse together; all if none.")]
LogFile = Annotated[Path | None, typer.Option(help="CSV with a header, NDJSON or Parquet.")]
FromDatabase = Annotated[
    bool, typer.Option("--from-database", help="Play the events kept in DATABASE_URL instead of a file.")
]
Brand = Annotated[str, typer.Option(help="Whose events, with --from-database.")]
From = Annotated[str | None, typer.Option("--from", help="What happened before is history and starts nothing.")]
To = Annotated[str | None, typer.Option(help="Where it ends; 30 days after the last event if unset.")]
Answers = Annotated[
    str, typer.Option(help="Who answers tasks: nobody, approve, or a Python file with a function `answer`.")
]
Control = Annotated[
    int | None, typer.Option(min=0, max=100, help="Percent in every control arm, instead of the journey's own.")
]
RegisterFirst = Annotated[
    bool | None,
    typer.Option(
        "--register-first/--no-register-first",
        help="Register players a second before their first event; on if the log has no registrations.",
    ),
]
Processes = Annotated[int, typer.Option(min=1, help="Processes; the figures do not depend on how many.")]
SharedFolder = Annotated[
    Path | None,
    typer.Option(
        help="Play the shards as Temporal activities that share this folder; "
        "`python -m stage.backtest.distributed` runs them.",
    ),
]
ReportFile = Annotated[Path | None, typer.Option(help="Where the report goes, one HTML file.")]
EventType = Annotated[str | None, typer.Option("--type", help="Event type of every row.")]
Maps = Annotated[list[str] | None, typer.Option("--map", help="PART=COLUMN or PART=COLUMN:CONVERSION, as for import.")]
Sets = Annotated[list[str] | None, typer.Option("--set", help="PART=TEXT, the same in all rows.")]
MappingFile = Annotated[Path | None, typer.Option(help="A TOML file with type, source and the tables map and set.")]
Zone = Annotated[str | None, typer.Option(help="Zone of times without an offset; UTC if unset.")]
Encoding = Annotated[
    str | None, typer.Option(help="How the log writes its letters, such as windows-1251; found out if unset.")
]
Nulls = Annotated[
    list[str] | None,
    typer.Option("--null", help="TEXT that says nothing in a cell; repeat it. NA, NULL, - and the like if unset."),
]
MinutesATask = Annotated[int, typer.Option(min=1, help="What one task takes a person.")]
MinutesADay = Annotated[int, typer.Option(min=1, help="What one person works on tasks in a day.")]


def rehearse(
    journeys: Journeys = None,
    *,
    log: LogFile = None,
    from_database: FromDatabase = False,
    brand: Brand = "demo",
    from_: From = None,
    to: To = None,
    answers: Answers = "nobody",
    control: Control = None,
    register_first: RegisterFirst = None,
    jobs: Processes = 1,
    shared: SharedFolder = None,
    report: ReportFile = None,
    kind: EventType = None,
    maps: Maps = None,
    sets: Sets = None,
    mapping: MappingFile = None,
    zone: Zone = None,
    encoding: Encoding = None,
    nulls: Nulls = None,
    minutes_a_task: MinutesATask = 20,
    minutes_a_day: MinutesADay = 300,
) -> None:
    """Play real journeys over real history in seconds: who enters, what they get, what it costs, who must work.

    A CSV with the columns player_id, ts_utc, amount_usd is taken for approved deposits; for any other say what its
    columns mean with --type and --map. Times are like 2026-01-31 or 2026-01-31T12:00:00Z. The last line on stdout
    is one JSON object with the figures.
    """
    from content.row_mapping import mapping_of
    from stage.backtest.backtest import plan_of, registry_of
    from stage.backtest.event_log import read_log
    from stage.backtest.metrics import TaskWorkload, metrics_of
    from stage.testing.answer_files import read_answers
    from workflows.gate.policy import Policy

    if (log is None) == (not from_database):
        raise typer.BadParameter("Give the history: either --log FILE or --from-database.")
    # Loaded first: a package may declare events of its own, and the log may hold them.
    deployed = deployment()
    catalogue = deployed.templates
    if from_database and not journeys:
        journeys = [name for name, journey in deployed.registry.journeys.items() if journey.is_for(brand)]
    live_from, end = _instant("--from", from_), _instant("--to", to)
    columns = mapping_of(maps or (), sets or (), kind=kind, file=mapping, zone=zone, nulls=nulls or ())
    history = run_on_database(_kept_events(brand)) if log is None else read_log(log, columns, encoding)
    plan, played = plan_of(
        history,
        packages=settings_without_database().packages,
        journeys=journeys or (),
        templates={name: catalogue[name] for name in catalogue},
        live_from=live_from,
        to=end,
        register_first=register_first,
        control=control,
        answers=read_answers(answers),
    )
    counts = _play(plan, played, jobs, shared)
    workload = TaskWorkload(minutes_a_day=minutes_a_day, minutes_a_task=minutes_a_task)
    figures = metrics_of(counts, plan, played, registry_of(plan.packages, plan.journeys), workload, Policy())
    _show(figures)
    if report is not None:
        from stage.backtest.report import write_report

        write_report(figures, report)
        say(f"The report is in {report}.")
    print(figures.line())  # noqa: T201  alone on stdout, so that a script can take it


async def _kept_events(brand: str) -> Log:
    """The events the database kept of a brand, in the order they were taken in."""
    from activities.intake.event_export import stored_events
    from stage.backtest.event_log import log_of_stream

    async with open_database() as database:
        return await log_of_stream(f"the database, brand {brand}", stored_events(database, brand))


def _play(plan: BacktestPlan, log: Log, jobs: int, shared: Path | None) -> BacktestCounts:
    from stage.backtest.backtest import back_test

    with _progress(log.events.height) as played:
        if shared is None:
            return back_test(plan, log, jobs=jobs, on_progress=played)
        from stage.backtest.distributed import back_test_on_temporal

        return asyncio.run(back_test_on_temporal(plan, log, shared, jobs=jobs, on_progress=played))


def _instant(option: str, text: str | None) -> datetime | None:
    from content.row_mapping import instant

    if text is None:
        return None
    try:
        return instant(text)
    except ValueError:
        raise typer.BadParameter(
            f"{option} {text!r} is not a time; write 2026-01-31 or 2026-01-31T12:00:00Z."
        ) from None


@contextmanager
def _progress(events: int) -> Iterator[Callable[[int], None]]:
    """A bar over so many events; yields what counts those that were played."""
    from rich.progress import TextColumn

    speed = TextColumn("{task.fields[rate]}", style="cyan")
    with progress_bar(speed, transient=True) as progress:
        bar = progress.add_task("Rehearsing", total=events, rate="")

        def played(count: int) -> None:
            progress.advance(bar, count)
            progress.update(bar, rate=f"{progress.tasks[bar].speed or 0:,.0f} events/s")

        yield played


def _show(figures: BacktestMetrics) -> None:
    for notice in figures.notices:
        say(notice, style="yellow")
    for name, kinds in figures.never_starts.items():
        say(f"{name} cannot start on this log: it has no {' or '.join(kinds)}.")
    parts = ("entered", "control", "messages", "suppressed", "grants", "tasks", "conversions")
    table = figures_table(["journey"], ["goals" if part == "conversions" else part for part in parts])
    for name in figures.journeys:
        table.add_row(name, *(f"{getattr(figures, part)[name]:,}" for part in parts))
    err.print(table)
