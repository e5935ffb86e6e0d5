"""The report of what a release does, as one HTML file that opens anywhere and asks the network for nothing."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from stage.flow.diagram import picture, picture_of_changes
from stage.flow.diagram_svg import svg
from stage.release_impact.impact import Impact
from stage.release_impact.impact_text import named
from workflows.source.flow_graph import Flow

FOLDER: Final = Path(__file__).parent


def impact_page(report: Impact, before: Flow, after: Flow) -> str:
    """The whole page, with both versions drawn side by side and the runs counted on them."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"count": lambda number: f"{number:,}", "brands": _brands}
    counts = standing(report)
    drawn = [picture(before, counts), picture_of_changes(before, after, counts)]
    page: str = environment.get_template("impact.html.j2").render(
        r=report,
        names=[named(report.before), named(report.version, new=True)],
        pictures=[Markup(_inline(svg(one), f"p{number}")) for number, one in enumerate(drawn)],  # noqa: S704 - our own
    )
    return page


def standing(report: Impact) -> Mapping[str, int]:
    """How many runs of the version before stand at each step; those of which two are possible count at both."""
    counts: dict[str, int] = {}
    for place in report.places:
        if place.version == report.before:
            for step in place.at.split(" or "):
                counts[step] = counts.get(step, 0) + place.runs
    return counts


def _inline(document: str, prefix: str) -> str:
    """A drawing inside a page: without its XML declaration, and with ids that no other drawing has."""
    body = document[document.index("<svg") :]
    return re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', body)


def _brands(brands: Mapping[str, int]) -> str:
    told: Sequence[str] = [f"{brand} {runs:,}" for brand, runs in brands.items()]
    return f" ({', '.join(told)})" if told else ""
