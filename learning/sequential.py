"""Looking at an experiment while it runs, without being fooled by looking often.

Two ways. With a plan, boundaries that spend the error over the planned looks (Lan and DeMets, of O'Brien and Fleming's
kind): far out early, close to the usual one at the end. Without a plan, a confidence sequence, which holds at every
moment and is wider for it.
"""

import math
from functools import lru_cache
from typing import Final

from learning.differences import NORMAL

#: The error of each tail over all looks.
TAIL: Final = 0.025
#: Players before a confidence sequence says anything.
LEAST_PLAYERS: Final = 100
# Points of the integral over where the statistic stands while the experiment goes on; even, for Simpson's rule.
_POINTS: Final = 240
# A boundary beyond this is never met: the error spent at that look is below any that matters.
_FURTHEST: Final = 8.0


def spent_by(information: float, tail: float = TAIL) -> float:
    """How much of a tail's error may be spent when this share of the planned players has been counted."""
    if information <= 0:
        return 0.0
    return 2 * (1 - NORMAL.cdf(NORMAL.inv_cdf(1 - tail / 2) / math.sqrt(min(1.0, information))))


@lru_cache(maxsize=256)
def boundaries(looks: tuple[float, ...], tail: float = TAIL) -> tuple[float, ...]:
    """The boundary of |z| at each look, given the shares of the planned players counted then, in ascending order.

    A share above 1 counts as 1. A look with no new players keeps the boundary of the one before.
    """
    found: list[float] = []
    reached, standing = 0.0, None
    for share in looks:
        now = min(1.0, share)
        if now <= reached:
            found.append(found[-1] if found else _FURTHEST)
            continue
        spend = spent_by(now, tail) - spent_by(reached, tail)
        boundary = _crossed(standing, reached, now, spend)
        found.append(boundary)
        standing = _stood(standing, reached, now, boundary)
        reached = now
    return tuple(found)


# Where the score process stands while no boundary was met: places, and density times the weight of the integral there.
_Standing = tuple[list[float], list[float]]


def _crossed(standing: _Standing | None, reached: float, now: float, spend: float) -> float:
    """The boundary at which just `spend` is crossed on one side."""
    low, high = 0.0, _FURTHEST
    for _ in range(50):
        middle = (low + high) / 2
        if _tail_beyond(standing, reached, now, middle) > spend:
            low = middle
        else:
            high = middle
    return high


def _tail_beyond(standing: _Standing | None, reached: float, now: float, boundary: float) -> float:
    edge = boundary * math.sqrt(now)
    if standing is None:
        return 1 - NORMAL.cdf(boundary)
    scale = math.sqrt(2 * (now - reached))
    return sum(weight * math.erfc((edge - place) / scale) for place, weight in zip(*standing, strict=True)) / 2


def _stood(standing: _Standing | None, reached: float, now: float, boundary: float) -> _Standing:
    edge = boundary * math.sqrt(now)
    step = 2 * edge / _POINTS
    places = [-edge + index * step for index in range(_POINTS + 1)]
    simpson = [step / 3 * (1 if index in {0, _POINTS} else 4 if index % 2 else 2) for index in range(_POINTS + 1)]
    if standing is None:
        return places, [_density(place, now) * weight for place, weight in zip(places, simpson, strict=True)]
    before = list(zip(*standing, strict=True))
    return places, [
        weight * sum(mass * _density(place - earlier, now - reached) for earlier, mass in before)
        for place, weight in zip(places, simpson, strict=True)
    ]


def _density(distance: float, variance: float) -> float:
    return math.exp(-distance * distance / (2 * variance)) / math.sqrt(2 * math.pi * variance)


def reach_at_any_time(count: int, planned: int, alpha: float = 2 * TAIL) -> float:
    """How many standard errors an interval reaches that holds at every moment at once, with `count` players so far.

    It is narrowest when about `planned` players were counted.
    """
    rho2 = (-2 * math.log(alpha) + math.log(1 - 2 * math.log(alpha))) / planned
    scaled = count * rho2
    return math.sqrt(2 * (scaled + 1) / scaled * math.log(math.sqrt(scaled + 1) / alpha))
