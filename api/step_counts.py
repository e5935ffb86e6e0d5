"""How many runs of a journey came past each of its steps, and where those under way stand."""

from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import text

from api.dependencies import EngineOf
from api.journey_controls import known_journey
from api.permissions import Key, needs
from api.problems import COMMON, documented

router = APIRouter(prefix="/v1/journeys", tags=["journeys"])

#: Runs that are counted, the newest: a question about all of them would read as long as the journey is old.
COUNTED: Final = 5_000


class StepCount(BaseModel):
    """Runs that have done a step, and those whose latest it is."""

    step: str = Field(examples=["send:welcome#1"])
    runs: int
    here: int = Field(description="Of these, under way and not past it.")


class StepCounts(BaseModel):
    """Steps of the newest treated runs of a journey, in no order."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "journey": "welcome",
                    "runs": 1_204,
                    "complete": True,
                    "as_of": "2026-01-15T12:00:00Z",
                    "items": [{"step": "send:welcome#1", "runs": 1_198, "here": 31}],
                }
            ]
        }
    )

    journey: str
    runs: int = Field(description=f"How many runs were counted, {COUNTED:,} at most.")
    complete: bool = Field(description="Whether these are all there are.")
    as_of: datetime
    items: list[StepCount]


@router.get("/{name}/steps", responses={**COMMON, **documented(404)})
async def get_step_counts(
    name: str, engine: EngineOf, key: Annotated[Key, needs("journeys:manage", "players:read")]
) -> StepCounts:
    """How many of the newest runs came past each step. Those of the control group are left out."""
    given = {"brand": key.brand, "journey": name, "most": COUNTED + 1}
    async with engine.database.reading() as connection:
        await known_journey(engine, connection, key.brand, name)
        rows = (await connection.execute(_COUNT, given)).all()
    total = rows[0].total if rows else 0
    return StepCounts(
        journey=name,
        runs=min(total, COUNTED),
        complete=total <= COUNTED,
        as_of=engine.clock(),
        items=[StepCount(step=row.step, runs=row.runs, here=row.here) for row in rows if row.step is not None],
    )


# Both states apart, because the index has them so: each reads no more than it is to give.
_COUNT = text(
    """
    WITH newest AS (
        SELECT id, state FROM (
            (SELECT id, state, entered_at FROM runs
             WHERE brand = :brand AND journey = :journey AND state = 'active' AND arm = 'treated'
             ORDER BY entered_at DESC LIMIT :most)
            UNION ALL
            (SELECT id, state, entered_at FROM runs
             WHERE brand = :brand AND journey = :journey AND state = 'ended' AND arm = 'treated'
             ORDER BY entered_at DESC LIMIT :most)
        ) AS both_states ORDER BY entered_at DESC LIMIT :most
    ), done AS (
        SELECT s.run_id, s.step, n.state,
               row_number() OVER (PARTITION BY s.run_id ORDER BY s.seq DESC) = 1 AS latest
        FROM newest n JOIN steps s ON s.run_id = n.id
    ), total AS (SELECT count(*) AS total FROM newest)
    SELECT total.total, done.step, count(DISTINCT run_id) AS runs,
           count(*) FILTER (WHERE latest AND state = 'active') AS here
    FROM total LEFT JOIN done ON true
    GROUP BY total.total, done.step
    """
)
