"""Journeys, their picture with live counts, and what may be done with them; runs; and what is stuck."""

import asyncio
import base64
import hashlib
import re
import secrets
from collections import Counter
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from api import dead_letters, journey_controls, journey_figures, journeys, runs, step_counts, stops
from api.console.pages import ConsoleRoute
from api.console.rendering import path, render
from api.console.visitor import VisitorOf
from api.dependencies import EngineOf
from api.problems import Problem

router = APIRouter(route_class=ConsoleRoute, prefix="/console/{brand}", include_in_schema=False)

READERS: Final = ("journeys:manage", "players:read")
Control = Literal["close", "open", "hold", "resume", "stop"]
Token = Annotated[str | None, Query(max_length=1_000)]


@router.get("/journeys")
async def listed(request: Request, engine: EngineOf, visitor: VisitorOf) -> Response:
    """Every journey, with how many are in it and how many reached its goal."""
    visitor.needs(*READERS)
    shown = await journeys.list_journeys(engine, visitor.key)
    return render(request, visitor, "journeys.html", journeys=shown.items)


@router.get("/journeys/{name}")
async def journey(name: str, request: Request, engine: EngineOf, visitor: VisitorOf) -> Response:
    """A journey: its picture with counts, its arms, its controls, its versions."""
    visitor.needs(*READERS)
    query = journey_figures.FiguresQuery.model_validate({})
    figures = await journey_figures.read_figures(name, engine, visitor.key, query, with_splits=False)
    shown = journeys.journey_with(name, engine, visitor.key, counts_of(figures))
    controls = await journey_controls.get_controls(name, engine, visitor.key)
    preview = await stops.preview_stop(name, engine, visitor.key) if visitor.may("journeys:manage") else None
    return render(
        request,
        visitor,
        "journey.html",
        journey=shown,
        declared=engine.registry.journeys[name],
        controls=controls,
        counted=steps_of(figures),
        figures=figures,
        funnel=funnel_of(figures),
        suppressed=suppressed_in(figures),
        preview=preview,
        once=secrets.token_urlsafe(12),
    )


def counts_of(figures: journey_figures.JourneyFigures) -> dict[str, journeys.ArmCounts]:
    """What became of the players of each arm: the numbers of the figures, asked for once."""
    return {
        one.arm: journeys.ArmCounts(
            entered=one.entered, active=one.active or 0, reached_goal=one.goals, outcomes=one.exits
        )
        for one in figures.arms
    }


def steps_of(figures: journey_figures.JourneyFigures) -> step_counts.StepCounts:
    """How many treated runs came past each step: those of the figures, asked for once."""
    treated = [one for one in figures.arms if one.arm == "treated"]
    return step_counts.StepCounts(
        journey=figures.journey,
        runs=sum(one.entered for one in treated),
        as_of=figures.as_of,
        items=[
            step_counts.StepCount(step=one.step, runs=one.passed, here=one.here or 0)
            for one in figures.steps
            if one.arm == "treated"
        ],
    )


def funnel_of(figures: journey_figures.JourneyFigures) -> list[tuple[str, int, int]]:
    """Treated runs that entered, came to each step and reached the goal, with of how many; the fullest step first."""
    treated = next((one for one in figures.arms if one.arm == "treated"), None)
    entered = 0 if treated is None else treated.entered
    steps = sorted(
        ((one.passed, one.step) for one in figures.steps if one.arm == "treated" and one.passed), reverse=True
    )
    goals = 0 if treated is None else treated.goals
    return [("entered", entered, entered), *((step, runs, entered) for runs, step in steps), ("goal", goals, entered)]


def suppressed_in(figures: journey_figures.JourneyFigures) -> list[tuple[str, int]]:
    """Steps that were held back in all arms, by why, the most frequent first."""
    reasons = Counter[str]()
    for one in figures.arms:
        reasons.update(one.suppressed)
    return reasons.most_common()


