"""Scores of players, as journeys and segments read them: a score is a fact like any other, told by an event."""

from datetime import datetime, timedelta
from typing import Final, Literal

from workflows.events import DepositApproved, ScoreChanged
from workflows.local_time import DAY, days
from workflows.player_facts import ScoreRead
from workflows.player_state.consents import said
from workflows.player_state.projection import PlayerProjection
from workflows.rules.measures import Measure, total

__all__ = ["score_percent"]

CHURN: Final = "churn"
#: Under which source the engine tells what its own models say. Nobody posts under it.
SOURCE: Final = "engine:scores"
#: A score that was told longer ago is not believed any more.
BELIEVED_FOR: Final = days(7)
#: By whole days without a deposit, what is likely where there is no model: how many of a hundred do not come back
#: within 30 days. They are the house's round numbers, and a model of the house's own players is better.
BY_SILENCE: Final = ((0, 30), (3, 40), (7, 50), (14, 65), (21, 75), (30, 80), (60, 90))


def _of_churn(change: ScoreChanged) -> bool:
    return change.score == CHURN


def _moved(change: ScoreChanged) -> int:
    return change.to_percent - change.from_percent


_MEASURES: Final = {CHURN: total(ScoreChanged, _moved, where=_of_churn, name="churn_percent")}


def score_percent(score: Literal["churn"]) -> Measure:
    """A score as it was told last, in percent, as a measure for segments and thresholds; 0 before the first.

    Give it a name at the top of a module of journeys, as any measure: `churn_percent = score_percent("churn")`.
    """
    return _MEASURES[score]


def is_score(measure: Measure) -> bool:
    """Whether it is one that `score_percent` answers, under whatever name."""
    return any(measure.key == one.key for one in _MEASURES.values())


def is_over(told: ScoreChanged) -> bool:
    """Whether the engine has said that a player is not scored any more; its models are numbered from 1."""
    return told.event_source == SOURCE and told.model == 0


def _objected(player: PlayerProjection | None) -> bool:
    consents = {} if player is None else player.consents
    return said({key: given for key, (given, _) in consents.items()}, "profiling") is False


def read_score(told: ScoreChanged | None, player: PlayerProjection | None, now: datetime) -> ScoreRead:
    """The score as it was told last; an estimate by silence alone where none was, it is over, or too long ago.

    Who objected to being profiled is not scored from that moment on, whatever was told before.
    """
    if told is not None and not _objected(player) and not is_over(told) and now - told.occurred_at <= BELIEVED_FOR:
        return ScoreRead(percent=told.to_percent, why=told.why, as_of=told.occurred_at)
    last = None if player is None else player.last.get(DepositApproved.type)
    if last is None:
        return ScoreRead(percent=BY_SILENCE[-1][1], why=["no deposit so far"])
    silent = max(timedelta(0), now - last) // DAY
    likely = [percent for least, percent in BY_SILENCE if silent >= least]
    return ScoreRead(percent=likely[-1], why=[f"{silent} days since the last deposit"])
