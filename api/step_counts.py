"""How many runs of a journey came past each of its steps, and where those under way stand."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from activities.figures.journey_reading import CountQuery, counted_until, day_counts, place_counts
from api.dependencies import EngineOf
from api.journey_controls import known_journey
from api.permissions import Key, needs
from api.problems import COMMON, documented
from workflows.figures.journey_figures import arms_of, steps_of

router = APIRouter(prefix="/v1/journeys", tags=["journeys"])


class StepCount(BaseModel):
    """Runs that have done a step, and those whose latest it is."""

    step: str = Field(examples=["send:welcome#1"])
    runs: int
    here: int = Field(description="Of these, under way and not past it.")


class StepCounts(BaseModel):
    """Steps of all treated runs of a journey, in the order of their names."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "journey": "welcome",
                    "runs": 1_204,
                    "as_of": "2026-01-15T12:00:00Z",
                    "items": [{"step": "send:welcome#1", "runs": 1_198, "here": 31}],
                }
            ]
        }
    )

    journey: str
    runs: int = Field(description="Treated runs that entered.")
    as_of: datetime | None = Field(description="What happened before then is counted; null where nothing is yet.")
    items: list[StepCount]


@router.get("/{name}/steps", responses={**COMMON, **documented(404)})
async def get_step_counts(
    name: str, engine: EngineOf, key: Annotated[Key, needs("journeys:manage", "players:read")]
) -> StepCounts:
    """How many runs came past each step: the numbers of `GET /v1/journeys/{name}/figures`, of treated runs alone."""
    async with engine.database.reading() as connection:
        await known_journey(engine, connection, key.brand, name)
        counts = await day_counts(connection, key.brand, CountQuery(name))
        places = await place_counts(connection, key.brand, name)
        as_of = await counted_until(connection)
    treated = arms_of(counts).get("treated")
    steps = [one for one in steps_of(counts, places) if one.arm == "treated"]
    return StepCounts(
        journey=name,
        runs=0 if treated is None else treated.entered,
        as_of=as_of,
        items=[StepCount(step=one.step, runs=one.passed, here=one.here) for one in steps],
    )