@router.get("/journeys/{name}/picture.svg")
async def picture(name: str, request: Request, engine: EngineOf, visitor: VisitorOf) -> Response:
    """The journey as a diagram with how many runs came past each card; it holds style of its own and nothing else."""
    visitor.needs(*READERS)
    counted = await step_counts.get_step_counts(name, engine, visitor.key)
    declared, draw = engine.registry.journeys.get(name), request.app.state.draw
    drawn: str | None = None
    if declared is not None and draw is not None:
        drawn = await asyncio.to_thread(draw, declared, {one.step: one.runs for one in counted.items})
    if drawn is None:
        raise Problem("not-found", "This journey cannot be drawn here; its numbers stand beside.")
    style = re.search(r"<style>(.*?)</style>", drawn, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256((style[1] if style else "").encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; frame-ancestors 'none'"
    return Response(drawn, media_type="image/svg+xml", headers={"Content-Security-Policy": policy})


@router.post("/journeys/{name}/{control}")
async def decide(name: str, control: Control, engine: EngineOf, visitor: VisitorOf) -> Response:
    """Close, open, hold, resume or stop a journey, once however often the form is sent."""
    visitor.needs("journeys:manage")
    reason = visitor.form.get("reason", "").strip()[:2_000]
    if not reason:
        raise Problem("invalid", "Say why: it stands in the history of the journey.")
    once = visitor.form.get("once") or secrets.token_urlsafe(12)
    given = {"name": name, "engine": engine, "actor": visitor.actor, "idempotency_key": once}
    body = journey_controls.ControlReason(reason=reason)
    match control:
        case "close":
            await journey_controls.close_journey(body=body, **given)  # type: ignore[arg-type]
        case "open":
            await journey_controls.open_journey(body=body, **given)  # type: ignore[arg-type]
        case "hold":
            await journey_controls.hold_journey(body=body, **given)  # type: ignore[arg-type]
        case "resume":
            await journey_controls.resume_journey(body=journey_controls.Resuming(reason=reason), **given)  # type: ignore[arg-type]
        case "stop":
            await stops.stop_journey(body=stops.Stopping(reason=reason), response=Response(), **given)  # type: ignore[arg-type]
    return RedirectResponse(path(visitor.brand, "journeys", name), 303)


@router.get("/runs/{run_id}")
async def run(run_id: str, request: Request, engine: EngineOf, visitor: VisitorOf) -> Response:
    """A run: where it stands, what it did, what it fails at."""
    visitor.needs(*READERS)
    shown = await runs.get_run(run_id, engine, visitor.key)
    return render(request, visitor, "run.html", run=shown)


@router.get("/stuck")
async def stuck(request: Request, engine: EngineOf, visitor: VisitorOf, page: Token = None) -> Response:
    """What needs a person: runs that do not get on, and deliveries that were refused for good."""
    visitor.needs("journeys:manage")
    troubled = await runs.list_runs(engine, visitor.key, runs.RunQuery(problem="any", page_token=page))
    letters = await dead_letters.list_dead_letters(
        engine, visitor.key, dead_letters.DeadLetterQuery(retried=False, page_size=200)
    )
    groups: dict[str, list[dead_letters.DeadLetter]] = {}
    for letter in letters.items:
        groups.setdefault(letter.reason, []).append(letter)
    return render(request, visitor, "stuck.html", troubled=troubled, groups=groups)


@router.post("/stuck/retry")
async def retry(engine: EngineOf, visitor: VisitorOf) -> Response:
    """Deliver again what was refused for one reason: the group that was shown, nothing else."""
    visitor.needs("journeys:manage")
    reason = visitor.form.get("reason", "")
    if not reason:
        raise Problem("invalid", "Choose which group is tried again.")
    chosen = dead_letters.DeadLettersChosen(reason=reason)
    await dead_letters.retry_dead_letters(engine, visitor.key, chosen)
    return RedirectResponse(path(visitor.brand, "stuck"), 303)
