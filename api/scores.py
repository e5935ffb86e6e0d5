"""Scores: which model says each, what it was worth, how it does, and what is said where none does."""

from datetime import datetime
from typing import Annotated, Final, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from activities.score_models import ModelRow, ModelState, ModelVersion, champions, newest_versions, read_model
from activities.score_trainings import Became, Training, list_trainings
from api.dependencies import ApiEngine, EngineOf
from api.permissions import Key, needs
from api.problems import COMMON
from learning.closed_windows import ClosedWindow
from learning.judging_scores import Beaten, Floor, Quality, Tenth
from learning.score_kinds import SCORE_KINDS, ScoreKind
from learning.scored import ModelKind, ScoreModel
from workflows.json_object import JsonObject
from workflows.scores import BELIEVED_FOR, BY_SILENCE

router = APIRouter(prefix="/v1/scores", tags=["scores"])

Reading = Annotated[Key, needs("journeys:manage", "players:read")]
#: Models of each score that are told of, the newest, and features of the one in use, the strongest.
MOST_VERSIONS: Final = 12
MOST_FEATURES: Final = 10
#: Why a score is an estimate: nothing that is deployed reads it, no model was good enough or its players became others,
#: this release cannot read the model, or nobody was scored by it for a week.
EstimatedBecause = Literal["unread", "no_model", "other_release", "not_scored"]

EXAMPLE: Final[JsonObject] = {
    "name": "churn",
    "estimated_because": None,
    "estimates": [{"days": 0, "percent": 30}, {"days": 14, "percent": 65}],
    "champion": None,
    "trained": {"tried_at": "2026-02-16T02:10:00Z", "became": "champion", "says": "AUC 0.868", "is_off": False},
    "versions": [],
}


class SilenceEstimate(BaseModel):
    """What is said of a player who has not deposited for so many whole days, where no model says more."""

    days: int
    percent: int


class ScoreFloor(BaseModel):
    """A figure of a model, and what it must reach before anybody is scored by it."""

    figure: str
    reached: float
    floor: float
    at_most: bool = Field(description="Whether less is better.")
    is_met: bool

    @classmethod
    def of(cls, one: Floor) -> "ScoreFloor":
        """As the API tells it."""
        return cls(**one._asdict(), is_met=one.is_met)


class FeatureStrength(BaseModel):
    """How much a feature counts."""

    feature: str = Field(description="Two joined by * count together.")
    weight: float = Field(
        description="By how much the logarithm of the odds or of the amount moves where the feature is its spread "
        "above the mean; of trees by how much all their forks move it, without a way."
    )


class ScoreChampion(BaseModel):
    """The model that scores players now."""

    version: int
    kind: ModelKind
    learned_at: datetime = Field(description="Since then it scores players.")
    learned_until: datetime = Field(description="Deposits from then on were only judged on.")
    rows: int = Field(description="Of how many rows it was learned.")
    players: int = Field(description="On how many players it was judged, that it had not seen.")
    floors: list[ScoreFloor]
    goes_the_right_way: bool = Field(description="Such as: who is silent for longer is likelier to leave.")
    tenths: list[Tenth] | None = Field(
        description="By tenths of the players judged on, the lowest first: the mean of what was said and of what came; "
        "of `value` minor units a player. Null of a model that a release before learned."
    )
    beaten: Beaten | None = Field(description="The other model that was fitted to the same rows and is not used.")
    scored_at: datetime | None
    drift: float | None = Field(description="Of the players scored last; above 0.25 the model is used no more.")
    drifts: dict[str, float] = Field(description="Of each feature, the largest first.")
    strengths: list[FeatureStrength] = Field(description="The strongest first.")


class ScoreTraining(BaseModel):
    """The newest time that the score was learned."""

    tried_at: datetime
    became: Became
    says: str
    version: int | None = Field(None, description="The model that came of it.")
    looked_at: int | None = Field(None, description="The model that stayed in use.")
    windows: list[ClosedWindow] = Field([], description="How that did on windows that were over, the newest first.")
    is_off: bool = Field(
        description="Whether it was off in one window after the other and is used all the same: people are told."
    )


