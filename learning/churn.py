"""The score `churn`: the chance that a player who deposited in the last 30 days will not in the next 30.

Learned from the deposits of the house itself, judged on the newest months that are over, and used only past floors.
What is kept of a model is JSON; what scores with it is this module.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from learning.boosting import fit_trees, gain
from learning.churn_features import REASONS, WINDOW, PastDeposit, features
from learning.closed_windows import TOLD_AFTER, ClosedWindow, of_chances
from learning.differences import NoNumber
from learning.drift import bands_of_features, spread_of
from learning.judging_scores import Beaten, Floor, Quality, quality
from learning.logistic import LogisticModel, fit_logistic
from learning.scored import Deposits, ModelKind, Scored, ScoredNight, Survey, night_of, reasons
from learning.trees import TreesModel

#: Months that are judged on, the newest that are over. One of a few hundred players is calibrated or not by luck.
JUDGED: Final = 2
#: Weeks that are learned from; what the last of them foretells ends where the months judged on begin.
WEEKS: Final = 34
#: Players, in all the weeks learned from and in the months judged on, below which nothing is learned.
LEAST_ROWS: Final = 3_000
LEAST_JUDGED: Final = 100
#: At most so many rows are learned from, the newest; more would take minutes and teach nothing new.
MOST_ROWS: Final = 20_000
#: At most about so many of one week: of a large house some players of many weeks, and not one week of some.
MOST_OF_A_WEEK: Final = 2_500
#: What a model must reach on players it has not seen before anybody is scored with it.
LEAST_AUC, MOST_BRIER, MOST_CALIBRATION_ERROR = 0.85, 0.155, 0.035
RIDGE: Final = 30.0
#: What says more together than each alone: silence against pace, and what grows ever more slowly.
PAIRS: Final = (
    ("idle.days", "days.last_30"),
    ("idle.days", "days.last_90"),
    ("idle.days", "gaps.mean"),
    ("idle.days", "days.ever"),
    ("idle.days", "tenure.days"),
    ("idle.days", "days.weeks_of_12"),
    ("days.last_30", "days.last_90"),
    ("tenure.days", "days.last_90"),
    *(
        (name, name)
        for name in (
            "days.last_30",
            "days.last_90",
            "days.ever",
            "tenure.days",
            "gaps.mean",
            "pace.idle_to_mean",
            "pace.idle_to_longest",
            "count.last_90",
            "amount.month",
            "days.weeks_of_12",
        )
    ),
)


class ChurnModel(BaseModel):
    """A model as it is kept: what it learned, from what, and what it was worth."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    logistic: LogisticModel
    #: The challenger, where it was better than the logistic model on the months judged on: then it is what scores.
    trees: TreesModel | None = None
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
    def goes_the_right_way(self) -> bool:
        """Whether a player who is silent for longer is said to leave more likely: a model that denies it is wrong."""
        moment = self.learned_until
        visits = [PastDeposit(moment - days * (WINDOW / 30), 5_000) for days in range(20, 100, 6)]
        fresh = [*visits, PastDeposit(moment - WINDOW / 30, 5_000), PastDeposit(moment - 7 * WINDOW / 30, 5_000)]
        chances = [self._scorer.chance(known) for part in (visits, fresh) if (known := features(part, moment))]
        return len(chances) == 2 and chances[0] > chances[1]

    def score(self, deposits: Sequence[PastDeposit], moment: datetime) -> Scored | None:
        """A player's score at a moment; None for one without a deposit in the 30 days before."""
        known = features(deposits, moment)
        if known is None:
            return None
        why = reasons(self._scorer.parts(known), REASONS)
        return Scored(percent=round(100 * self._scorer.chance(known)), why=why)

    @property
    def kind(self) -> ModelKind:
        """What scores."""
        return "trees" if self.trees else "logistic"

    @property
    def strengths(self) -> dict[str, float]:
        """How much each feature counts."""
        return self._scorer.strengths

    @property
    def worth(self) -> str:
        """What it was worth, in words."""
        return f"{self.quality.in_words}, by {'boosted trees' if self.trees else 'logistic regression'}"

    @property
    def _scorer(self) -> LogisticModel | TreesModel:
        return self.trees or self.logistic

    def worse_than(self, before: "ChurnModel") -> bool:
        """Whether its chances are worse by more than two judged months differ by themselves."""
        return self.quality.brier > before.quality.brier + 0.01

    def closed_windows(self, players: Deposits, now: datetime) -> list[ClosedWindow]:
        """How true its chances were of the newest months that are over and that it did not learn from."""
        found = []
        for month in range(1, TOLD_AFTER + 1):
            began = now - month * WINDOW
            rows, left = labelled(players, began) if began >= self.learned_until else ([], [])
            if len(rows) < LEAST_JUDGED:
                break
            found.append(of_chances(began + WINDOW, [self._scorer.chance(row) for row in rows], left))
        return found

    def survey(self, players: Deposits, moment: datetime) -> Survey:
        """What is counted of some of the players at a moment."""
        rows = [known for deposits in players.values() if (known := features(deposits, moment)) is not None]
        chances = [round(100 * self._scorer.chance(known)) / 100 for known in rows]
        return Survey.of(rows, chances, self.spread, self.quality.features)

    def night(self, survey: Survey) -> ScoredNight:
        """How far the players of a night are from those it was judged on.

        Of a handful nothing is said: they are never spread like many.
        """
        return night_of(survey, self.spread, self.quality.features, least=LEAST_JUDGED)

    def scores(self, players: Deposits, moment: datetime, night: ScoredNight) -> dict[str, Scored]:  # noqa: ARG002 - a chance
        """The scores of all who have one at a moment; a chance asks for nobody else's."""
        return {player: one for player, known in players.items() if (one := self.score(known, moment)) is not None}


