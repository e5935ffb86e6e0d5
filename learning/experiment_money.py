"""What an experiment's arms brought in money, and what one more player cost: told once, when the plan is over.

Money is a few players', so it is judged by drawing the arms anew, and such an interval holds for one look. It is that
of the look at which all planned players had been counted, and never changes after.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import covariance
from typing import Final

from pydantic import BaseModel, ConfigDict

from learning.differences import Conversion, Estimate, Moments, NoNumber, difference_of_shares, fieller
from learning.money import money_difference
from workflows.experiment_draw import CONTROL

#: Why there is no money of an experiment yet.
NO_PLAN: Final = "an experiment without a plan has no moment at which money is judged"
BROKEN: Final = "the arms did not get the players they were to have"
NOT_OVER: Final = "money is judged once, when all planned players have been counted"


@dataclass(frozen=True, slots=True)
class PlayerMoney:
    """A counted player with their money, by currency in minor units: of the time of the goal, and of as long before."""

    arm: str
    shares: Mapping[str, int]
    reached: bool
    ngr: Mapping[str, int] = field(default_factory=dict)
    ngr_before: Mapping[str, int] = field(default_factory=dict)
    bonus_cost: Mapping[str, int] = field(default_factory=dict)


class MoneyFinding(BaseModel):
    """What an arm brought in one currency more than the control arm would have, in minor units; each or why not."""

    model_config = ConfigDict(frozen=True)

    currency: str
    #: Players of the arm who are compared, all of whom together brought it.
    players: int
    #: Net gaming revenue; with few players deciding it is capped, and beside it as it stands in the books.
    brought: float | None = None
    brought_from: float | None = None
    brought_to: float | None = None
    brought_uncapped: float | None = None
    no_number: str | None = None
    #: What bonuses cost more than in the control arm, for each player more who reached the goal.
    price: float | None = None
    price_from: float | None = None
    price_to: float | None = None
    no_price: str | None = None


def money_of_arm(arm: str, counted: Sequence[PlayerMoney], missing: str | None, *, seed: str) -> list[MoneyFinding]:
    """What an arm brought, by currency. `missing` says which part of net gaming revenue nobody tells.

    Compared are the players of the two arms who were drawn with the same odds between them as most were: whoever came
    after shares changed is somebody else.
    """
    mine, control = _drawn_alike(arm, counted)
    currencies = sorted({currency for one in (*mine, *control) for currency in (*one.ngr, *one.bonus_cost)})
    return [_in_currency(currency, mine, control, missing, f"{seed}:{arm}:{currency}") for currency in currencies]


def _drawn_alike(arm: str, counted: Iterable[PlayerMoney]) -> tuple[list[PlayerMoney], list[PlayerMoney]]:
    groups: defaultdict[float, list[PlayerMoney]] = defaultdict(list)
    for one in counted:
        if one.arm in {arm, CONTROL} and one.shares.get(arm) and one.shares.get(CONTROL):
            groups[one.shares[arm] / one.shares[CONTROL]].append(one)
    sizes = Counter({odds: len(group) for odds, group in sorted(groups.items())})
    group = groups[sizes.most_common(1)[0][0]] if sizes else []
    return [one for one in group if one.arm == arm], [one for one in group if one.arm == CONTROL]


def _in_currency(
    currency: str, mine: Sequence[PlayerMoney], control: Sequence[PlayerMoney], missing: str | None, seed: str
) -> MoneyFinding:
    update: dict[str, object] = {}
    brought = NoNumber(missing) if missing else _brought(currency, mine, control, seed)
    if isinstance(brought, NoNumber):
        update["no_number"] = brought.reason
    else:
        one, uncapped = brought
        each = {"brought": one.estimate, "brought_from": one.interval.low, "brought_to": one.interval.high}
        update |= {name: value * len(mine) for name, value in (each | {"brought_uncapped": uncapped}).items()}
    price = _price(currency, mine, control)
    if isinstance(price, NoNumber):
        update["no_price"] = price.reason
    else:
        update |= {"price": price.estimate, "price_from": price.interval.low, "price_to": price.interval.high}
    return MoneyFinding.model_validate({"currency": currency, "players": len(mine), **update})


def _brought(
    currency: str, mine: Sequence[PlayerMoney], control: Sequence[PlayerMoney], seed: str
) -> tuple[Estimate, float] | NoNumber:
    now, other = ([float(one.ngr.get(currency, 0)) for one in arm] for arm in (mine, control))
    before, other_before = ([float(one.ngr_before.get(currency, 0)) for one in arm] for arm in (mine, control))
    found = money_difference(now, other, seed=seed, past=(before, other_before))
    return found if isinstance(found, NoNumber) else (found.difference, found.uncapped)


def _price(currency: str, mine: Sequence[PlayerMoney], control: Sequence[PlayerMoney]) -> Estimate | NoNumber:
    """What one player more cost, by Fieller: what is divided and what it is divided by are of the same players."""
    arms = (mine, control)
    costs = [[float(one.bonus_cost.get(currency, 0)) for one in arm] for arm in arms]
    reached = [[float(one.reached) for one in arm] for arm in arms]
    treated, other = (Conversion(round(sum(one)), len(one)) for one in reached)
    gain = difference_of_shares(treated, other)
    if isinstance(gain, NoNumber):
        return gain
    if gain.interval.low <= 0:
        return NoNumber("the gain is not shown to be above zero")
    if not any(costs[0]):
        return NoNumber("no bonus has cost anything yet")
    of_costs, of_goals = [Moments.of(one) for one in costs], [Moments.of(one) for one in reached]
    variances = [sum(one.variance / one.players for one in sides) for sides in (of_costs, of_goals)]
    together = sum(covariance(*pair) / len(pair[0]) for pair in zip(costs, reached, strict=True))
    return fieller(of_costs[0].mean - of_costs[1].mean, gain.estimate, (variances[0], variances[1], together))
