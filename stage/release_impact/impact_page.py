"""The report of what a release does, as an HTML page."""

from collections.abc import Mapping

from stage.flow.diagram import picture, picture_of_changes
from stage.release_impact.impact import Impact
from stage.release_impact.impact_text import brands_in_brackets, named
from stage.release_impact.page import drawn, page
from workflows.source.flow_graph import Flow


def impact_page(report: Impact, before: Flow, after: Flow) -> str:
    """The whole page, with both versions drawn side by side and the runs counted on them."""
    counts = standing(report)
    return page(
        "impact.html.j2",
        r=report,
        names=[named(report.before), named(report.version, new=True)],
        brands=brands_in_brackets,
        pictures=drawn([picture(before, counts), picture_of_changes(before, after, counts)]),
    )


def standing(report: Impact) -> Mapping[str, int]:
    """How many runs of the version before stand at each step; those of which two are possible count at both."""
    counts: dict[str, int] = {}
    for place in report.places:
        if place.version == report.before:
            for step in place.at.split(" or "):
                counts[step] = counts.get(step, 0) + place.runs
    return counts
