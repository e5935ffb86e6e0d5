"""Whether something has changed or only varies: a player's pace, a share, entries that stop.

All of it is looked at every night over many players, channels and journeys, so each answer must be wrong rarely: among
players at most one in twenty of those that are named by design, of a share or a journey about once in years.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, variance
from typing import Final

from learning.differences import Conversion

#: Days of a player that are looked at, and those before that they are compared with, in blocks as long.
LATELY, BLOCKS = 15, 6
#: By how many times a pace must have changed, and which part of the players that are named may be named wrongly.
LEAST_FACTOR, WRONGLY = 2.0, 0.05
#: Things a player did in the days before, below which nobody can say what is usual.
LEAST_BEFORE: Final = 12
#: How many blocks of a player the unevenness of all weighs as much as.
PRIOR: Final = 7
#: How rarely a share moves so far by itself, how often it must have been told before, and of how many.
SURELY, LEAST_TOLD, LEAST_OF = 0.0005, 7, 50
#: Entries that were to be expected by now, and entries in four weeks below which a silence says nothing.
LEAST_EXPECTED, LEAST_ENTRIES = 12.0, 50


@dataclass(frozen=True, slots=True)
class PaceChange:
    """Of a player: how often something happened lately, how often it would have by the days before."""

    happened: int
    usual: float
    p_value: float

    @property
    def is_large(self) -> bool:
        """Whether it is twice as often as usual or more, or half as often or less."""
        more, less = max(self.happened, self.usual), min(self.happened, self.usual)
        return more >= LEAST_FACTOR * less


def paces_of(blocks: Mapping[str, Sequence[int]]) -> dict[str, PaceChange]:
    """Of each player, how unlike the blocks of days before the newest one is; `blocks` are counts, the newest first.

    Counts of players are less even than dice. How uneven a player is, six blocks hardly tell, so each is drawn towards
    all. Who did too little before has no pace.
    """
    known = {name: (counts[0], counts[1:]) for name, counts in blocks.items() if sum(counts[1:]) >= LEAST_BEFORE}
    usual = {name: fmean(before) for name, (_, before) in known.items()}
    own = {name: variance(before) / usual[name] for name, (_, before) in known.items()}
    common = fmean(own.values()) if own else 1.0
    found = {}
    for name, (lately, before) in known.items():
        freedom = len(before) - 1
        uneven = max(1.0, (freedom * own[name] + PRIOR * common) / (freedom + PRIOR))
        # The square root of a count varies alike for small and large ones.
        apart = 2 * (math.sqrt(lately + 0.375) - math.sqrt(usual[name] + 0.375))
        z = apart / math.sqrt(uneven * (1 + 1 / len(before)))
        found[name] = PaceChange(lately, usual[name], _two_sided(z, freedom + PRIOR))
    return found


def changed(paces: Mapping[str, PaceChange]) -> list[str]:
    """Which of many players have changed, by Benjamini and Hochberg; the surest first."""
    order = sorted(paces, key=lambda name: (paces[name].p_value, name))
    sure = [number for number, name in enumerate(order, 1) if paces[name].p_value <= WRONGLY * number / len(order)]
    return [name for name in order[: max(sure, default=0)] if paces[name].is_large]


@dataclass(frozen=True, slots=True)
class ShareChange:
    """A share as it is and as it was."""

    now: float
    usual: float


def share_change(before: Sequence[Conversion], now: Conversion, *, least: float) -> ShareChange | None:
    """A share that has moved by `least` or more, and by more than it does from time to time; None where it has not.

    `before` is the same share of earlier days or weeks. How much it moves by itself is told from these.
    """
    told = [one for one in before if one.players >= LEAST_OF]
    if len(told) < LEAST_TOLD or now.players < LEAST_OF:
        return None
    players = sum(one.players for one in told)
    usual = sum(one.successes for one in told) / players
    by_chance = usual * (1 - usual)
    between = max(0.0, variance(one.value for one in told) - fmean(by_chance / one.players for one in told))
    # Half a player more, or a share of 0 or 1 would never vary.
    error = math.sqrt(
        between * (1 + 1 / len(told)) + (by_chance + 0.25 / now.players) * (1 / now.players + 1 / players)
    )
    moved = now.value - usual
    if abs(moved) < least or _two_sided(moved / error, len(told) - 1) > SURELY:
        return None
    return ShareChange(now.value, usual)


def has_stopped(entries: Sequence[int]) -> int:
    """For how many days nobody has entered where somebody should have; 0 where that is not said.

    `entries` are those of each day, the newest last: of the days that are silent now and of four weeks before. A
    journey that is quiet from time to time must be quiet for more than twice as long as it ever was.
    """
    silent = next((number for number, count in enumerate(reversed(entries)) if count), len(entries))
    before = entries[: len(entries) - silent][-28:]
    if not silent or len(before) < 28 or sum(before) < LEAST_ENTRIES:
        return 0
    longest = run = 0
    for count in before:
        run = 0 if count else run + 1
        longest = max(longest, run)
    expected = silent * fmean(before)
    return silent if expected >= LEAST_EXPECTED and silent > 2 * longest else 0


def _two_sided(z: float, freedom: int) -> float:
    """The chance of being so far out by Student's t, for the unevenness is only guessed; by Wallace's approximation."""
    scale = math.sqrt(freedom * math.log1p(z * z / freedom)) * (8 * freedom + 1) / (8 * freedom + 3)
    return math.erfc(scale / math.sqrt(2))
