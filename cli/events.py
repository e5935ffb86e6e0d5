"""`journeys events`: every type of event in words."""

# ruff: noqa: PLC0415  a command loads only what it needs; all of it takes seconds

from collections.abc import Callable, Sequence

import typer
from rich.console import Console
from rich.text import Text

from content.event_docs import first_sentence
from workflows.events import CATALOGUE


def add_events(app: typer.Typer, packages: Callable[[], Sequence[str]]) -> None:
    """Give the command line its `events`."""

    @app.command()
    def events() -> None:
        """List every type of event with its first sentence; GET /v1/event-types has the fields and examples."""
        from workflows.source.registry import load

        load(packages())
        say = Console()
        for kind in sorted(CATALOGUE.values(), key=lambda kind: (kind.derived, kind.wire_type)):
            line = Text(kind.wire_type, style="dim" if kind.derived else "bold")
            line.append("  computed here, not to be sent" if kind.derived else "", style="dim")
            say.print(line, soft_wrap=True)
            say.print(Text(f"  {first_sentence(kind)}"), soft_wrap=True)
