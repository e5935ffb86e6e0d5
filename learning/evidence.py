"""Evidence that an arm does harm, and that arms were not drawn as planned; both hold whenever one looks.

Both are bets against chance: a stake of 1 grows on average only if chance is not what decides, so to reach 20 has a
chance of at most 1 in 20 where nothing is wrong, over all looks together (Ville's inequality). No sample is too small.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

#: The evidence of harm at which an arm is stopped: wrongly in at most 1 of 20 for each guardrail of each arm. They do
#: not share that error, for to see harm late is worse than to stop an arm for nothing.
STOPS_AT: Final = 20.0
#: The evidence that shares are wrong at which nothing is believed any more: wrongly in at most 1 of 1,000.
BROKEN_AT: Final = 1_000.0
#: Players whom each arm must be expected to have before shares are judged.
LEAST_EXPECTED: Final = 5
# How many times as likely harm may be in the arm; the bet is spread over these.
_ODDS: Final = (1.4, 1.8, 2.4, 4.0)
# How strongly the share is believed to be near the planned one, in players.
_PRIOR: Final = 300.0


@dataclass(frozen=True, slots=True)
class Harmed:
    """A player of the arm or of the control group who came to harm, and the chance there was that it is the arm's.

    The chance is of the arm among the two, from the probabilities the player was drawn with.
    """

    in_arm: bool
    chance: float


@dataclass(frozen=True, slots=True)
class Drawn:
    """How many of the players who were drawn with the same chance fell into an arm."""

    in_arm: int
    players: int
    chance: float


def harm_evidence(harmed: Iterable[Harmed]) -> float:
    """Evidence that harm is more frequent in the arm: 1 where there is none, `STOPS_AT` to stop it.

    Only who was drawn how is assumed, so rare harm, a follow-up of any length and shares that change are all right.
    """
    logs = [0.0] * len(_ODDS)
    for one in harmed:
        if not 0 < one.chance < 1:
            continue
        for index, odds in enumerate(_ODDS):
            logs[index] += (math.log(odds) if one.in_arm else 0.0) - math.log1p(one.chance * (odds - 1))
    return math.fsum(math.exp(min(700.0, log)) for log in logs) / len(logs)


def sample_ratio_evidence(drawn: Sequence[Drawn]) -> float:
    """Evidence that an arm got more or fewer players than it was meant to; 1 where nothing speaks for it.

    Give one row for each chance that was in force, such as before and after a change of shares.
    """
    log = 0.0
    for one in drawn:
        least = one.players * min(one.chance, 1 - one.chance)
        if least < LEAST_EXPECTED:
            continue
        a, b = _PRIOR * one.chance, _PRIOR * (1 - one.chance)
        others = one.players - one.in_arm
        log += _log_beta(a + one.in_arm, b + others) - _log_beta(a, b)
        log -= one.in_arm * math.log(one.chance) + others * math.log(1 - one.chance)
    return math.exp(min(700.0, log))


def sample_ratio_p_value(drawn: Sequence[Drawn]) -> float:
    """The usual chi-square test of the same, for people who know that one. It does not hold when one looks often."""
    off = math.fsum(one.in_arm - one.players * one.chance for one in drawn)
    variance = math.fsum(one.players * one.chance * (1 - one.chance) for one in drawn)
    return math.erfc(abs(off) / math.sqrt(2 * variance)) if variance else 1.0


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
