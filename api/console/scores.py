"""The page of scores: which model says each, what it was worth, how it does, and what is said where none does."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter, Request, Response
from markupsafe import Markup

from api import scores
from api.console import score_texts
from api.console.pages import ConsoleRoute
from api.console.rendering import language_of, render, speech_of
from api.console.score_texts import FIGURES, SAYS, feature_text, why_text
from api.console.speech import Speech
from api.console.visitor import VisitorOf
from api.dependencies import EngineOf
from content.figure_pictures import calibration_plot, gain_curve
from learning.closed_windows import ClosedWindow
from learning.drift import DRIFT_TO_LOOK_AT, DRIFT_TOO_LARGE
from learning.judging_scores import Tenth
from workflows.scores import VALUE

router = APIRouter(route_class=ConsoleRoute, prefix="/console/{brand}", include_in_schema=False)

READERS: Final = ("journeys:manage", "players:read")
#: Features whose drift is shown, those that moved most.
MOST_DRIFTS: Final = 8
#: Figures that are parts of something.
_PARTS: Final = ("captured", "total_off")


@dataclass(frozen=True)
class FloorRow:
    """A figure of a model beside what it must reach."""

    title: str
    says: str
    reached: str
    floor: str
    at_most: bool
    is_met: bool


@dataclass(frozen=True)
class FeatureRow:
    """A feature with how far it moved, or how much it counts."""

    about: str
    name: str
    value: str
    #: good, warn or bad; nothing where it says nothing.
    kind: str = ""


@dataclass(frozen=True)
class ScoreCard:
    """A score as the page shows it."""

    score: scores.ScoreView
    says: str
    floors: Sequence[FloorRow]
    picture: Markup | None
    is_rank: bool
    drifts: Sequence[FeatureRow]
    strengths: Sequence[FeatureRow]
    trained: str
    windows: Sequence[tuple[str, str]]
    versions: Sequence[str]


@router.get("/scores")
async def scores_page(request: Request, engine: EngineOf, visitor: VisitorOf) -> Response:
    """Every score: its model with figures and floors, drift, what counts most, and the newest training."""
    visitor.needs(*READERS)
    told = await scores.list_scores(engine, visitor.key)
    speech = speech_of(language_of(request, visitor))
    cards = [_card(one, speech) for one in told.items]
    return render(request, visitor, "scores.html", cards=cards, texts=score_texts)


def _card(score: scores.ScoreView, speech: Speech) -> ScoreCard:
    is_rank, used, trained = score.name == VALUE, score.champion, score.trained
    tenths = None if used is None else used.tenths
    windows = [] if trained is None else trained.windows
    return ScoreCard(
        score=score,
        says=SAYS[score.name],
        floors=[] if used is None else [_floor(one, speech) for one in used.floors],
        picture=_picture(tenths, speech, is_rank=is_rank) if tenths else None,
        is_rank=is_rank,
        drifts=[] if used is None else [_drift(*one, speech) for one in [*used.drifts.items()][:MOST_DRIFTS]],
        strengths=[] if used is None else [_strength(one, speech, used.kind) for one in used.strengths],
        trained="" if trained is None else why_text(trained.says, speech),
        windows=[_window(one, speech, is_rank=is_rank) for one in windows],
        versions=[why_text(one.why, speech) for one in score.versions],
    )


def _window(one: ClosedWindow, speech: Speech, *, is_rank: bool) -> tuple[str, str]:
    if is_rank:
        return speech.number(one.said, "0.000"), speech.number(one.happened, "0.000")
    return speech.share(one.said), speech.share(one.happened)


def _floor(one: scores.ScoreFloor, speech: Speech) -> FloorRow:
    title, says = FIGURES[one.figure]
    reached, floor = (
        speech.share(value) if one.figure in _PARTS else speech.number(value, "0.000")
        for value in (one.reached, one.floor)
    )
    return FloorRow(title, says, reached, floor, one.at_most, one.is_met)


def _drift(name: str, drift: float, speech: Speech) -> FeatureRow:
    kind = "bad" if drift > DRIFT_TOO_LARGE else "warn" if drift > DRIFT_TO_LOOK_AT else ""
    return FeatureRow(feature_text(name, speech), name, speech.number(drift, "0.00"), kind)


def _strength(one: scores.FeatureStrength, speech: Speech, kind: str) -> FeatureRow:
    pattern = "0.00" if kind == "trees" else "+0.00;-0.00"
    return FeatureRow(feature_text(one.feature, speech), one.feature, speech.number(one.weight, pattern))


def _picture(tenths: Sequence[Tenth], speech: Speech, *, is_rank: bool) -> Markup:
    """Chances against what came of them; of a rank which part of the money came of the players ranked highest."""
    points = [(one.said, one.happened) for one in tenths]
    if is_rank:
        whole = sum(came for _, came in points) or 1.0
        title = ", ".join(speech.share(came / whole) for _, came in reversed(points))
        drawn = gain_curve(points[::-1], title)
    else:
        title = ", ".join(f"{speech.share(said)}: {speech.share(came)}" for said, came in points)
        drawn = calibration_plot(points, title)
    # Our own picture: nothing in it was typed by anybody.
    return Markup(drawn)  # noqa: S704