def learn_churn(players: Deposits, now: datetime) -> ChurnModel | NoNumber:
    """Learn from what is over; the newest two months of it are only judged on. No model where too few players are.

    Nothing of the months judged on is learned from: what the last week learned from foretells ends where they begin.
    """
    learned_until = now - JUDGED * WINDOW
    rows: list[dict[str, float]] = []
    left: list[bool] = []
    for week in range(WEEKS):
        if len(rows) >= MOST_ROWS:
            break
        found, gone = labelled(players, learned_until - WINDOW - week * timedelta(days=7), most=MOST_OF_A_WEEK)
        rows, left = [*rows, *found][:MOST_ROWS], [*left, *gone][:MOST_ROWS]
    judged: list[dict[str, float]] = []
    truth: list[bool] = []
    for month in range(1, JUDGED + 1):
        found, gone = labelled(players, now - month * WINDOW)
        judged, truth = [*judged, *found], [*truth, *gone]
    if len(rows) < LEAST_ROWS or len(judged) < LEAST_JUDGED or len({*left}) < 2 or len({*truth}) < 2:
        return NoNumber(
            f"{len(rows)} rows to learn from and {len(judged)} to judge on; {LEAST_ROWS} and {LEAST_JUDGED} "
            "are needed, with some who left and some who stayed"
        )
    logistic = fit_logistic(rows, left, ridge=RIDGE, pairs=PAIRS)
    chances = [logistic.chance(row) for row in judged]
    worth = quality(chances, truth).model_copy(update={"features": bands_of_features(judged)})
    model = ChurnModel(
        logistic=logistic,
        learned_until=learned_until,
        rows=len(rows),
        quality=worth,
        spread=spread_of(chances),
    )
    challenger = fit_trees(rows, left)
    return model if challenger is None else _better(model, chances, challenger, judged, truth)


def _better(
    model: ChurnModel,
    chances: Sequence[float],
    challenger: TreesModel,
    judged: Sequence[Mapping[str, float]],
    gone: Sequence[bool],
) -> ChurnModel:
    """The model, which gave these chances, or the same with the challenger where that is surely better and passes.

    What the other one was worth is kept with it.
    """
    others = [challenger.chance(row) for row in judged]
    better, error = gain(others, chances, gone)

    def beside(kind: Literal["logistic", "trees"], worth: Quality) -> Beaten:
        figures = {name: getattr(worth, name) for name in ("auc", "brier", "calibration_error")}
        return Beaten(kind=kind, **figures, gain=better, error=error)

    worth = quality(others, gone)
    kept = {"features": model.quality.features, "beaten": beside("logistic", model.quality)}
    changed = {"trees": challenger, "quality": worth.model_copy(update=kept), "spread": spread_of(others)}
    other = model.model_copy(update=changed)
    if better > error and other.passes >= model.passes:
        return other
    return model.model_copy(update={"quality": model.quality.model_copy(update={"beaten": beside("trees", worth)})})


def labelled(
    players: Deposits, moment: datetime, *, most: int | None = None
) -> tuple[list[dict[str, float]], list[bool]]:
    """The features of everybody who has a score at a moment, and whether they then left; with `most` of so many.

    These are taken evenly of all in their order: the first of them would be those who have been here longest, where
    players are numbered.
    """
    rows: list[dict[str, float]] = []
    left: list[bool] = []
    # In one order whoever asks: trees are grown from samples of rows.
    chosen = sorted(player for player, deposits in players.items() if _has_score(deposits, moment))
    for player in chosen[:: -(-len(chosen) // most) or 1] if most else chosen:
        deposits = players[player]
        known = features(deposits, moment)
        if known is not None:
            rows.append(known)
            left.append(not any(moment <= one.at < moment + WINDOW for one in deposits))
    return rows, left


def _has_score(deposits: Sequence[PastDeposit], moment: datetime) -> bool:
    """Whether a player deposited in the 30 days before; what was known only later is looked at with the features."""
    return any(moment - WINDOW <= one.at < moment for one in deposits)
