"""The score `value`: of a hundred players who deposited in the last 90 days, how many are expected to bring less.

What is learned is how much a player will deposit in the next 90 days. From the deposits of the house itself, judged on
the newest 90 days that are over, and used only past floors. It is told as a rank: a few players decide the sum of all,
so an amount for one of them would be believed more than it is worth.
"""

import math
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from pydantic import BaseModel, ConfigDict

from learning.churn_features import PastDeposit
from learning.closed_windows import TOLD_AFTER, ClosedWindow, of_ranking
from learning.differences import NoNumber
from learning.drift import bands_of_features, spread_of
from learning.judging_scores import Floor, ValueQuality, gini, value_quality
from learning.poisson import PoissonModel, fit_poisson
from learning.scored import Deposits, ModelKind, Scored, ScoredNight, Survey, against_usual, night_of, reasons
from learning.value_features import AHEAD, PAIRS, REASONS, value_features
from workflows.local_time import DAY

#: Moments that are learned from, and how far they lie apart; the last foretells until the judged days begin.
MOMENTS, APART = 7, timedelta(days=28)
#: Rows, and players to judge on, below which nothing is learned.
LEAST_ROWS: Final = 3_000
LEAST_JUDGED: Final = 300
#: At most so many rows are learned from, evenly of all moments.
MOST_ROWS: Final = 20_000
#: What a model must reach on players it has not seen before anybody is scored with it.
LEAST_GINI, LEAST_CAPTURED, MOST_TOTAL_OFF = 0.92, 0.80, 0.3
RIDGE: Final = 500.0
#: Amounts above that of so many of a hundred who brought anything count as that one: a few would decide all.
CAPPED_AT: Final = 99
#: Months by which the level of today is told: how the newest went on from those before.
LEVEL_MONTHS: Final = 2
_MONTH: Final = timedelta(days=30)


class ValueModel(BaseModel):
    """A model as it is kept: what it learned, from what, and what it was worth."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    poisson: PoissonModel
    #: Deposits from then on were not looked at.
    learned_until: datetime
    rows: int
    quality: ValueQuality
    #: What was expected of the players it was judged on who had deposited in the 90 days before, a hundred in order.
    spread: list[float]

    @property
    def passes(self) -> bool:
        """Whether it is good enough to be used."""
        return all(one.is_met for one in self.floors) and self.goes_the_right_way

    @property
    def floors(self) -> list[Floor]:
        """What it must reach."""
        judged = self.quality
        return [
            Floor("gini", judged.gini, LEAST_GINI, at_most=False),
            Floor("captured", judged.captured, LEAST_CAPTURED, at_most=False),
            Floor("total_off", abs(judged.total_off), MOST_TOTAL_OFF, at_most=True),
        ]

    @property
    def kind(self) -> ModelKind:
        """What scores."""
        return "poisson"

    @property
    def strengths(self) -> dict[str, float]:
        """How much each feature counts."""
        return self.poisson.strengths

    @property
    def worth(self) -> str:
        """What it was worth, in words."""
        judged = self.quality
        return (
            f"Gini {judged.gini:.3f}, {100 * judged.captured:.0f} % of the money in the highest tenth, "
            f"the sum off by {100 * judged.total_off:+.0f} %"
        )

    @property
    def goes_the_right_way(self) -> bool:
        """Whether who deposits more, or lately, is expected to bring more: a model that denies it is wrong."""
        moment = self.learned_until
        few = [PastDeposit(moment - timedelta(days=days), 5_000) for days in range(3, 100, 6)]
        large = [one._replace(amount_minor=50_000) for one in few]
        silent = [one._replace(at=one.at - timedelta(days=45)) for one in few]
        return self.expected(large, moment) > self.expected(few, moment) > self.expected(silent, moment)

    def worse_than(self, before: "ValueModel") -> bool:
        """Whether it ranks worse by more than two judged windows differ by themselves."""
        return self.quality.gini < before.quality.gini - 0.01

    def expected(self, deposits: Sequence[PastDeposit], moment: datetime) -> float:
        """What a player will deposit in 90 days, in minor units, before the house's level; 0 for one long gone."""
        known = value_features(deposits, moment)
        return 0.0 if known is None else self.poisson.expected(known)

    def closed_windows(self, players: Deposits, now: datetime) -> list[ClosedWindow]:
        """How well it ranked who brought more, in the newest 90 days that are over and that it did not learn from."""
        found = []
        for window in range(1, TOLD_AFTER + 1):
            began = now - window * AHEAD
            known = known_before(players, began) if began >= self.learned_until else []
            came = [brought_in(deposits, began, began + AHEAD) for deposits in known]
            if len(known) < LEAST_JUDGED or not any(came):
                break
            ranked = gini([self.expected(deposits, began) for deposits in known], came)
            found.append(of_ranking(began + AHEAD, len(known), self.quality.gini, ranked))
        return found

    def survey(self, players: Deposits, moment: datetime) -> Survey:
        """What is counted of some of the players at a moment, with what each is expected to bring."""
        rows = [*recent_features(players, moment).values()]
        amounts = [self.poisson.expected(row) for row in rows]
        counted = Survey.of(rows, amounts, self.spread, self.quality.features)
        counted.add_parts(map(self.poisson.parts, rows))
        counted.amounts = array("d", amounts)
        return counted

    def night(self, survey: Survey) -> ScoredNight:
        """How far the players of a night are from those it was judged on, and what all of them bring."""
        return night_of(survey, self.spread, self.quality.features, least=LEAST_JUDGED)

    def scores(self, players: Deposits, moment: datetime, night: ScoredNight) -> dict[str, Scored]:
        """The rank among all of who deposited in the 90 days before, with what sets them apart."""
        found = {}
        for player, known in recent_features(players, moment).items():
            parts = against_usual(self.poisson.parts(known), night.usual)
            percent = bisect_right(night.ranks, self.poisson.expected(known))
            found[player] = Scored(percent=percent, why=reasons(parts, REASONS))
        return found


