"""Experiments: what each has found, with its interval, the harm it watches, and the plain sentence first."""

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response

from api import experiments
from api.console.pages import ConsoleRoute
from api.console.rendering import render
from api.console.visitor import VisitorOf
from api.dependencies import EngineOf

router = APIRouter(route_class=ConsoleRoute, prefix="/console/{brand}", include_in_schema=False)

READERS: Final = ("journeys:manage", "players:read")


@router.get("/experiments")
async def listed(request: Request, engine: EngineOf, visitor: VisitorOf) -> Response:
    """Every experiment, the newest first."""
    visitor.needs(*READERS)
    shown = await experiments.listed(engine, visitor.key)
    return render(request, visitor, "experiments.html", experiments=shown.items)


@router.get("/experiments/{experiment}")
async def get_experiment(
    experiment: str,
    request: Request,
    engine: EngineOf,
    visitor: VisitorOf,
    version: Annotated[int | None, Query(ge=1, le=1_000_000)] = None,
) -> Response:
    """One experiment: the sentence, then the figures it stands on."""
    visitor.needs(*READERS)
    query = experiments.ExperimentQuery(version=version)
    shown = await experiments.get_experiment(experiment, engine, visitor.key, query)
    return render(request, visitor, "experiment.html", report=shown)
