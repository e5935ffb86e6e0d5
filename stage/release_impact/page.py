"""HTML pages about releases: one file each, which opens anywhere and asks the network for nothing."""

import re
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from stage.flow.diagram import Picture
from stage.flow.diagram_svg import svg

FOLDER: Final = Path(__file__).parent


def page(template: str, **values: Any) -> str:
    """A template of this folder, filled in; whatever designers wrote is escaped."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["count"] = lambda number: f"{number:,}"
    filled: str = environment.get_template(template).render(**values)
    return filled


def drawn(pictures: list[Picture]) -> list[Markup]:
    """Pictures as they stand in one page: without XML declarations, and with ids that no other has."""
    return [Markup(_inline(svg(one), f"p{number}")) for number, one in enumerate(pictures)]  # noqa: S704 - our own


def _inline(document: str, prefix: str) -> str:
    body = document[document.index("<svg") :]
    return re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', body)