def recent_features(players: Deposits, moment: datetime) -> dict[str, dict[str, float]]:
    """The features of everybody who deposited in the 90 days before a moment."""
    return {
        player: found
        for player, deposits in players.items()
        if (found := value_features(deposits, moment)) is not None and found["idle.days"] <= AHEAD / DAY
    }


def learn_value(players: Deposits, now: datetime) -> ValueModel | NoNumber:
    """Learn from what is over; the newest 90 days of it are only judged on. No model where too few players are."""
    judged_at = now - AHEAD
    rows: list[dict[str, float]] = []
    came: list[float] = []
    for number in range(MOMENTS):
        found, brought = brought_by(players, judged_at - AHEAD - number * APART, most=MOST_ROWS // MOMENTS)
        rows, came = [*rows, *found], [*came, *brought]
    known = known_before(players, judged_at)
    truth = [brought_in(deposits, judged_at, now) for deposits in known]
    if len(rows) < LEAST_ROWS or len(known) < LEAST_JUDGED or not any(came) or not any(truth):
        return NoNumber(
            f"{len(rows)} rows to learn from and {len(known)} players to judge on; {LEAST_ROWS} and {LEAST_JUDGED} "
            "are needed, with some who deposited"
        )
    poisson = fit_poisson(rows, capped(came), ridge=RIDGE, pairs=PAIRS)
    features = [value_features(deposits, judged_at) for deposits in known]
    expected = [0.0 if one is None else poisson.expected(one) for one in features]
    level = level_of(players, judged_at, expected)
    worth = value_quality([level * one for one in expected], truth)
    recent = [*recent_features(players, judged_at).values()]
    return ValueModel(
        poisson=poisson,
        learned_until=judged_at,
        rows=len(rows),
        quality=worth.model_copy(update={"features": bands_of_features(recent)}),
        spread=spread_of([poisson.expected(one) for one in recent]),
    )


def known_before(players: Deposits, moment: datetime) -> list[Sequence[PastDeposit]]:
    """The deposits of everybody who had made one before a moment."""
    return [deposits for deposits in players.values() if any(one.at < moment for one in deposits)]


def brought_by(
    players: Deposits, moment: datetime, *, most: int = MOST_ROWS
) -> tuple[list[dict[str, float]], list[float]]:
    """The features of players at a moment, and what each deposited in the 90 days after.

    Of a large house every so many, so that about `most` are left.
    """
    rows: list[dict[str, float]] = []
    came: list[float] = []
    for deposits in [*players.values()][:: 1 + len(players) // most]:
        known = value_features(deposits, moment)
        if known is not None:
            rows.append(known)
            came.append(brought_in(deposits, moment, moment + AHEAD))
    return rows, came


def brought_in(deposits: Sequence[PastDeposit], since: datetime, until: datetime) -> float:
    """What was deposited from a moment on and before another, in minor units."""
    return math.fsum(one.amount_minor for one in deposits if since <= one.at < until)


def capped(came: Sequence[float]) -> list[float]:
    """Amounts, none above that of the 99th of a hundred who brought anything."""
    given = sorted(one for one in came if one > 0)
    most = given[min(len(given) - 1, CAPPED_AT * len(given) // 100)] if given else 0.0
    return [min(one, most) for one in came]


def level_of(players: Deposits, moment: datetime, expected: Sequence[float]) -> float:
    """By what expected amounts are to be multiplied so that their sum is that of a house that goes on as of late.

    The sum is told by chain ladder: of players known at a moment, what they bring in the first month after by what they
    brought in the month before, in the second by the first and in the third by the second, each as it was in the two
    months that ended last. 0 where nothing came in these.
    """
    steps = [[0.0, 0.0] for _ in range(AHEAD // _MONTH)]
    newest = 0.0
    for deposits in players.values():
        past = [one for one in deposits if one.at < moment]
        if not past:
            continue
        months = [
            brought_in(past, moment - (back + 1) * _MONTH, moment - back * _MONTH) for back in range(LEVEL_MONTHS + 1)
        ]
        known_for = (moment - min(one.at for one in past)) / _MONTH
        newest += months[0]
        for back in range(LEVEL_MONTHS):
            for step, sums in enumerate(steps):
                if known_for > back + step + 1:
                    sums[0] += months[back]
                    sums[1] += months[back + 1]
    total, part = 0.0, newest
    for after, before in steps:
        part *= after / before if before else 0.0
        total += part
    whole = math.fsum(expected)
    return total / whole if whole else 0.0
