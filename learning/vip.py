"""The score `vip`: the chance that a player will be among the tenth that deposits most in the next 90 days.

It is about who deposited in the 90 days before, and says whom a person should look at. It makes nobody a VIP by itself:
whether somebody can afford what they deposit no deposit says.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from pydantic import BaseModel, ConfigDict

from learning.churn_features import PastDeposit
from learning.closed_windows import TOLD_AFTER, ClosedWindow, of_chances
from learning.differences import NoNumber
from learning.drift import bands_of_features, spread_of
from learning.judging_scores import Floor, Quality, quality
from learning.logistic import LogisticModel, fit_logistic
from learning.scored import Deposits, ModelKind, Scored, ScoredNight, Survey, against_usual, night_of, reasons
from learning.value import APART, LEAST_JUDGED, MOMENTS, MOST_ROWS, brought_in, recent_features
from learning.value_features import AHEAD, PAIRS, REASONS, value_features

#: Rows below which nothing is learned.
LEAST_ROWS: Final = 1_500
#: What a model must reach on players it has not seen before anybody is scored with it.
LEAST_AUC, MOST_BRIER, MOST_CALIBRATION_ERROR = 0.9, 0.06, 0.035
RIDGE: Final = 30.0
#: Of those who deposited in the 90 days before, one in so many is at the top.
ONE_IN: Final = 10


class VipModel(BaseModel):
    """A model as it is kept: what it learned, from what, and what it was worth."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    logistic: LogisticModel
    #: Deposits from then on were not looked at.
    learned_until: datetime
    rows: int
    quality: Quality
    #: The chances of the players it was judged on, in ascending order, a hundred of them: what drift is told from.
    spread: list[float]

    @property
    def passes(self) -> bool:
        """Whether it is good enough to be used."""
        return all(one.is_met for one in self.floors) and self.goes_the_right_way

    @property
    def floors(self) -> list[Floor]:
        """What it must reach."""
        most = MOST_CALIBRATION_ERROR
        return self.quality.floors(auc=LEAST_AUC, brier=MOST_BRIER, calibration_error=most)

    @property
    def kind(self) -> ModelKind:
        """What scores."""
        return "logistic"

    @property
    def strengths(self) -> dict[str, float]:
        """How much each feature counts."""
        return self.logistic.strengths

    @property
    def worth(self) -> str:
        """What it was worth, in words."""
        return self.quality.in_words

    @property
    def goes_the_right_way(self) -> bool:
        """Whether who deposits more is likelier to be at the top: a model that denies it is wrong."""
        moment = self.learned_until
        few = [PastDeposit(moment - timedelta(days=days), 5_000) for days in range(3, 100, 6)]
        large = [one._replace(amount_minor=50_000) for one in few]
        known = [value_features(part, moment) for part in (large, few)]
        chances = [self.logistic.chance(one) for one in known if one is not None]
        return chances[0] > chances[1]

    def worse_than(self, before: "VipModel") -> bool:
        """Whether its chances are worse by more than two judged windows differ by themselves."""
        return self.quality.brier > before.quality.brier + 0.01

    def closed_windows(self, players: Deposits, now: datetime) -> list[ClosedWindow]:
        """How true its chances were of the newest 90 days that are over and that it did not learn from."""
        found = []
        for window in range(1, TOLD_AFTER + 1):
            began = now - window * AHEAD
            rows, rose = at_the_top(players, began) if began >= self.learned_until else ([], [])
            if len(rows) < LEAST_JUDGED:
                break
            found.append(of_chances(began + AHEAD, [*map(self.logistic.chance, rows)], rose))
        return found

    def survey(self, players: Deposits, moment: datetime) -> Survey:
        """What is counted of some of the players at a moment."""
        rows = [*recent_features(players, moment).values()]
        counted = Survey.of(rows, [*map(self.logistic.chance, rows)], self.spread, self.quality.features)
        counted.add_parts(map(self.logistic.parts, rows))
        return counted

    def night(self, survey: Survey) -> ScoredNight:
        """How far the players of a night are from those it was judged on, and what is usual of them."""
        return night_of(survey, self.spread, self.quality.features, least=LEAST_JUDGED)

    def scores(self, players: Deposits, moment: datetime, night: ScoredNight) -> dict[str, Scored]:
        """The chances of who deposited in the 90 days before, with what sets them apart."""
        found = {}
        for player, known in recent_features(players, moment).items():
            parts = against_usual(self.logistic.parts(known), night.usual)
            found[player] = Scored(percent=round(100 * self.logistic.chance(known)), why=reasons(parts, REASONS))
        return found


def learn_vip(players: Deposits, now: datetime) -> VipModel | NoNumber:
    """Learn from what is over; the newest 90 days of it are only judged on. No model where too few players are."""
    judged_at = now - AHEAD
    rows: list[dict[str, float]] = []
    rose: list[bool] = []
    for number in range(MOMENTS):
        found, top = at_the_top(players, judged_at - AHEAD - number * APART, most=MOST_ROWS // MOMENTS)
        rows, rose = [*rows, *found], [*rose, *top]
    judged, came = at_the_top(players, judged_at)
    if len(rows) < LEAST_ROWS or len(judged) < LEAST_JUDGED or len({*rose}) < 2 or len({*came}) < 2:
        return NoNumber(
            f"{len(rows)} rows to learn from and {len(judged)} players to judge on; {LEAST_ROWS} and {LEAST_JUDGED} "
            "are needed, with some who deposited"
        )
    logistic = fit_logistic(rows, rose, ridge=RIDGE, pairs=PAIRS)
    chances = [logistic.chance(row) for row in judged]
    return VipModel(
        logistic=logistic,
        learned_until=judged_at,
        rows=len(rows),
        quality=quality(chances, came).model_copy(update={"features": bands_of_features(judged)}),
        spread=spread_of(chances),
    )


def at_the_top(
    players: Deposits, moment: datetime, *, most: int | None = None
) -> tuple[list[dict[str, float]], list[bool]]:
    """The features of who deposited in the 90 days before, and whether they were at the top of all these in the next.

    With `most` of about so many of them.
    """
    known = recent_features(players, moment)
    brought = {player: brought_in(players[player], moment, moment + AHEAD) for player in known}
    bound = lowest_of_the_top([*brought.values()])
    chosen = [*known][:: 1 + len(known) // most] if most else [*known]
    return [known[player] for player in chosen], [brought[player] >= bound for player in chosen]


def lowest_of_the_top(brought: Sequence[float]) -> float:
    """What the last of the highest tenth brought; more than anybody where that is nothing."""
    order = sorted(brought, reverse=True)
    bound = order[max(0, len(order) // ONE_IN - 1)] if order else 0.0
    return bound if bound > 0 else float("inf")
