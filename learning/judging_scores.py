"""How good a score is: does it rank, and are its chances true."""

import math
from collections.abc import Sequence
from typing import Final

from pydantic import BaseModel, ConfigDict

from learning.drift import Bands

#: Bands in which chances are compared with what happened.
BANDS: Final = 10


class Quality(BaseModel):
    """What a score was worth on players it had not seen."""

    model_config = ConfigDict(frozen=True)

    players: int
    happened: float
    #: The chance that of two players, one to whom it happened, that one has the higher score; 0.5 is a coin.
    auc: float
    #: The mean squared error of the chances; lower is better.
    brier: float
    #: By how much chances are off in bands of ten parts, less what chance alone makes of it.
    calibration_error: float
    #: How the features of these players lay, by name. Here and not beside: a release before reads past what it does not
    #: know of a quality, and would not read a model with a field more.
    features: dict[str, Bands] | None = None

    @property
    def in_words(self) -> str:
        """The figures in a line."""
        return f"AUC {self.auc:.3f}, Brier {self.brier:.3f}, calibration off by {self.calibration_error:.3f}"


def quality(chances: Sequence[float], happened: Sequence[bool]) -> Quality:
    """Judge chances by what happened afterwards. Raises ValueError where it happened to all or to none."""
    return Quality(
        players=len(chances),
        happened=sum(happened) / len(happened),
        auc=auc(chances, happened),
        brier=math.fsum((chance - one) ** 2 for chance, one in zip(chances, happened, strict=True)) / len(chances),
        calibration_error=calibration_error(chances, happened),
    )


def auc(chances: Sequence[float], happened: Sequence[bool]) -> float:
    """The area under the curve; equal chances count half."""
    order = sorted(range(len(chances)), key=chances.__getitem__)
    ranks, start = [0.0] * len(chances), 0
    while start < len(order):
        end = start
        while end < len(order) and chances[order[end]] == chances[order[start]]:
            end += 1
        for index in order[start:end]:
            ranks[index] = (start + end + 1) / 2
        start = end
    positive = sum(happened)
    negative = len(happened) - positive
    if not positive or not negative:
        raise ValueError("It happened to everybody or to nobody; nothing can be ranked.")
    above = math.fsum(rank for rank, one in zip(ranks, happened, strict=True) if one)
    return (above - positive * (positive + 1) / 2) / (positive * negative)


def calibration_error(chances: Sequence[float], happened: Sequence[bool]) -> float:
    """How far chances are from the shares that happened, in bands of equally many players: the root of mean squares.

    Less what chance alone makes of it on average: of a thousand players it is 0.03 where every chance is true, so that
    one such model in four would else be taken for a wrong one.
    """
    order = sorted(range(len(chances)), key=chances.__getitem__)
    squares = 0.0
    for band in range(BANDS):
        part = order[band * len(order) // BANDS : (band + 1) * len(order) // BANDS]
        if part:
            off = math.fsum(chances[index] - happened[index] for index in part)
            by_chance = math.fsum(chances[index] * (1 - chances[index]) for index in part)
            squares += (off * off - by_chance) / len(part)
    return math.sqrt(max(0.0, squares / len(order)))


class ValueQuality(BaseModel):
    """What expected amounts were worth on players they had not seen."""

    model_config = ConfigDict(frozen=True)

    players: int
    #: What came in all, in minor units.
    came: float
    #: How well amounts are ranked: 1 for the order that hindsight would give, 0 for a coin.
    gini: float
    #: Which part of all that came, came from the tenth that was expected to bring most.
    captured: float
    #: By which part of what came the sum that was expected is off; above zero where it was too much.
    total_off: float
    #: As those of `Quality`.
    features: dict[str, Bands] | None = None


def value_quality(expected: Sequence[float], came: Sequence[float]) -> ValueQuality:
    """Judge expected amounts by what came afterwards. Raises ValueError where nothing came."""
    total = math.fsum(came)
    if not total > 0:
        raise ValueError("Nothing came of anybody; nothing can be ranked.")
    return ValueQuality(
        players=len(came),
        came=total,
        gini=gini(expected, came),
        captured=captured(expected, came),
        total_off=math.fsum(expected) / total - 1,
    )


def gini(expected: Sequence[float], came: Sequence[float]) -> float:
    """The Gini coefficient of amounts in the order expected, by that of their own order; who is alike counts alike."""
    best = _gini(came, came)
    return _gini(expected, came) / best if best else 0.0


def _gini(order: Sequence[float], came: Sequence[float]) -> float:
    groups: dict[float, tuple[int, float]] = {}
    for one, amount in zip(order, came, strict=True):
        count, total = groups.get(one, (0, 0.0))
        groups[one] = count + 1, total + amount
    below, above_line = 0, 0.0
    for one in sorted(groups):
        count, total = groups[one]
        # The mean rank of those who are alike, from 0 to 1, with what they brought.
        above_line += total * (below + count / 2) / len(came)
        below += count
    return 2 * above_line / math.fsum(came) - 1


def captured(expected: Sequence[float], came: Sequence[float]) -> float:
    """Which part of what came, came from the tenth that was expected to bring most."""
    top = sorted(range(len(came)), key=lambda index: (-expected[index], index))[: max(1, len(came) // 10)]
    return math.fsum(came[index] for index in top) / math.fsum(came)