class ScoreVersion(BaseModel):
    """What became of a model, and why."""

    version: int
    state: ModelState
    why: str
    learned_at: datetime
    scored_at: datetime | None


class ScoreView(BaseModel):
    """A score: who says it, how well, and what is said where no model does."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    name: str
    estimated_because: EstimatedBecause | None = Field(description="Null where a model scores players.")
    estimates: list[SilenceEstimate]
    champion: ScoreChampion | None
    trained: ScoreTraining | None = Field(description="Null before the first time.")
    versions: list[ScoreVersion] = Field(description="The newest first.")


class ScoreList(BaseModel):
    """Every score there is."""

    items: list[ScoreView]


@router.get("", responses=COMMON)
async def list_scores(engine: EngineOf, key: Reading) -> ScoreList:
    """Each score with the model that says it: its figures beside their floors, drift, what it looks at, and the rest.

    Where `estimated_because` is not null `player.score` answers an estimate by silence alone.
    """
    async with engine.database.reading() as connection:
        in_use = await champions(connection, key.brand)
        trainings = await list_trainings(connection, key.brand)
        versions = await newest_versions(connection, key.brand, MOST_VERSIONS)
    return ScoreList(
        items=[_view(engine, kind, in_use.get(kind.name), trainings.get(kind.name), versions) for kind in SCORE_KINDS]
    )


def _view(
    engine: ApiEngine, kind: ScoreKind, row: ModelRow | None, trained: Training | None, versions: list[ModelVersion]
) -> ScoreView:
    model = None if row is None else read_model(kind, row)
    return ScoreView(
        name=kind.name,
        estimated_because=_estimated(engine, kind, row, model),
        estimates=[SilenceEstimate(days=days, percent=percent) for days, percent in BY_SILENCE[kind.name]],
        champion=None if row is None or model is None else _champion(row, model),
        trained=None if trained is None else _training(trained, row),
        versions=[
            ScoreVersion(**{name: getattr(one, name) for name in ScoreVersion.model_fields})
            for one in versions
            if one.name == kind.name
        ],
    )


def _estimated(
    engine: ApiEngine, kind: ScoreKind, row: ModelRow | None, model: ScoreModel | None
) -> EstimatedBecause | None:
    if kind.name not in engine.registry.reads_scores:
        return "unread"
    if row is None:
        return "no_model"
    if model is None:
        return "other_release"
    scored = row.scored_at or row.learned_at
    return "not_scored" if engine.clock() - scored > BELIEVED_FOR else None


def _champion(row: ModelRow, model: ScoreModel) -> ScoreChampion:
    drifts = sorted(((name, one) for name, one in row.drift.items() if name != "score"), key=lambda one: -one[1])
    strongest = sorted(model.strengths.items(), key=lambda one: -abs(one[1]))[:MOST_FEATURES]
    return ScoreChampion(
        version=row.version,
        kind=model.kind,
        learned_at=row.learned_at,
        learned_until=model.learned_until,
        rows=model.rows,
        players=model.quality.players,
        floors=[ScoreFloor.of(one) for one in model.floors],
        goes_the_right_way=model.goes_the_right_way,
        tenths=model.quality.tenths,
        beaten=model.quality.beaten if isinstance(model.quality, Quality) else None,
        scored_at=row.scored_at,
        drift=row.drift.get("score"),
        drifts=dict(drifts),
        strengths=[FeatureStrength(feature=name, weight=weight) for name, weight in strongest],
    )


def _training(one: Training, used: ModelRow | None) -> ScoreTraining:
    told = {name: getattr(one, name) for name in ScoreTraining.model_fields}
    # Since then it may have been retired, or another taken its place.
    is_used = used is not None and used.version == one.looked_at
    return ScoreTraining(**told | {"is_off": one.is_off and is_used})
