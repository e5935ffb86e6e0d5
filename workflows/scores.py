"""Scores of players, as journeys and segments read them: a score is a fact like any other, told by an event."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from workflows.events import DepositApproved, ScoreChanged
from workflows.local_time import DAY, days
from workflows.player_facts import ScoreName, ScoreRead
from workflows.player_state.profiling import objects_to_profiling
from workflows.player_state.projection import PlayerProjection
from workflows.rules.measures import Measure, total

__all__ = ["score_percent"]

CHURN: Final = "churn"
VALUE: Final = "value"
VIP: Final = "vip"
SCORES: Final[tuple[ScoreName, ...]] = (CHURN, VALUE, VIP)
#: Under which source the engine tells what its own models say. Nobody posts under it.
SOURCE: Final = "engine:scores"
#: A score that was told longer ago is not believed any more.
BELIEVED_FOR: Final = days(7)
#: By whole days without a deposit, what is likely where there is no model. Of churn, how many of a hundred do not come
#: back within 30 days; of value, how many of a hundred bring less in 90; of vip, how many are among the tenth that
#: brings most. They are round numbers of one house, and a model of the house's own players is better.
BY_SILENCE: Final[Mapping[str, tuple[tuple[int, int], ...]]] = {
    CHURN: ((0, 30), (3, 40), (7, 50), (14, 65), (21, 75), (30, 80), (60, 90)),
    VALUE: ((0, 75), (3, 65), (7, 55), (14, 50), (21, 40), (30, 35), (60, 30), (90, 10)),
    VIP: ((0, 30), (3, 20), (7, 10), (14, 5), (21, 3), (30, 2), (60, 1), (90, 0)),
}
#: Of who has not deposited at all.
NEVER: Final[Mapping[str, int]] = {CHURN: 90, VALUE: 0, VIP: 0}


def _of_churn(change: ScoreChanged) -> bool:
    return change.score == CHURN


def _of_value(change: ScoreChanged) -> bool:
    return change.score == VALUE


def _of_vip(change: ScoreChanged) -> bool:
    return change.score == VIP


def _moved(change: ScoreChanged) -> int:
    return change.to_percent - change.from_percent


_MEASURES: Final[Mapping[str, Measure]] = {
    CHURN: total(ScoreChanged, _moved, where=_of_churn, name="churn_percent"),
    VALUE: total(ScoreChanged, _moved, where=_of_value, name="value_percent"),
    VIP: total(ScoreChanged, _moved, where=_of_vip, name="vip_percent"),
}


def score_percent(score: ScoreName) -> Measure:
    """A score as it was told last, in percent, as a measure for segments and thresholds; 0 before the first.

    Give it a name at the top of a module of journeys, as any measure: `churn_percent = score_percent("churn")`.
    """
    return _MEASURES[score]


def score_of(measure: Measure) -> str | None:
    """The score that a measure of `score_percent` answers, under whatever name; None for any other measure."""
    return next((name for name, one in _MEASURES.items() if one.key == measure.key), None)


def is_over(told: ScoreChanged) -> bool:
    """Whether the engine has said that a player is not scored any more; its models are numbered from 1."""
    return told.event_source == SOURCE and told.model == 0


def read_score(score: str, told: ScoreChanged | None, player: PlayerProjection | None, now: datetime) -> ScoreRead:
    """The score as it was told last; an estimate by silence alone where none was, it is over, or too long ago.

    Who objected to being profiled is not scored from that moment on, whatever was told before. A score of the
    operator's own that nobody told is estimated as `churn` is.
    """
    objects = player is not None and objects_to_profiling(player)
    if told is not None and not objects and not is_over(told) and now - told.occurred_at <= BELIEVED_FOR:
        return ScoreRead(percent=told.to_percent, why=told.why, as_of=told.occurred_at)
    last = None if player is None else player.last.get(DepositApproved.type)
    if last is None:
        return ScoreRead(percent=NEVER.get(score, NEVER[CHURN]), why=["no deposit so far"])
    silent = max(timedelta(0), now - last) // DAY
    likely = [percent for least, percent in BY_SILENCE.get(score, BY_SILENCE[CHURN]) if silent >= least]
    return ScoreRead(percent=likely[-1], why=[f"{silent} days since the last deposit"])
