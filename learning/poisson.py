"""Poisson regression: how much is to be expected, as a product of powers of what is known. Kept as plain numbers.

Of amounts of money it is the mean that is fitted, zeros and all, and their sum comes out right on what was learned;
that amounts are no counts does not matter to it. No numpy, as in `learning.logistic`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final

from learning.logistic import LogLinearModel, scaled_terms, solve

_MOST_STEPS: Final = 40
_SMALLEST_STEP: Final = 1e-7
#: No weight moves further in one step, or the first ones would overshoot.
_LONGEST_STEP: Final = 1.0
#: Logarithms of what is expected, in means of what was learned, beyond which nothing is believed.
_LEAST, _MOST = -14.0, 9.0


class PoissonModel(LogLinearModel):
    """A fitted model of an amount."""

    #: The mean of what was learned; what is expected is told in it.
    unit: float

    def expected(self, values: Mapping[str, float]) -> float:
        """How much is to be expected; above zero."""
        return self.unit * math.exp(_bounded(self.logarithm(values)))


def fit_poisson(
    rows: Sequence[Mapping[str, float]],
    came: Sequence[float],
    *,
    ridge: float = 1.0,
    pairs: Sequence[tuple[str, str]] = (),
) -> PoissonModel:
    """Fit a model to how much came, with weights drawn towards 0 by `ridge`. Raises ValueError where nothing came."""
    unit = math.fsum(came) / len(came) if came else 0.0
    if not unit > 0:
        raise ValueError("Nothing came of anybody; there is nothing to learn.")
    scaled = scaled_terms(rows, pairs)
    weights = _newton([[1.0, *row] for row in scaled.rows], [one / unit for one in came], ridge)
    return PoissonModel(
        pairs=list(pairs),
        features=scaled.names,
        means=scaled.means,
        spreads=scaled.spreads,
        weights=weights[1:],
        intercept=weights[0],
        unit=unit,
    )


def _bounded(logarithm: float) -> float:
    return min(_MOST, max(_LEAST, logarithm))


def _newton(design: Sequence[Sequence[float]], came: Sequence[float], ridge: float) -> list[float]:
    size = len(design[0])
    weights = [0.0] * size
    for _ in range(_MOST_STEPS):
        slope = [0.0] + [-ridge * weight for weight in weights[1:]]
        bend = [[0.0] * size for _ in range(size)]
        for index in range(1, size):
            bend[index][index] = ridge
        for row, one in zip(design, came, strict=True):
            mean = math.exp(_bounded(sum(map(float.__mul__, row, weights))))
            error = one - mean
            for i, value in enumerate(row):
                slope[i] += error * value
                part, line = mean * value, bend[i]
                for j in range(i + 1):
                    line[j] += part * row[j]
        step = solve(bend, slope)
        longest = max(map(abs, step))
        shorter = min(1.0, _LONGEST_STEP / longest) if longest else 1.0
        weights = [weight + shorter * move for weight, move in zip(weights, step, strict=True)]
        if longest < _SMALLEST_STEP:
            break
    return weights
