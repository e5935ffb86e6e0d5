"""What another way of choosing would have been worth, from choices that were logged with their chances."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, ConfigDict

from learning.differences import Interval, z_of

#: Judged anew every week, so more than the usual has to be sure.
SURE: Final = 0.99
#: Choices' worth below which nothing is said, and the most that one choice may count for.
LEAST_EFFECTIVE: Final = 500
MOST_WEIGHT: Final = 20.0


@dataclass(frozen=True, slots=True)
class JudgedChoice:
    """A logged choice, seen by a new rule and by the one in use.

    Weights are the chance that each gives to what was chosen, by the chance with which it was. `foretold` is what a
    model expected of it, and of a choice of either rule; wrong models cost sureness and no truth.
    """

    player_id: str
    worth: float
    weight: float
    weight_in_use: float
    foretold: float = 0.0
    foretold_of_new: float = 0.0
    foretold_in_use: float = 0.0


class PolicyWorth(BaseModel):
    """What a new rule is worth beside the one in use, a message."""

    model_config = ConfigDict(frozen=True)

    choices: int
    players: int
    #: Of the new rule and of the one in use, by weights that are made to sum to one.
    worth: float
    in_use: float
    #: The difference, doubly robust, and where it lies 99 times of 100.
    gain: float
    gain_from: float
    gain_to: float
    #: As many choices of its own would tell as much, and the most that one choice counts for.
    effective: float
    largest_weight: float

    @property
    def passes(self) -> bool:
        """Whether the new rule may be used: surely better, by enough choices, none of which decides alone."""
        return self.gain_from > 0 and self.effective >= LEAST_EFFECTIVE and self.largest_weight <= MOST_WEIGHT + 1e-6

    @property
    def is_worse(self) -> bool:
        """Whether it is surely worse than the one in use."""
        return self.gain_to < 0


def judge_policy(choices: Sequence[JudgedChoice]) -> PolicyWorth:
    """Judge a rule by choices that it had no part in: learned from them, it would look better than it is."""
    weights = [one.weight for one in choices]
    squares = math.fsum(weight * weight for weight in weights)
    gains = [
        one.foretold_of_new - one.foretold_in_use + (one.weight - one.weight_in_use) * (one.worth - one.foretold)
        for one in choices
    ]
    interval = clustered([one.player_id for one in choices], gains, SURE)
    return PolicyWorth(
        choices=len(choices),
        players=len({one.player_id for one in choices}),
        worth=self_normalised(choices, weights)[0],
        in_use=self_normalised(choices, [one.weight_in_use for one in choices])[0],
        gain=math.fsum(gains) / len(gains),
        gain_from=interval.low,
        gain_to=interval.high,
        effective=math.fsum(weights) ** 2 / squares if squares else 0.0,
        largest_weight=max(weights),
    )


def self_normalised(
    choices: Sequence[JudgedChoice], weights: Sequence[float], confidence: float = 0.95
) -> tuple[float, Interval]:
    """The worth of a choice under a rule (SNIPS) with its interval."""
    total = math.fsum(weights)
    if not total:
        return 0.0, Interval(-math.inf, math.inf)
    worth = math.fsum(weight * one.worth for weight, one in zip(weights, choices, strict=True)) / total
    scale = len(choices) / total
    off = [scale * weight * (one.worth - worth) for weight, one in zip(weights, choices, strict=True)]
    around = clustered([one.player_id for one in choices], off, confidence)
    return worth, Interval(worth + around.low, worth + around.high)


def clustered(players: Sequence[str], values: Sequence[float], confidence: float) -> Interval:
    """The interval of a mean whose values belong together by player: one who was asked often is one player still."""
    mean = math.fsum(values) / len(values)
    apart: defaultdict[str, float] = defaultdict(float)
    for player, one in zip(players, values, strict=True):
        apart[player] += one - mean
    count = len(apart)
    if count < 2:
        return Interval(-math.inf, math.inf)
    spread = math.fsum(one * one for one in apart.values()) * count / (count - 1)
    half = z_of(confidence) * math.sqrt(spread) / len(values)
    return Interval(mean - half, mean + half)
