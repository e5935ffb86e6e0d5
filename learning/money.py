"""Money of two arms: capped, adjusted by the past, and judged by drawing the arms anew.

A few players bring most of the money, so a small control group usually misses them, and the usual test then finds a
gain where there is none: on a real log in 10 to 17 of 100 comparisons of nothing with nothing. Drawing the arms again
shows what chance does to these very players.
"""

import math
import random
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from learning.differences import Estimate, Interval, Moments, NoNumber, difference_of_means, standard_error

#: Players in both arms from which on the usual difference of means holds for capped money.
ENOUGH_FOR_WELCH: Final = 1_000
#: Players of the control arm who must have brought or taken something.
LEAST_NONZERO: Final = 50
#: How often the arms are drawn anew.
DRAWS: Final = 2_000
#: Everything above this quantile of what is not zero counts as much as it.
CAP_QUANTILE: Final = 0.99


@dataclass(frozen=True, slots=True)
class MoneyDifference:
    """Treated less control a player, in the minor units it was given in, capped; `uncapped` is for the books."""

    difference: Estimate
    p_value: float
    cap: float
    uncapped: float


def cap_of(values: Sequence[float]) -> float:
    """The cap for all arms together: the 99th percentile of what is not zero; infinite where nothing is."""
    sizes = sorted(abs(value) for value in values if value)
    return sizes[min(len(sizes) - 1, math.ceil(CAP_QUANTILE * len(sizes)) - 1)] if sizes else math.inf


def capped(values: Sequence[float], cap: float) -> list[float]:
    """Values of at most this size, losses too."""
    return [max(-cap, min(cap, value)) for value in values]


def adjusted_by_past(outcomes: Sequence[float], before: Sequence[float]) -> tuple[list[float], float]:
    """CUPED: outcomes less what the past of each player foretold, and the share of the variance that it took away.

    Give all arms together, in one order. `before` is the same measure from before the player was assigned: anything
    from afterwards hides the effect. The mean stays; players without a past stay as they are when nobody has one.
    """
    past, present = Moments.of(before), Moments.of(outcomes)
    if not past.variance or not present.variance:
        return list(outcomes), 0.0
    together = math.fsum((a - past.mean) * (b - present.mean) for a, b in zip(before, outcomes, strict=True)) / (
        past.players - 1
    )
    theta = together / past.variance
    # In this order: the product of two tiny variances would be 0.
    explained = theta * (together / present.variance)
    return [b - theta * (a - past.mean) for a, b in zip(before, outcomes, strict=True)], explained


def redrawn(values: Sequence[float], treated: int, *, seed: str, draws: int = DRAWS) -> list[float]:
    """Studentised differences when so many of all players are drawn as treated by chance alone, in ascending order."""
    drawn = random.Random(seed)
    smaller, sign = (treated, 1) if 2 * treated <= len(values) else (len(values) - treated, -1)
    total, squares, count = math.fsum(values), math.fsum(value * value for value in values), len(values)
    # Zeros count and add nothing, so only the others are drawn: how many of them fall in is hypergeometric.
    found = []
    for _ in range(draws):
        part = drawn.sample(values, smaller)
        inside, inside_squares = sum(part), sum(value * value for value in part)
        one = _moments(smaller, inside, inside_squares)
        rest = _moments(count - smaller, total - inside, squares - inside_squares)
        error = standard_error(one, rest)
        found.append(sign * (one.mean - rest.mean) / error if error else 0.0)
    return sorted(found)


def money_difference(
    treated: Sequence[float],
    control: Sequence[float],
    *,
    seed: str,
    past: tuple[Sequence[float], Sequence[float]] | None = None,
) -> MoneyDifference | NoNumber:
    """The difference of money a player, with an interval that holds where few players decide.

    `past` is the money of the same players, in the same order, from before they were assigned. `seed` names the look,
    so that the same figures give the same answer.
    """
    nonzero = sum(1 for value in control if value)
    if nonzero < LEAST_NONZERO:
        return NoNumber(f"{nonzero} players of the control group moved money, and {LEAST_NONZERO} are needed")
    values = [*treated, *control]
    cap = cap_of(values)
    figures = capped(values, cap)
    if past is not None:
        before = [*past[0], *past[1]]
        figures, _ = adjusted_by_past(figures, capped(before, cap_of(before)))
    mine, other = Moments.of(figures[: len(treated)]), Moments.of(figures[len(treated) :])
    uncapped = Moments.of(treated).mean - Moments.of(control).mean
    if min(mine.players, other.players) >= ENOUGH_FOR_WELCH:
        usual = difference_of_means(mine, other)
        assert isinstance(usual, Estimate)
        t = usual.estimate / standard_error(mine, other)
        return MoneyDifference(usual, math.erfc(abs(t) / math.sqrt(2)), cap, uncapped)
    error = standard_error(mine, other)
    return _by_redrawing(mine.mean - other.mean, error, redrawn(figures, len(treated), seed=seed), cap, uncapped)


def judged_by(chance: Sequence[float], t: float) -> float:
    """How often chance alone is as far out as `t` on its side, both sides counted: the p-value."""
    above, below = len(chance) - bisect_left(chance, t), bisect_right(chance, t)
    return min(1.0, 2 * (min(above, below) + 1) / (len(chance) + 1))


def _by_redrawing(
    estimate: float, error: float, chance: Sequence[float], cap: float, uncapped: float
) -> MoneyDifference:
    # Test and interval hang on the same draws, so the one never says yes where the other says no.
    edge = max(0, math.ceil(0.025 * (len(chance) + 1)) - 1)
    interval = Interval(estimate - chance[-1 - edge] * error, estimate - chance[edge] * error)
    t = estimate / error if error else 0.0
    return MoneyDifference(Estimate(estimate, interval), judged_by(chance, t), cap, uncapped)


def _moments(count: int, total: float, squares: float) -> Moments:
    mean = total / count
    return Moments(count, mean, max(0.0, squares - count * mean * mean) / max(1, count - 1))
