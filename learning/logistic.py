"""Logistic regression: fitted by Newton's method, kept as plain numbers, scored without any library.

No numpy: a model of some dozen features and some thousand rows is fitted in seconds, and what scores players in a
worker must not need more than the worker has.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from pydantic import BaseModel, ConfigDict

_MOST_STEPS: Final = 25
_SMALLEST_STEP: Final = 1e-7
#: Chances closer to 0 or 1 than this are not believed.
_SUREST: Final = 1e-6


class LogLinearModel(BaseModel):
    """What a fitted model is made of: of each feature, its logarithm's mean and spread, and its weight."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: Pairs of features whose logarithms are multiplied are features too; one paired with itself is squared.
    pairs: list[tuple[str, str]] = []
    features: list[str]
    means: list[float]
    spreads: list[float]
    weights: list[float]
    intercept: float

    def parts(self, values: Mapping[str, float]) -> dict[str, float]:
        """What each feature adds to the logarithm of the odds or of the amount, against an average player."""
        known = terms(values, self.pairs)
        return {
            name: weight * (known[name] - mean) / spread
            for name, mean, spread, weight in zip(self.features, self.means, self.spreads, self.weights, strict=True)
        }

    @property
    def strengths(self) -> dict[str, float]:
        """By how much the logarithm moves where a feature is its spread above the mean; below 0 where it falls."""
        return dict(zip(self.features, self.weights, strict=True))

    def logarithm(self, values: Mapping[str, float]) -> float:
        """All of them together, with what an average player has."""
        return self.intercept + math.fsum(self.parts(values).values())


class LogisticModel(LogLinearModel):
    """A fitted model of a chance."""

    def chance(self, values: Mapping[str, float]) -> float:
        """The chance that it happens, from 0 to 1."""
        return sigmoid(self.logarithm(values))


def sigmoid(log_odds: float) -> float:
    """The chance of these log odds, kept from certainty."""
    chance = 1 / (1 + math.exp(-log_odds)) if log_odds >= 0 else math.exp(log_odds) / (1 + math.exp(log_odds))
    return min(1 - _SUREST, max(_SUREST, chance))


def fit_logistic(
    rows: Sequence[Mapping[str, float]],
    happened: Sequence[bool],
    *,
    ridge: float = 1.0,
    pairs: Sequence[tuple[str, str]] = (),
) -> LogisticModel:
    """Fit a model to what happened, with weights drawn towards 0 by `ridge`. Raises ValueError for rows all alike.

    Features are not negative; their logarithms are taken, because of two players with 1 and 2 deposits one is twice
    the other, and of two with 101 and 102 neither.
    """
    if len({*happened}) < 2:
        raise ValueError("It happened to everybody or to nobody; there is nothing to learn.")
    scaled = scaled_terms(rows, pairs)
    weights = _newton([[1.0, *row] for row in scaled.rows], [float(one) for one in happened], ridge)
    return LogisticModel(
        pairs=list(pairs),
        features=scaled.names,
        means=scaled.means,
        spreads=scaled.spreads,
        weights=weights[1:],
        intercept=weights[0],
    )


class ScaledTerms(NamedTuple):
    """The terms of rows, each less its mean and by its spread."""

    names: list[str]
    means: list[float]
    spreads: list[float]
    rows: list[tuple[float, ...]]


def scaled_terms(rows: Sequence[Mapping[str, float]], pairs: Sequence[tuple[str, str]]) -> ScaledTerms:
    """The terms that weights are fitted to; one that is the same in every row has the spread 1."""
    known = [terms(row, pairs) for row in rows]
    names = list(known[0])
    columns = [[row[name] for row in known] for name in names]
    means = [math.fsum(column) / len(rows) for column in columns]
    spreads = [
        math.sqrt(math.fsum((value - mean) ** 2 for value in column) / len(rows)) or 1.0
        for column, mean in zip(columns, means, strict=True)
    ]
    scaled = [
        [(value - mean) / spread for value in column]
        for column, mean, spread in zip(columns, means, spreads, strict=True)
    ]
    return ScaledTerms(names, means, spreads, list(zip(*scaled, strict=True)))


def terms(values: Mapping[str, float], pairs: Sequence[tuple[str, str]]) -> dict[str, float]:
    """The logarithm of each feature, and the products of pairs of them; a product is named after its first."""
    logs = {name: math.log1p(max(0.0, value)) for name, value in values.items()}
    return {**logs, **{f"{one} * {other}": logs[one] * logs[other] for one, other in pairs}}


def _newton(design: Sequence[Sequence[float]], happened: Sequence[float], ridge: float) -> list[float]:
    size = len(design[0])
    weights = [0.0] * size
    for _ in range(_MOST_STEPS):
        slope = [0.0] + [-ridge * weight for weight in weights[1:]]
        bend = [[0.0] * size for _ in range(size)]
        for index in range(1, size):
            bend[index][index] = ridge
        for row, outcome in zip(design, happened, strict=True):
            chance = sigmoid(sum(map(float.__mul__, row, weights)))
            error, weight = outcome - chance, chance * (1 - chance)
            for i, value in enumerate(row):
                slope[i] += error * value
                part, line = weight * value, bend[i]
                for j in range(i + 1):
                    line[j] += part * row[j]
        step = solve(bend, slope)
        weights = [weight + move for weight, move in zip(weights, step, strict=True)]
        if max(map(abs, step)) < _SMALLEST_STEP:
            break
    return weights


def solve(matrix: Sequence[Sequence[float]], wanted: Sequence[float]) -> list[float]:
    """Solve a symmetric positive system of which the lower half is given, by Cholesky's method."""
    size = len(wanted)
    lower = [[0.0] * size for _ in range(size)]
    for i in range(size):
        for j in range(i + 1):
            rest = matrix[i][j] - math.fsum(lower[i][k] * lower[j][k] for k in range(j))
            lower[i][j] = math.sqrt(max(rest, 1e-12)) if i == j else rest / lower[j][j]
    half = [0.0] * size
    for i in range(size):
        half[i] = (wanted[i] - math.fsum(lower[i][k] * half[k] for k in range(i))) / lower[i][i]
    found = [0.0] * size
    for i in reversed(range(size)):
        found[i] = (half[i] - math.fsum(lower[k][i] * found[k] for k in range(i + 1, size))) / lower[i][i]
    return found
