"""The page of figures: how the brand goes, where targets stand, and what journeys bring."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response
from markupsafe import Markup

from api import figures
from api.console.figure_values import figure_value
from api.console.pages import ConsoleRoute
from api.console.rendering import language_of, render, speech_of
from api.console.speech import Speech
from api.console.visitor import VisitorOf
from api.dependencies import EngineOf
from content.figure_pictures import interval_bar, sparkline
from content.figure_words import DRAWN, EFFECT_PARTS, EFFECTS, GROUPS, NAMES
from workflows.figures.definitions import FIGURES

router = APIRouter(route_class=ConsoleRoute, prefix="/console/{brand}", include_in_schema=False)

READERS: Final = ("journeys:manage", "players:read")


@dataclass(frozen=True)
class FigureRow:
    """A line of the page."""

    title: str
    part: str
    value: str
    says: str
    #: From where to where the truth lies; None where there is no interval.
    interval: tuple[str, str] | None
    figure: figures.FigureView
    picture: Markup


@router.get("/figures")
async def page(
    request: Request, engine: EngineOf, visitor: VisitorOf, as_of: Annotated[date | None, Query()] = None
) -> Response:
    """Every figure with its interval, its course and of how many it is, or the reason why there is no number."""
    visitor.needs(*READERS)
    told = await figures.list_figures(engine, visitor.key, figures.FigureQuery(as_of=as_of))
    weekly = [one for one in told.items if one.period == "week"]
    speech = speech_of(language_of(request, visitor))
    groups = {
        name: [_row(one, told.course, speech) for one in _sorted(weekly, names) if not one.split_by]
        for name, names in GROUPS.items()
    }
    return render(
        request,
        visitor,
        "figures.html",
        told=told,
        names=NAMES,
        groups={name: rows for name, rows in groups.items() if rows},
        effects=[_row(one, (), speech) for one in _sorted(weekly, EFFECTS)],
        effect_parts=[_row(one, (), speech) for one in _sorted(weekly, EFFECT_PARTS)],
        parts=[
            _row(one, (), speech)
            for one in weekly
            if one.split_by in {"segment", "kind"} and one.name not in EFFECT_PARTS
        ],
    )


def _sorted(items: Sequence[figures.FigureView], names: Sequence[str]) -> list[figures.FigureView]:
    mine = [one for one in items if one.name in names]
    return sorted(mine, key=lambda one: (one.part, names.index(one.name), one.currency))


def _row(one: figures.FigureView, course: Sequence[figures.FigureView], speech: Speech) -> FigureRow:
    title = NAMES[one.name]
    interval, picture = None, ""
    if one.value is not None and one.low is not None and one.high is not None:
        low, high = (figure_value(one.name, bound, one.currency, speech) for bound in (one.low, one.high))
        interval = (low, high)
        if one.name in DRAWN:
            picture = interval_bar(one.value, one.low, one.high, f"{low}, {high}")
    if course:
        values = [each.value for each in course if (each.name, each.currency) == (one.name, one.currency)]
        picture = sparkline(values, speech.translated(title))
    value = figure_value(one.name, one.value, one.currency, speech)
    # Our own picture: nothing in it was typed by anybody.
    return FigureRow(title, one.part, value, FIGURES[one.name].says, interval, one, Markup(picture))  # noqa: S704
