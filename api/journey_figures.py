"""A journey in numbers: by arm, by step, by day, and by segment or part of a split."""

from datetime import date, datetime
from typing import Annotated, Final, Self

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from activities.figures.journey_reading import CountQuery, DayCount, counted_until, day_counts, place_counts, splits_of
from api.dependencies import ApiEngine, EngineOf
from api.journey_controls import known_journey
from api.permissions import Key, needs
from api.problems import COMMON, Problem, documented
from workflows.figures.journey_figures import ArmNumbers, StepNumbers, arms_of, steps_of
from workflows.json_object import JsonObject

router = APIRouter(prefix="/v1/journeys", tags=["figures"])

_EXAMPLE_ARM: Final[JsonObject] = {
    "arm": "treated",
    "entered": 900,
    "refused": 4,
    "active": 120,
    "goals": 310,
    "goal_rate": 0.344,
    "sent": 1_650,
    "suppressed": {"no_consent": 42},
    "granted": 300,
    "claimed": 120,
    "cost_minor": {"EUR": 41_000},
    "tasks": 12,
    "exits": {"completed": 700, "refused:self_excluded": 4},
}


class ArmFigures(BaseModel):
    """What became of the runs of one arm."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE_ARM]})

    arm: str = Field(
        description="`treated` or `control`; `holdout` are runs of the brand's holdout, whatever was drawn."
    )
    entered: int = Field(description="Runs that were played or watched; those who were refused are not among them.")
    refused: int = Field(description="Entries of protected players, of which nothing was played.")
    active: int | None = Field(description="Under way now; null where only some days or parts were asked for.")
    goals: int = Field(description="Runs that reached the goal, on the days that were asked for.")
    goal_rate: float | None = Field(description="Of those that entered; null where nobody did.")
    sent: int = Field(description="Steps that reached their player on a channel at least.")
    suppressed: dict[str, int] = Field(description="Steps that were held back on every channel, by why.")
    granted: int
    claimed: int
    cost_minor: dict[str, int] = Field(description="What rewards that have ended cost, by currency.")
    tasks: int = Field(description="Tasks that were opened.")
    exits: dict[str, int] = Field(description="How runs ended; refused ones among them.")

    @classmethod
    def of(cls, name: str, numbers: ArmNumbers, *, whole: bool) -> Self:
        """As the API tells them."""
        return cls(
            arm=name,
            entered=numbers.entered,
            refused=numbers.refused,
            active=numbers.active if whole else None,
            goals=numbers.goals,
            goal_rate=numbers.goals / numbers.entered if numbers.entered else None,
            sent=numbers.sent,
            suppressed=dict(numbers.suppressed),
            granted=numbers.granted,
            claimed=numbers.claimed,
            cost_minor=dict(numbers.cost),
            tasks=numbers.tasks,
            exits=dict(numbers.exits),
        )


class StepFigures(BaseModel):
    """What the runs of an arm did at a step."""

    step: str = Field(examples=["send:welcome#1"])
    arm: str
    passed: int = Field(description="Runs that came to it: the number on its card.")
    here: int | None = Field(description="Of these, under way and not past it.")
    outcomes: dict[str, int]
    suppressed: dict[str, int]
    cost_minor: dict[str, int]

    @classmethod
    def of(cls, numbers: StepNumbers, *, whole: bool) -> Self:
        """As the API tells them."""
        return cls(
            step=numbers.step,
            arm=numbers.arm,
            passed=numbers.passed,
            here=numbers.here if whole else None,
            outcomes=dict(numbers.outcomes),
            suppressed=dict(numbers.suppressed),
            cost_minor=dict(numbers.cost),
        )


class PartFigures(BaseModel):
    """A segment that players were in when they entered, or a part of a split that they came to."""

    part: str
    arms: list[ArmFigures]


class DayFigures(BaseModel):
    """A day of UTC."""

    day: date
    arms: list[ArmFigures]


class JourneyFigures(BaseModel):
    """A journey in numbers."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "journey": "welcome",
                    "as_of": "2026-01-15T12:00:00Z",
                    "splits": ["segment", "split:tone"],
                    "arms": [_EXAMPLE_ARM],
                    "steps": [
                        {
                            "step": "send:welcome#1",
                            "arm": "treated",
                            "passed": 898,
                            "here": 31,
                            "outcomes": {"sent": 880, "suppressed": 18},
                            "suppressed": {"no_consent": 18},
                            "cost_minor": {},
                        }
                    ],
                    "days": [],
                    "parts": [],
                }
            ]
        }
    )

    journey: str
    as_of: datetime | None = Field(description="What happened before then is counted; null where nothing is yet.")
    splits: list[str] = Field(description="By what the numbers can be split.")
    arms: list[ArmFigures]
    steps: list[StepFigures]
    days: list[DayFigures] = Field(description="Day by day, the oldest first; empty unless `since` was asked for.")
    parts: list[PartFigures] = Field(description="Empty unless `split_by` was asked for. Segments overlap.")


