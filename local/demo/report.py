"""How a demo ends: tables for people, and one line of JSON for programs."""

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.table import Table

from local.demo.audit import Check, percentile


@dataclass(frozen=True)
class DemoReport:
    """What happened in a demo, and whether anything was lost or doubled."""

    title: str
    deposits: dict[str, int]
    history_events: int
    live_events: int
    duplicates: int
    runs: dict[tuple[str, str], int]
    journeys: list[str]
    figures: dict[str, int]
    #: Milliseconds, sorted.
    reactions: list[float]
    checks: list[Check]
    #: What the same events, fed again, changed; should be empty.
    changed: list[str]
    #: What reached self-excluded players afterwards; should be empty.
    contacts: list[str]
    excluded: list[str]
    #: What was still being done when time ran out.
    unfinished: dict[str, int]
    #: Events and answers the API refused; the demo sends only good ones.
    refused: list[str]
    history_took: timedelta
    live_took: timedelta

    @property
    def lost(self) -> int:
        """Things that should be there and are not."""
        return sum(check.lost for check in self.checks)

    @property
    def doubled(self) -> int:
        """Things that are there too often, and what changed although it was told before."""
        return sum(check.doubled for check in self.checks) + len(self.changed)

    @property
    def clean(self) -> bool:
        """Nothing lost, doubled, refused or left undone, and nobody contacted who had asked for silence."""
        return not (self.lost or self.doubled or self.contacts or self.refused or self.unfinished)

    def summary(self) -> dict[str, Any]:
        """The last line of the output."""
        arms = {arm: {name: self.runs.get((name, arm), 0) for name in self.journeys} for arm in ("treated", "control")}
        figures = self.figures
        return {
            "history_events": self.history_events,
            "live_events": self.live_events,
            "duplicates": self.duplicates,
            "runs_started": arms["treated"],
            "control": arms["control"],
            "messages": {"sent": figures["sent"], "suppressed": figures["suppressed"]},
            "grants": {"confirmed": figures["confirmed"], "unknown": figures["unknown"]},
            "tasks": {"opened": figures["opened"], "completed": figures["completed"]},
            "reaction_ms": {"p50": percentile(self.reactions, 0.5), "p99": percentile(self.reactions, 0.99)},
            "lost": self.lost,
            "doubled": self.doubled,
            "deposits": self.deposits,
        }


def print_report(report: DemoReport) -> None:
    """Tables to the terminal, then the JSON line; both on stdout."""
    console = Console()
    console.print()
    console.print(_summary_table(report))
    console.print(_entries_table(report))
    console.print(_audit_table(report))
    for problem in [*report.changed, *report.contacts, *report.refused]:
        console.print(problem, style="red", markup=False)
    for name, count in report.unfinished.items():
        console.print(f"Not finished in time: {count} {name}.", style="red")
    print(json.dumps(report.summary()))  # noqa: T201  rich would break the line


def _summary_table(report: DemoReport) -> Table:
    figures, summary = report.figures, report.summary()
    p50, p99 = summary["reaction_ms"]["p50"], summary["reaction_ms"]["p99"]
    rows = {
        "History in": _rate(report.history_events, report.history_took),
        "Live events": _rate(report.live_events, report.live_took),
        "Deposits": f"{report.deposits['history']:,} before, {report.deposits['live']:,} live",
        "Fed again": f"{report.duplicates:,} duplicates, {'nothing' if not report.changed else 'something'} changed",
        "Messages": f"{figures['sent']:,} sent, {figures['suppressed']:,} suppressed by the gate\n"
        f"{figures['in_app']:,} of those sent lie in the player's inbox here; providers got the others",
        "Rewards": f"{figures['confirmed']:,} confirmed, {figures['unknown']:,} unknown",
        "Tasks": f"{figures['opened']:,} opened, {figures['completed']:,} answered by the manager",
        "Reaction": "no run has acted yet"
        if p50 is None
        else f"half within {p50:,.0f} ms, 99 % within {p99:,.0f} ms ({len(report.reactions)} runs)",
        "Self-excluded": "\n".join(report.excluded) or "nobody",
    }
    table = Table(title=f"The demo: {report.title}", title_justify="left", show_header=False, box=None)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for row in rows.items():
        table.add_row(*row)
    return table


def _entries_table(report: DemoReport) -> Table:
    table = Table(title="Entries", title_justify="left", box=None)
    table.add_column("journey", style="bold")
    table.add_column("treated", justify="right")
    table.add_column("control", justify="right")
    for name in report.journeys:
        table.add_row(name, *(f"{report.runs.get((name, arm), 0):,}" for arm in ("treated", "control")))
    return table


def _audit_table(report: DemoReport) -> Table:
    table = Table(title="Audit", title_justify="left", box=None)
    table.add_column("what", style="bold")
    for column in ("expected", "found", "lost", "doubled"):
        table.add_column(column, justify="right")
    for check in report.checks:
        style = "red" if check.lost or check.doubled else None
        figures = (check.expected, check.found, check.lost, check.doubled)
        table.add_row(check.name, *(f"{figure:,}" for figure in figures), style=style)
    return table


def _rate(count: int, took: timedelta) -> str:
    seconds = max(took.total_seconds(), 0.001)
    return f"{count:,} in {seconds:.1f} s, {count / seconds:,.0f} a second"
