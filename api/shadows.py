"""Shadows: a release of a journey beside the live one, for some players, with nothing done; and what came of it."""

from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from activities.actors import Actor
from activities.loops.shadow_stops import begin_shadow_stop
from activities.shadow_report import ShadowComparison, compare
from activities.shadows import ShadowRow, newest_shadow, start_shadow, stop_shadow
from api.bulk_jobs import wake
from api.dependencies import ApiEngine, EngineOf
from api.json_types import Real
from api.permissions import Key, acts, needs
from api.problems import COMMON, Problem, documented, undeclared
from workflows.field_types import Whole
from workflows.json_object import JsonObject

router = APIRouter(prefix="/v1/journeys", tags=["shadows"])

Reading = Annotated[Key, needs("journeys:manage", "players:read")]
Deciding = Annotated[Actor, acts("journeys:manage")]

EXAMPLE: Final[JsonObject] = {
    "id": 3,
    "journey": "win_back",
    "version": 8,
    "beside": 7,
    "percent": 5.0,
    "running": True,
    "started_by": "olena@example.com",
    "started_at": "2026-01-15T12:00:00Z",
}


class Shadowing(BaseModel):
    """Which release, and beside the runs of how many players."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"version": 8, "percent": 5}]})

    version: Annotated[int, Field(ge=1, le=2**31 - 1, description="A release whose code is deployed."), Whole]
    percent: Real = Field(gt=0, le=100, description="Of the brand's players: who is drawn once is drawn always.")


class ShadowView(BaseModel):
    """A release that is or was shadowed in the key's brand."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    id: int
    journey: str
    version: int
    beside: int = Field(description="The version that players enter on now; 0 where the journey has no release.")
    percent: float
    running: bool = Field(description="Whether further runs get one beside them.")
    started_by: str
    started_at: datetime
    stopped_by: str | None = None
    stopped_at: datetime | None = None


class ShadowReport(ShadowView, ShadowComparison):
    """What the shadow would have done, beside what the live runs of the same players did."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    **EXAMPLE,
                    "runs": 412,
                    "under_way": 31,
                    "compared": 412,
                    "steps": [
                        {"step": "send:push-nudge#1", "live": {}, "shadow": {"sent": 205, "suppressed: daily_cap": 207}}
                    ],
                    "costs": [
                        {
                            "currency": "EUR",
                            "live": {"grants": 120, "most": 60_000, "expected": 13_824, "unlimited": 0},
                            "shadow": {"grants": 140, "most": 70_000, "expected": 16_128, "unlimited": 0},
                        }
                    ],
                    "ends": [
                        {"live": "completed", "shadow": "ended", "runs": 3, "example": "win_back:acme:p-17:1"},
                        {"live": "completed", "shadow": "completed", "runs": 378, "example": "win_back:acme:p-2:1"},
                    ],
                }
            ]
        }
    )


@router.get("/{name}/shadow", responses={**COMMON, **documented(404)})
async def get_shadow(name: str, engine: EngineOf, key: Reading) -> ShadowReport:
    """The journey's newest shadow, under way or over, and its comparison with the live runs beside it, as of now."""
    async with engine.database.reading() as connection:
        shadow = await newest_shadow(connection, key.brand, name)
        if shadow is None:
            raise _no_shadow(engine, key.brand, name)
        compared = await compare(connection, shadow.id, engine.clock())
    return ShadowReport(**vars(_view(engine, shadow)), **vars(compared))


@router.post(
    "/{name}/shadow", status_code=201, responses={**COMMON, **documented(404, 409), 200: {"model": ShadowView}}
)
async def shadow_journey(
    name: str, body: Shadowing, engine: EngineOf, actor: Deciding, response: Response
) -> ShadowView:
    """Play a release beside each live run that begins from now on, of players who are drawn; nothing it does is done.

    Every process knows within a second. CountQuery again for what is under way it changes nothing and answers 200.
    """
    journey = engine.registry.journeys.get(name)
    if journey is None or not journey.is_for(actor.brand):
        raise _no_shadow(engine, actor.brand, name)
    if not journey.knows(body.version):
        known = sorted({*journey.versions, journey.version} - {0})
        named = ", ".join(f"v{one}" for one in known) or "no release"
        raise Problem("not-found", f"{name} has no v{body.version} here; it has {named}.")
    async with engine.database.transaction() as connection:
        asked = {"journey": name, **body.model_dump()}
        made = await start_shadow(connection, actor.brand, asked, actor.name, engine.clock())
        running = made or await newest_shadow(connection, actor.brand, name)
    if running is None or (running.version, running.percent) != (body.version, body.percent):
        raise Problem("shadowed", f"Another shadow of {name} is under way; stop it before the next one starts.")
    response.status_code = 200 if made is None else 201
    return _view(engine, running)


@router.post("/{name}/shadow/stop", responses={**COMMON, **documented(404)})
async def stop_shadow_of_journey(name: str, engine: EngineOf, actor: Deciding) -> ShadowView:
    """Begin no further shadow run, and end those under way, a few at a time; none of them does anything from now on.

    What was written down stays, and so does the report. Stopped again it changes nothing.
    """
    job = None
    async with engine.pools.ordinary.patient_transaction() as connection:
        shadow = await newest_shadow(connection, actor.brand, name, lock=True)
        if shadow is None:
            raise _no_shadow(engine, actor.brand, name)
        if shadow.stopped_at is None:
            now = engine.clock()
            shadow = await stop_shadow(connection, shadow, actor.name, now)
            job = await begin_shadow_stop(connection, shadow, actor.name, now)
    if job is not None:
        await wake(engine, job)
    return _view(engine, shadow)


def _no_shadow(engine: ApiEngine, brand: str, name: str) -> Problem:
    """Why there is none: the journey never had one, or there is no such journey."""
    known = [one.name for one in engine.registry.journeys.values() if one.is_for(brand)]
    if name in known:
        return Problem("not-found", f"{name} never had a shadow; start one with POST /v1/journeys/{name}/shadow.")
    return undeclared("journey", name, known)


def _view(engine: ApiEngine, shadow: ShadowRow) -> ShadowView:
    journey = engine.registry.journeys.get(shadow.journey)
    shown = {name: getattr(shadow, name) for name in ShadowRow._fields if name != "brand"}
    return ShadowView(**shown, beside=0 if journey is None else journey.entered_on, running=shadow.stopped_at is None)
