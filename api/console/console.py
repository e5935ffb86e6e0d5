"""Puts the console's pages and files into the application."""

from collections.abc import Callable, Mapping
from typing import Final

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import RedirectResponse
from starlette.staticfiles import StaticFiles

from activities.console_sessions import find_session
from activities.people import brands_of
from api.console import (
    designs,
    experiments,
    figures,
    inbox,
    journeys,
    manager_figures,
    people,
    players,
    scores,
    sign_in,
    tournaments,
    trail,
)
from api.console.pages import ConsoleRoute
from api.console.rendering import ASSETS, STATIC, path, plain_page
from api.console.visitor import SESSION_COOKIE, SignInNeeded, VisitorOf
from api.dependencies import EngineOf
from api.problems import Problem
from workflows.declaration import Journey

#: Draws a journey with counts on its cards, as SVG; None for one that cannot be drawn here.
Draw = Callable[[Journey, Mapping[str, int]], str | None]

#: Where somebody begins, by the first of these scopes that they have.
FIRST_PAGES: Final = {
    "tasks:work": "inbox",
    "players:read": "players",
    "journeys:manage": "journeys",
    "people:manage": "people",
    "audit:read": "audit",
}
#: What has pages of a brand.
PAGES: Final = (
    inbox,
    players,
    journeys,
    experiments,
    tournaments,
    designs,
    figures,
    manager_figures,
    scores,
    people,
    trail,
)

router = APIRouter(route_class=ConsoleRoute, include_in_schema=False)


class Files(StaticFiles):
    """The console's own files. Browsers ask each time whether theirs is the newest, which is answered in a line."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        """A file, or 304."""
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]  # handed on as it comes
        response.headers["Cache-Control"] = "no-cache"
        return response


def add_console(app: FastAPI, draw: Draw | None) -> None:
    """Serve the console at `/console/`; `draw` makes its pictures."""
    app.state.draw = draw
    app.mount(ASSETS, Files(directory=STATIC), name="console-assets")
    for part in (sign_in, *PAGES):
        app.include_router(part.router)
    app.include_router(router)


@router.get("/console")
@router.get("/console/")
async def enter(request: Request, engine: EngineOf) -> Response:
    """To the first brand of whoever is signed in."""
    secret = request.cookies.get(SESSION_COOKIE, "")
    async with engine.database.reading() as connection:
        session = await find_session(connection, secret) if secret else None
        if session is None or not session.holds(engine.clock()):
            raise SignInNeeded(session)
        brands = await brands_of(connection, session.person_id)
    if not brands:
        return plain_page(request, "stranger", status=403, name=session.subject)
    return RedirectResponse(path(brands[0]), 303)


@router.get("/console/{brand}")
async def begin(brand: str, visitor: VisitorOf) -> Response:
    """To the page that somebody begins with."""
    for scope, page in FIRST_PAGES.items():
        if visitor.may(scope):
            return RedirectResponse(path(brand, page), 303)
    raise Problem("not-found", "No page is yours in this brand; ask whoever manages people to give you a role.")


@router.get("/console/{rest:path}")
async def nothing(rest: str) -> Response:  # noqa: ARG001 - whatever it is
    """No page."""
    raise Problem("not-found", "There is no such page, or it is not yours to see.")
