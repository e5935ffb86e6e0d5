"""Tournaments: which are on, and who stands where."""

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response

from api import tournaments
from api.console.pages import ConsoleRoute
from api.console.rendering import render
from api.console.visitor import VisitorOf
from api.dependencies import EngineOf
from api.pagination import PageQuery

router = APIRouter(route_class=ConsoleRoute, prefix="/console/{brand}", include_in_schema=False)

READERS: Final = ("journeys:manage", "players:read")


@router.get("/tournaments")
async def listed(
    request: Request,
    engine: EngineOf,
    visitor: VisitorOf,
    page: Annotated[str | None, Query(max_length=1_000)] = None,
) -> Response:
    """Every instance, those that open last first."""
    visitor.needs(*READERS)
    shown = await tournaments.list_tournaments(engine, visitor.key, PageQuery(page_token=page))
    return render(request, visitor, "tournaments.html", tournaments=shown)


@router.get("/tournaments/{instance}")
async def board(instance: str, request: Request, engine: EngineOf, visitor: VisitorOf) -> Response:
    """An instance: its times, and the first hundred with their prizes."""
    visitor.needs(*READERS)
    shown = await tournaments.get_tournament(instance, engine, visitor.key)
    places = await tournaments.get_places(instance, engine, visitor.key)
    return render(request, visitor, "tournament.html", tournament=shown, places=places)
