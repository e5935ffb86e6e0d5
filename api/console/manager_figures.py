"""The page of managers' own figures: one's own, and for who leads a team those of its people."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response
from markupsafe import Markup

from api.console.pages import ConsoleRoute
from api.console.rendering import render
from api.console.visitor import VisitorOf
from api.dependencies import EngineOf
from api.figures import FigureView
from api.manager_figures import MOST, OF_MANAGERS, ManagerFigures, list_manager_figures
from api.manager_figures import ManagerFigureQuery as Wanted
from api.problems import Problem
from content.figure_pictures import share_bar, sparkline

router = APIRouter(route_class=ConsoleRoute, prefix="/console/{brand}", include_in_schema=False)

#: What is a part of something, and drawn as one.
SHARES: Final = ("known_players", "milestones_missed", "answered_in_time", "manager_with_players")


@dataclass(frozen=True)
class ManagerFigureRow:
    """A figure of a manager. Without one nothing happened that it could be of."""

    name: str
    figure: FigureView | None
    bar: Markup
    course: Markup

    @property
    def is_known(self) -> bool:
        """Whether there is a number."""
        return self.figure is not None and self.figure.value is not None


@router.get("/managers")
async def page(
    request: Request,
    engine: EngineOf,
    visitor: VisitorOf,
    person: Annotated[str | None, Query(min_length=1, max_length=100)] = None,
) -> Response:
    """The figures of a manager, the visitor's own unless another is asked for, beside those of whom they lead."""
    visitor.needs("tasks:work")
    told = await list_manager_figures(engine, visitor.actor, Wanted())
    who = person or visitor.person.id
    shown = next((one for one in told.items if one.person_id == who), None)
    if shown is None and told.is_cut:
        shown = next(iter((await list_manager_figures(engine, visitor.actor, Wanted(person=who))).items), None)
    if shown is None:
        raise Problem("not-found", "There is no such page, or it is not yours to see.")
    # A team is more than who looks at it: whoever leads nobody sees themselves alone.
    team = [(one, rows(one.figures)) for one in told.items] if visitor.may("tasks:lead") else []
    return render(
        request,
        visitor,
        "managers.html",
        as_of=told.as_of,
        shown=shown,
        own=shown.person_id == visitor.person.id,
        starts=next((one.starts for one in shown.figures), None),
        rows=rows(shown.figures, shown),
        team=team,
        most=MOST if told.is_cut else None,
        together=rows(told.together) if told.together else [],
    )


def rows(figures: Sequence[FigureView], of: ManagerFigures | None = None) -> list[ManagerFigureRow]:
    """Every figure of a manager in its order, with its pictures; the course of who is given."""
    had = {one.name: one for one in figures}
    return [_row(name, had.get(name), of) for name in OF_MANAGERS]


def _row(name: str, figure: FigureView | None, of: ManagerFigures | None) -> ManagerFigureRow:
    bar = line = ""
    if figure is not None and figure.value is not None and name in SHARES:
        bar = share_bar(figure.value, f"{100 * figure.value:.0f} %")
    if of is not None:
        values = [one.value for one in of.course if one.name == name]
        known = [f"{value:.0%}" if name in SHARES else f"{value:.0f}" for value in values if value is not None]
        line = sparkline(values, ", ".join(known))
    # Our own pictures of numbers: nothing in them was typed by anybody.
    return ManagerFigureRow(name, figure, Markup(bar), Markup(line))  # noqa: S704
