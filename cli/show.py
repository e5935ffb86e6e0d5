"""`journeys show`: the journeys this environment loads, a table of facts each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from cli._console import duration, out
from cli._environment import deployment

if TYPE_CHECKING:
    from workflows.declaration import Journey
    from workflows.rules.triggers import Trigger


def show() -> None:
    """List the journeys this environment loads, or the mistakes in them."""
    registry = deployment().registry
    if not registry.journeys:
        out.print("There are no journeys; name a package of them in JOURNEYS.")
    for journey in registry.journeys.values():
        _print_journey(journey)


def _print_journey(journey: Journey) -> None:
    entry = journey.entry
    rule = f"every {duration(entry.period)}" if entry.period else f"per {entry.field}" if entry.field else entry.kind
    facts = {
        "starts on": "\n".join(map(_in_words, journey.triggers)) or "nothing; by hand or from another journey",
        "entry": f"{rule}, {journey.control} % control, over after {duration(journey.ends_after)}",
        "brands": ", ".join(sorted(journey.brands)),
        "goal": f"{journey.goal.kind.type} within {duration(journey.goal.within)}" if journey.goal else "",
        "waits for": ", ".join(sorted(journey.listens_to)),
    }
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    for name, fact in facts.items():
        if fact:
            table.add_row(f"  {name}", fact)
    out.print(f"[bold]{journey.name}[/bold]  {escape(journey.description)}", soft_wrap=True, highlight=False)
    out.print(table)


def _in_words(trigger: Trigger) -> str:
    from workflows.rules.triggers import InactiveRule, MilestoneRule, OfSegment, On, Streak

    match trigger:
        case On(where=OfSegment(segment)):
            return f"{trigger.kind.type} {segment}"
        case On():
            return trigger.kind.type + (" where …" if trigger.where else "")
        case MilestoneRule():
            return f"{trigger.kind.type} number {trigger.count}"
        case Streak():
            return f"{trigger.kind.type} {trigger.length} times in a row"
        case InactiveRule():
            return f"no {trigger.kind.type} for {duration(trigger.duration)}"
        case _:
            return trigger.words
