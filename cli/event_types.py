"""`journeys events`: every type of event in words."""

from cli._console import out
from cli._environment import settings_without_database


def events() -> None:
    """List every type of event with its class and first sentence; GET /v1/event-types has the fields and examples."""
    from rich.text import Text

    from content.event_descriptions import first_sentence
    from workflows.events import CATALOGUE
    from workflows.source.journey_loading import load

    load(settings_without_database().packages)
    for kind in sorted(CATALOGUE.values(), key=lambda kind: (kind.derived, kind.wire_type)):
        line = Text(kind.wire_type, style="dim" if kind.derived else "bold")
        line.append(f"  {kind.__name__}", style="not bold")
        line.append("  computed here, not to be sent" if kind.derived else "", style="dim")
        out.print(line, soft_wrap=True)
        out.print(Text(f"  {first_sentence(kind)}"), soft_wrap=True)
