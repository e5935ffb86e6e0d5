"""A night's scores of players who are all at hand."""

import random
from datetime import datetime
from typing import NamedTuple

from learning.scored import Deposits, Scored, ScoredNight, ScoreModel, Survey


class WholeNight(NamedTuple):
    """The scores of a night, and what its players are together."""

    scored: dict[str, Scored]
    night: ScoredNight


def whole_night(model: ScoreModel, players: Deposits, moment: datetime) -> WholeNight:
    """Count all players in one part and score them in one."""
    night = model.night(model.survey(players, moment))
    return WholeNight(model.scores(players, moment, night), night)


def assert_same_in_parts(
    model: ScoreModel, players: Deposits, moment: datetime, shuffled: random.Random, size: int
) -> None:
    """Counted and scored in parts of a size, in a shuffled order, players are scored as all at once."""
    names = [*players]
    shuffled.shuffle(names)
    parts = [{name: players[name] for name in names[at : at + size]} for at in range(0, len(names), size)]
    survey = Survey()
    for part in parts:
        survey.add(model.survey(part, moment))
    whole = model.survey(players, moment)
    assert (survey.players, survey.score, survey.features) == (whole.players, whole.score, whole.features)
    assert (survey.parts, sorted(survey.amounts)) == (whole.parts, sorted(whole.amounts))
    night = model.night(survey)
    scored = {player: one for part in parts for player, one in model.scores(part, moment, night).items()}
    assert WholeNight(scored, night) == whole_night(model, players, moment)
