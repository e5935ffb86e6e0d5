"""`journeys rehearse`: the real journeys on a year of history, before a player meets them."""

# ruff: noqa: PLC0415  a command loads only what it needs; Polars and the charts take a second

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from content.row_mapping import RowMapping
    from content.template_files import TemplateFacts
    from stage.backtest.backtest import BacktestPlan
    from stage.backtest.counts import Tally
    from stage.backtest.event_log import Log
    from stage.backtest.metrics import Figures

err = Console(stderr=True)


@dataclass(frozen=True)
class House:
    """What a rehearsal needs of the world and the stage may not import; the composition root brings it.

    `mapping` takes the options of `journeys import` and may return None; `kept` yields the CloudEvents of a brand in
    the order they were taken in.
    """

    packages: Callable[[], Sequence[str]]
    templates: "Callable[[], Mapping[str, TemplateFacts]]"
    mapping: "Callable[..., RowMapping | None]"
    kept: Callable[[str], AsyncIterator[Mapping[str, Any]]]


def add_rehearse(app: typer.Typer, house: House) -> None:
    """Give the command line its `rehearse`."""

    @app.command()
    def rehearse(
        journeys: Annotated[
            list[str] | None, typer.Argument(help="Journeys to rehearse together; all if none.")
        ] = None,
        *,
        log: Annotated[Path | None, typer.Option(help="CSV with a header, NDJSON or Parquet.")] = None,
        from_database: Annotated[
            bool, typer.Option("--from-database", help="Play the events kept in DATABASE_URL instead of a file.")
        ] = False,
        brand: Annotated[str, typer.Option(help="Whose events, with --from-database.")] = "demo",
        from_: Annotated[
            str | None, typer.Option("--from", help="What happened before is history and starts nothing.")
        ] = None,
        to: Annotated[str | None, typer.Option(help="Where it ends; 30 days after the last event if unset.")] = None,
        answers: Annotated[
            str, typer.Option(help="Who answers tasks: nobody, approve, or a Python file with a function `answer`.")
        ] = "nobody",
        control: Annotated[
            int | None, typer.Option(min=0, max=100, help="Percent in every control arm, instead of the journey's own.")
        ] = None,
        register_first: Annotated[
            bool | None,
            typer.Option(
                "--register-first/--no-register-first",
                help="Register players a second before their first event; on if the log has no registrations.",
            ),
        ] = None,
        jobs: Annotated[int, typer.Option(min=1, help="Processes; the figures do not depend on how many.")] = 1,
        shared: Annotated[
            Path | None,
            typer.Option(
                help="Play the shards as Temporal activities that share this folder; "
                "`python -m stage.backtest.distributed` runs them.",
            ),
        ] = None,
        report: Annotated[Path | None, typer.Option(help="Where the report goes, one HTML file.")] = None,
        kind: Annotated[str | None, typer.Option("--type", help="Event type of every row.")] = None,
        maps: Annotated[
            list[str] | None, typer.Option("--map", help="PART=COLUMN or PART=COLUMN:CONVERSION, as for import.")
        ] = None,
        sets: Annotated[list[str] | None, typer.Option("--set", help="PART=TEXT, the same in all rows.")] = None,
        mapping: Annotated[
            Path | None, typer.Option(help="A TOML file with type, source and the tables map and set.")
        ] = None,
        zone: Annotated[str | None, typer.Option(help="Zone of times without an offset; UTC if unset.")] = None,
        minutes_a_task: Annotated[int, typer.Option(min=1, help="What one task takes a person.")] = 20,
        minutes_a_day: Annotated[int, typer.Option(min=1, help="What one person works on tasks in a day.")] = 300,
    ) -> None:
        """Play real journeys over real history in seconds: who enters, what they get, what it costs, who must work.

        A CSV with the columns player_id, ts_utc, amount_usd is taken for approved deposits; for any other say what its
        columns mean with --type and --map. Times are like 2026-01-31 or 2026-01-31T12:00:00Z. The last line on stdout
        is one JSON object with the figures.
        """
        from stage.backtest.backtest import plan_of, registry_of
        from stage.backtest.event_log import gathered_from, read_log
        from stage.backtest.metrics import TaskWorkload, figures_of
        from stage.testing.answer_files import read_answers
        from workflows.gate.policy import Policy
        from workflows.source.registry import load

        if (log is None) == (not from_database):
            raise typer.BadParameter("Give the history: either --log FILE or --from-database.")
        packages = house.packages()
        load(packages)  # a package may declare events of its own, and the log may hold them
        since, until = _moment("--from", from_), _moment("--to", to)
        how = house.mapping(maps or (), sets or (), kind=kind, file=mapping, zone=zone)
        if log is not None:
            read = read_log(log, how)
        else:
            read = asyncio.run(gathered_from(f"the database, brand {brand}", house.kept(brand)))
        plan, played = plan_of(
            read,
            packages=packages,
            journeys=journeys or (),
            templates=house.templates(),
            live_from=since,
            to=until,
            register_first=register_first,
            control=control,
            answers=read_answers(answers),
        )
        tally = _played(plan, played, jobs, shared)
        figures = figures_of(
            tally,
            plan,
            played,
            registry_of(plan.packages, plan.journeys),
            TaskWorkload(minutes_a_day=minutes_a_day, minutes_a_task=minutes_a_task),
            Policy(),
        )
        _tell(figures)
        if report is not None:
            from stage.backtest.report import write_report

            write_report(figures, report)
            err.print(f"The report is in {report}.", markup=False, highlight=False, soft_wrap=True)
        print(figures.line())  # noqa: T201  alone on stdout, so that a script can take it


def _played(plan: "BacktestPlan", log: "Log", jobs: int, shared: Path | None) -> "Tally":
    from stage.backtest.backtest import back_test

    with _progress(log.events.height) as heard:
        if shared is None:
            return back_test(plan, log, jobs=jobs, heard=heard)
        from stage.backtest.distributed import back_test_on_temporal

        return asyncio.run(back_test_on_temporal(plan, log, shared, jobs=jobs, heard=heard))


def _moment(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{option} {text!r} is not a time; write 2026-01-31 or 2026-01-31T12:00:00Z."
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


class _Rate(ProgressColumn):
    """Events a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:,.0f} events/s", style="cyan")


@contextmanager
def _progress(events: int) -> "Iterator[Callable[[int], None]]":
    columns = (TextColumn("Rehearsing"), BarColumn(), TaskProgressColumn(), _Rate(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task("", total=events)
        yield lambda heard: bar.advance(task, heard)


def _tell(figures: "Figures") -> None:
    for notice in figures.notices:
        err.print(notice, style="yellow", markup=False, highlight=False, soft_wrap=True)
    for name, kinds in figures.never_starts.items():
        missing = " or ".join(kinds)
        err.print(
            f"{name} cannot start on this log: it has no {missing}.", markup=False, highlight=False, soft_wrap=True
        )
    table = Table(box=None)
    table.add_column("journey", no_wrap=True)
    parts = ("entered", "control", "messages", "suppressed", "grants", "tasks", "conversions")
    for part in parts:
        table.add_column("goals" if part == "conversions" else part, justify="right", no_wrap=True)
    for name in figures.journeys:
        table.add_row(name, *(f"{getattr(figures, part)[name]:,}" for part in parts))
    err.print(table)
