"""`journeys diagram`: a journey drawn from its code."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from cli._console import fail, say
from cli._environment import settings_without_database


def diagram(
    journey: Annotated[str, typer.Argument(help="The journey's name.")],
    *,
    as_svg: Annotated[bool, typer.Option("--svg", help="Draw a picture; the default for FILE.svg.")] = False,
    as_mermaid: Annotated[bool, typer.Option("--mermaid", help="Write Mermaid text; else the default.")] = False,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="The file; stdout if unset.")] = None,
    counts: Annotated[
        Path | None, typer.Option(help='JSON to lay over it: {"send:welcome#1": 1204}, by step id.')
    ] = None,
    against: Annotated[
        int | None, typer.Option(min=1, help="An earlier version: draw what the present code changes of it.")
    ] = None,
) -> None:
    """Draw a journey from its code."""
    if as_svg and as_mermaid:
        fail("Choose --svg or --mermaid.", code=2)
    from stage.flow.diagram import picture, picture_of_changes
    from stage.flow.diagram_mermaid import mermaid
    from stage.flow.diagram_svg import svg
    from workflows.source.flow_reader import read_flow
    from workflows.source.journey_loading import load

    journeys = load(settings_without_database().packages).journeys
    if journey not in journeys:
        fail(f"There is no journey {journey}; there are {', '.join(journeys)}.")
    present, counted = journeys[journey], None if counts is None else _read_counts(counts)
    if against is None:
        drawing = picture(read_flow(present), counted)
    elif present.knows(against):
        drawing = picture_of_changes(read_flow(present.at(against)), read_flow(present), counted)
    else:
        known = ", ".join(f"v{one}" for one in sorted({*present.versions, present.version}) if one) or "none"
        fail(f"There is no v{against} of {journey} here; there are {known}.")
    pictured = as_svg or (not as_mermaid and output is not None and output.suffix == ".svg")
    text = svg(drawing) if pictured else mermaid(drawing)
    if output is None:
        print(text, end="")  # noqa: T201  alone on stdout, so that it can be piped
    else:
        output.write_text(text, encoding="utf-8")
        say(f"{journey} is drawn in {output}.")


def _read_counts(file: Path) -> Mapping[str, int]:
    try:
        counts = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        fail(f"{file} cannot be read: {error}.")
    if not isinstance(counts, dict) or not all(isinstance(count, int) for count in counts.values()):
        fail(f'{file} must be one JSON object of step ids and whole numbers, such as {{"send:welcome#1": 1204}}.')
    return {str(step): count for step, count in counts.items()}
