"""What a reward may cost: the most it can, and what it is expected to, in minor units of the player's currency.

Nobody's play is in a log of payments, so the expected cost is a reckoning, and every figure carries its rule. All of
them assume that each reward is taken and played to its end: what players leave unused makes the real cost lower.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from workflows.money import minor_units
from workflows.rewards import (
    BonusMoney,
    Cash,
    Cashback,
    DepositMatch,
    FreeBet,
    FreeSpins,
    Gift,
    MiniGame,
    Rakeback,
    Reload,
    RewardBase,
)

#: What the house keeps of a stake, on average.
HOUSE_EDGE: Final = 0.04
#: The stake of a free spin whose value is left to the provider, in minor units.
USUAL_SPIN: Final = 10


@dataclass(frozen=True)
class Cost:
    """In minor units; None where it cannot be said. `how` is the rule, as a phrase."""

    most: int | None
    expected: int | None
    how: str


Deposits = tuple[Sequence[datetime], Sequence[int]]
"""One player's approved deposits: when, in order, and how much in minor units."""


def cost_of(reward: RewardBase, granted_at: datetime, deposits: Deposits) -> Cost:  # noqa: PLR0911 - one return a kind
    """The cost of a reward granted to a player with these deposits, later ones included.

    A match of a deposit is reckoned on the first deposit that the log shows within its validity. Players whom the
    offer itself would have brought to the cashier are not in the log, so that figure is a floor, not a ceiling.
    """
    match reward:
        case FreeSpins():
            stake = reward.count * (reward.bet_value_minor or USUAL_SPIN)
            played = "spins x stake of a spin x (1 - house edge)"
            unknown = f", a spin taken as {USUAL_SPIN} minor units" if reward.bet_value_minor is None else ""
            most = reward.max_win_minor
            expected = _after_wagering(stake * (1 - HOUSE_EDGE), reward.wager_x)
            return Cost(most, expected if most is None else min(most, expected), played + unknown)
        case DepositMatch() | Reload():
            amount = _first_within(deposits, granted_at, granted_at + reward.valid)
            least = reward.min_deposit_minor or 0
            bonus = min(reward.cap_minor, amount * reward.match_pct // 100) if amount >= least else 0
            how = "percent of the first deposit in the log within its validity, up to the cap, x (1 - edge x wagering)"
            return Cost(reward.cap_minor, _after_wagering(bonus, reward.wager_x), how)
        case BonusMoney():
            expected = _after_wagering(reward.amount_minor, reward.wager_x)
            return Cost(reward.max_win_minor, expected, "amount x (1 - house edge x wagering)")
        case FreeBet():
            return Cost(None, round(reward.stake_minor * (1 - HOUSE_EDGE)), "stake x (1 - house edge)")
        case Cash():
            return Cost(reward.amount_minor, reward.amount_minor, "the amount")
        case MiniGame():
            return Cost(reward.budget_minor, reward.budget_minor, "the budget of the play")
        case Gift():
            return Cost(reward.value_minor, reward.value_minor, "the value of the parcel")
        case Cashback() | Rakeback():
            return Cost(reward.cap_minor, None, "a share of losses, which need rounds in the log")
        case _:
            return Cost(0, 0, "no money")


def scaled(minor: int, currency: str) -> float:
    """An amount in whole units of its currency."""
    return float(minor / 10 ** minor_units(currency))


def _after_wagering(bonus: float, wager_x: int) -> int:
    """What is left of a bonus when its wagering has been played through."""
    return round(bonus * max(0.0, 1 - HOUSE_EDGE * wager_x))


def _first_within(deposits: Deposits, after: datetime, until: datetime) -> int:
    times, amounts = deposits
    index = bisect_right(times, after)
    return amounts[index] if index < len(times) and times[index] <= until else 0
