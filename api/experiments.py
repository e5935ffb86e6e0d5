"""Experiments: what each has found so far, what was found at its looks, and who was drawn into which arm."""

from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from activities.experiment_participants import findings_of
from activities.experiment_rows import ExperimentRow, list_assignments, list_experiments, list_looks
from api.dependencies import ApiEngine, EngineOf
from api.pagination import Moment, Page, PageQuery
from api.permissions import Key, needs
from api.problems import COMMON, Problem, documented
from learning.experiment_findings import ExperimentFindings
from workflows.json_object import JsonObject

router = APIRouter(prefix="/v1/experiments", tags=["experiments"])

Reading = Annotated[Key, needs("journeys:manage", "players:read")]

EXAMPLE: Final[JsonObject] = {
    "name": "winback-channel",
    "version": 1,
    "arms": {"nudge": 50, "control": 50},
    "stopped": {},
    "started_at": "2026-01-15T12:00:00Z",
    "looked_at": "2026-02-20T11:00:00Z",
    "declared": True,
}


class ExperimentView(BaseModel):
    """An experiment that has had a player in the key's brand."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    name: str
    version: int
    arms: dict[str, int] = Field(description="The shares it began with, in percent.")
    stopped: dict[str, str] = Field(description="Arms that are given to nobody any more, and why.")
    closed: str | None = Field(None, description="Why nobody is drawn any more; absent while players are.")
    started_at: datetime
    looked_at: datetime = Field(description="After a day without a look whoever is new gets the control arm.")
    declared: bool = Field(description="Whether the deployed code has it; what was found is told only then.")


class ExperimentList(BaseModel):
    """Every experiment of the brand, the newest first; there are few enough for one page."""

    items: list[ExperimentView]


class LookView(BaseModel):
    """What was found at a planned look at the goal. It stays as it was found."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"number": 1, "at": "2026-01-22T12:00:00Z", "counted": 0.25, "verdict": "running"}]
        }
    )

    number: int
    at: datetime
    counted: float = Field(description="Which part of the planned players had been counted.")
    verdict: str
    sentence: str = ""


class ExperimentReport(ExperimentView):
    """An experiment with what it has found as of a moment."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE | {"looks": [], "findings": None}]})

    looks: list[LookView]
    findings: ExperimentFindings | None = Field(description="None where the deployed code does not declare it.")


class Assignment(BaseModel):
    """A player and the arm they were drawn into; everything that a check of the draw needs."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "player_id": "p-1001",
                    "arm": "nudge",
                    "chance": 0.5,
                    "shares": {"nudge": 50, "control": 50},
                    "at": "2026-01-15T12:00:00Z",
                }
            ]
        }
    )

    player_id: str
    arm: str
    chance: float = Field(description="With which the arm was drawn; 1 where nothing was, and `why` says why.")
    shares: dict[str, int] = Field(description="Of every arm at that moment, in percent.")
    why: str | None = None
    at: datetime


class ExperimentQuery(BaseModel):
    """Which version, and as of when."""

    model_config = ConfigDict(extra="forbid")

    version: Annotated[int | None, Field(ge=1, le=1_000_000, description="The newest unless given.")] = None
    as_of: Annotated[Moment | None, Field(description="Only what was known then counts; now unless given.")] = None


class AssignmentQuery(PageQuery):
    """Which version."""

    version: Annotated[int | None, Field(ge=1, le=1_000_000, description="The newest unless given.")] = None


@router.get("", name="list_experiments", responses=COMMON)
async def listed(engine: EngineOf, key: Reading) -> ExperimentList:
    """Every experiment that has had a player."""
    async with engine.database.reading() as connection:
        rows = await list_experiments(connection, key.brand)
    return ExperimentList(items=[_view(engine, row) for row in rows])


@router.get("/{experiment}", responses={**COMMON, **documented(404)})
async def get_experiment(
    experiment: str, engine: EngineOf, key: Reading, query: Annotated[ExperimentQuery, Query()]
) -> ExperimentReport:
    """What an experiment has found: each arm with its interval, harm with its evidence, and a plain sentence.

    With `as_of` it is what was known at that moment, however late the rest came. A goal is judged at the looks of the
    plan; between them the interval is that of the look before.
    """
    row = await _chosen(engine, key, experiment, query.version)
    tried = engine.registry.experiments.get((row.name, row.version))
    async with engine.database.reading() as connection:
        looks = await list_looks(connection, row)
        found = None if tried is None else await findings_of(connection, row, tried, engine.clock(), query.as_of)
    seen = [LookView(number=one.number, at=one.at, counted=one.counted, **_said(one.findings)) for one in looks]
    return ExperimentReport(**vars(_view(engine, row)), looks=seen, findings=found)


@router.get("/{experiment}/assignments", responses={**COMMON, **documented(404)})
async def list_assignments_of(
    experiment: str, engine: EngineOf, key: Reading, query: Annotated[AssignmentQuery, Query()]
) -> Page[Assignment]:
    """Who was drawn into which arm, with which chance, by player id: the table by which others can check it."""
    row = await _chosen(engine, key, experiment, query.version)
    whose = f"{key.brand} {row.name} {row.version}"
    after = query.after(whose, str)
    async with engine.database.reading() as connection:
        rows = await list_assignments(connection, row, after[0] if after else "", query.size + 1)
    page, token = query.page(whose, rows, lambda one: (one.player_id,))
    shown = [Assignment(**{name: getattr(one, name) for name in Assignment.model_fields}) for one in page]
    return Page(items=shown, next_page_token=token)


def _said(found: JsonObject) -> JsonObject:
    return {"verdict": found["verdict"], "sentence": found["sentence"]}


async def _chosen(engine: ApiEngine, key: Key, name: str, version: int | None) -> ExperimentRow:
    async with engine.database.reading() as connection:
        rows = [one for one in await list_experiments(connection, key.brand) if one.name == name]
    chosen = [one for one in rows if version in {None, one.version}]
    if not chosen:
        known = f"it has v{', v'.join(str(one.version) for one in rows)}" if rows else "no player has come to it"
        raise Problem("not-found", f"There is no such experiment here; {known}.")
    return max(chosen, key=lambda one: one.version)


def _view(engine: ApiEngine, row: ExperimentRow) -> ExperimentView:
    stopped = {arm: one.why for arm, one in row.stopped.items()}
    shown = {name: getattr(row, name) for name in ExperimentView.model_fields if name not in {"declared", "stopped"}}
    return ExperimentView(**shown, stopped=stopped, declared=(row.name, row.version) in engine.registry.experiments)