class FiguresQuery(BaseModel):
    """Which numbers."""

    model_config = ConfigDict(extra="forbid")

    since: date | None = Field(default=None, description="The first day of UTC; without it from the beginning.")
    until: date | None = Field(default=None, description="The day after the last one.")
    version: int | None = Field(default=None, ge=0, le=2**31 - 1, description="Of one release.")
    split_by: str | None = Field(default=None, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$", examples=["segment"])


@router.get("/{name}/figures", responses={**COMMON, **documented(404)})
async def get_journey_figures(
    name: str,
    engine: EngineOf,
    key: Annotated[Key, needs("journeys:manage", "players:read")],
    query: Annotated[FiguresQuery, Query()],
) -> JourneyFigures:
    """What happened in a journey, counted behind it: entries, messages, rewards with their cost, tasks, goals, ends.

    Every run is counted once, and nothing is estimated. The list of journeys, its diagram and this show one number.
    """
    return await read_figures(name, engine, key, query)


async def read_figures(
    name: str, engine: ApiEngine, key: Key, query: FiguresQuery, *, with_splits: bool = True
) -> JourneyFigures:
    """What `get_journey_figures` answers. Without `splits`, for a page that offers none, it is one statement less."""
    if query.since is not None and query.until is not None and query.since >= query.until:
        raise Problem("invalid", "until must be after since: the day after the last one.")
    asked = CountQuery(name, query.since, query.until, query.version)
    whole = query.since is None and query.until is None
    async with engine.database.reading() as connection:
        await known_journey(engine, connection, key.brand, name)
        counts = await day_counts(connection, key.brand, asked)
        places = await place_counts(connection, key.brand, name, query.version) if whole else []
        by_day = [] if query.since is None else await day_counts(connection, key.brand, _daily(asked))
        split = (
            await day_counts(connection, key.brand, _split(asked, query.split_by)) if query.split_by is not None else []
        )
        splits = await splits_of(connection, key.brand, name) if with_splits else []
        as_of = await counted_until(connection)
    days = sorted({row.day for row in by_day if row.day is not None})
    return JourneyFigures(
        journey=name,
        as_of=as_of,
        splits=splits,
        arms=[ArmFigures.of(arm, numbers, whole=whole) for arm, numbers in sorted(arms_of(counts, places).items())],
        steps=[StepFigures.of(one, whole=whole) for one in steps_of(counts, places)],
        days=[DayFigures(day=day, arms=_arms([row for row in by_day if row.day == day])) for day in days],
        parts=[
            PartFigures(part=part, arms=_arms([row for row in split if row.part == part]))
            for part in sorted({row.part for row in split})
        ],
    )


def _arms(rows: list[DayCount]) -> list[ArmFigures]:
    return [ArmFigures.of(arm, numbers, whole=False) for arm, numbers in sorted(arms_of(rows).items())]


def _daily(asked: CountQuery) -> CountQuery:
    return CountQuery(asked.journey, asked.since, asked.until, asked.version, by_day=True)


def _split(asked: CountQuery, split_by: str) -> CountQuery:
    return CountQuery(asked.journey, asked.since, asked.until, asked.version, split_by)
