"""How good a score is: does it rank, and are its chances true."""

import math
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from learning.drift import Bands

#: Bands in which chances are compared with what happened.
BANDS: Final = 10


class Floor(NamedTuple):
    """What a figure of a model must reach before anybody is scored by it, and what it reached."""

    figure: Literal["auc", "brier", "calibration_error", "gini", "captured", "total_off"]
    reached: float
    floor: float
    #: Whether less is better.
    at_most: bool

    @property
    def is_met(self) -> bool:
        """Whether it is reached."""
        return self.reached <= self.floor if self.at_most else self.reached >= self.floor


class Tenth(BaseModel):
    """A tenth of the players that a score was judged on, by what it said: the mean of that, and of what came."""

    model_config = ConfigDict(frozen=True)

    players: int
    said: float
    happened: float


class Beaten(BaseModel):
    """What the other of two models was worth, the one that is not used, on the same players."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["logistic", "trees"]
    auc: float
    brier: float
    calibration_error: float
    #: By how much the Brier of the trees is better than that of the logistic model, and the error of that.
    gain: float
    error: float


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
    #: The lowest chances first. None of a release before.
    tenths: list[Tenth] | None = None
    beaten: Beaten | None = None

    def floors(self, *, auc: float, brier: float, calibration_error: float) -> list[Floor]:
        """Each figure beside what it must reach."""
        return [
            Floor("auc", self.auc, auc, at_most=False),
            Floor("brier", self.brier, brier, at_most=True),
            Floor("calibration_error", self.calibration_error, calibration_error, at_most=True),
        ]

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
        tenths=tenths(chances, [float(one) for one in happened]),
    )


def tenths(said: Sequence[float], came: Sequence[float]) -> list[Tenth]:
    """Players in bands of equally many by what was said of them, the lowest first: what was said, and what came."""
    found = []
    for part in _bands(said):
        sums = [math.fsum(values[index] for index in part) / len(part) for values in (said, came)]
        found.append(Tenth(players=len(part), said=sums[0], happened=sums[1]))
    return found


def _bands(said: Sequence[float]) -> list[list[int]]:
    order = sorted(range(len(said)), key=said.__getitem__)
    parts = [order[band * len(order) // BANDS : (band + 1) * len(order) // BANDS] for band in range(BANDS)]
    return [part for part in parts if part]


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
    squares = 0.0
    for part in _bands(chances):
        off = math.fsum(chances[index] - happened[index] for index in part)
        by_chance = math.fsum(chances[index] * (1 - chances[index]) for index in part)
        squares += (off * off - by_chance) / len(part)
    return math.sqrt(max(0.0, squares / len(chances)))


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
    #: As those of `Quality`; the tenths are of amounts a player, in minor units.
    features: dict[str, Bands] | None = None
    tenths: list[Tenth] | None = None


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
        tenths=tenths(expected, came),
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
