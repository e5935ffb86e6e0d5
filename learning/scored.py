"""What every score says of a player, and what its models have in common."""

from array import array
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, NamedTuple, Protocol, Self

from pydantic import BaseModel, ConfigDict

from learning.churn_features import PastDeposit
from learning.closed_windows import ClosedWindow
from learning.drift import Bands, bands_of_spread, feature_drifts, score_drift
from learning.judging_scores import Floor, Quality, ValueQuality

Deposits = Mapping[str, Sequence[PastDeposit]]

#: What a model is.
ModelKind = Literal["logistic", "trees", "poisson"]
#: Reasons that are told with a score.
REASONS_TOLD: Final = 3
#: Whole numbers come to the same in any order, and floats do not.
PRECISION: Final = 10**12


class Scored(BaseModel):
    """A score of a player in whole percent, and its strongest reasons."""

    model_config = ConfigDict(frozen=True)

    percent: int
    why: list[str]


@dataclass(slots=True)
class Survey:
    """What is counted of the players of a night before any of them is scored, part by part.

    Whole numbers are added, so it is the same in whatever parts and order the players come. Of each player it keeps no
    more than one amount, and that only for a score which is a rank.
    """

    players: int = 0
    #: Players by band of the score, and by band of each feature.
    score: list[int] = field(default_factory=list)
    features: dict[str, list[int]] = field(default_factory=dict)
    #: What each feature adds, in millionths of millionths.
    parts: dict[str, int] = field(default_factory=dict)
    amounts: "array[float]" = field(default_factory=lambda: array("d"))

    @classmethod
    def of(
        cls,
        rows: Sequence[Mapping[str, float]],
        values: Sequence[float],
        spread: Sequence[float],
        features: Mapping[str, Bands] | None,
    ) -> "Survey":
        """Of players with these features, each with the value of the score whose spread a model keeps."""
        return cls(
            players=len(rows),
            score=bands_of_spread(spread).count(values),
            features={name: bands.count(row[name] for row in rows) for name, bands in (features or {}).items()},
        )

    def add_parts(self, every: Iterable[Mapping[str, float]]) -> None:
        """Add what the features of each player add."""
        for one in every:
            for name, part in one.items():
                self.parts[name] = self.parts.get(name, 0) + round(part * PRECISION)

    def add(self, other: "Survey") -> None:
        """Add another part of the players."""
        self.players += other.players
        self.score = _added(self.score, other.score)
        for name, counts in other.features.items():
            self.features[name] = _added(self.features.get(name, []), counts)
        for name, part in other.parts.items():
            self.parts[name] = self.parts.get(name, 0) + part
        self.amounts.extend(other.amounts)

    def usual(self) -> dict[str, float]:
        """What each feature adds for all of these players on average."""
        return {name: part / self.players / PRECISION for name, part in self.parts.items()}


def _added(one: Sequence[int], other: Sequence[int]) -> list[int]:
    return [before + more for before, more in zip(one, other, strict=True)] if one else [*other]


class ScoredNight(NamedTuple):
    """What all players of a night are together, which each of them is scored against."""

    players: int
    #: How far they are from those the model was judged on: by their score, and by each feature.
    drift: float
    features: dict[str, float]
    #: What each feature adds on average, of scores whose reasons set a player apart from the others.
    usual: dict[str, float]
    #: Of a score that is a rank: the amounts from which on it is 1, 2, … of a hundred.
    ranks: list[float]


def night_of(
    survey: Survey, spread: Sequence[float], features: Mapping[str, Bands] | None, *, least: int
) -> ScoredNight:
    """What was counted of all players, held against those of a model. Of fewer than `least` no drift is told."""
    enough = survey.players >= least
    return ScoredNight(
        players=survey.players,
        drift=score_drift(bands_of_spread(spread), survey.score) if enough else 0.0,
        features=feature_drifts(features or {}, survey.features) if enough else {},
        usual=survey.usual(),
        ranks=ranks_of(survey.amounts),
    )


def ranks_of(amounts: Sequence[float]) -> list[float]:
    """The amounts from which on it is 1 to 99 of a hundred of these that are less; who is alike stands in their middle.

    So `bisect_right` of them is the rank of any of these amounts, and a rank asks for no more than a hundred numbers.
    """
    order, found = sorted(amounts), list[float]()
    start = 0
    while start < len(order):
        end = start
        while end < len(order) and order[end] == order[start]:
            end += 1
        percent = min(99, int(100 * ((start + end) / 2) / len(order)))
        found += [order[start]] * (percent - len(found))
        start = end
    return found


class ScoreModel(Protocol):
    """A model of any score."""

    @property
    def learned_until(self) -> datetime:
        """Deposits from then on were not learned from."""

    @property
    def rows(self) -> int:
        """Of how many rows it was learned."""

    @property
    def quality(self) -> Quality | ValueQuality:
        """What it was worth on players it had not seen."""

    @property
    def passes(self) -> bool:
        """Whether it is good enough to be used."""

    @property
    def floors(self) -> Sequence[Floor]:
        """What it must reach, and what it reached."""

    @property
    def goes_the_right_way(self) -> bool:
        """Whether what everybody knows of players is so by it too, such as that who is silent leaves more likely."""

    @property
    def kind(self) -> ModelKind:
        """What scores."""

    @property
    def strengths(self) -> Mapping[str, float]:
        """How much each feature counts; below 0 where more of it lowers the score. Of trees it is above 0."""

    @property
    def worth(self) -> str:
        """What it was worth, in words."""

    def worse_than(self, before: Self, /) -> bool:
        """Whether it is worse than the one that is used, by more than two judged windows differ by themselves."""

    def closed_windows(self, players: Deposits, now: datetime) -> list[ClosedWindow]:
        """How it did on the newest windows that are over and that it did not learn from, the newest first.

        None of too few players. `players` are all of the house, or of a share of it, as they are learned from.
        """

    def survey(self, players: Deposits, moment: datetime) -> Survey:
        """What is counted of some of the players at a moment; parts are added up."""

    def night(self, survey: Survey) -> ScoredNight:
        """What all players together are."""

    def scores(self, players: Deposits, moment: datetime, night: ScoredNight) -> dict[str, Scored]:
        """The scores of all of these players who have one at a moment, with what all players together are."""

    def model_dump(self, *, mode: str, exclude_none: bool = False) -> dict[str, object]:
        """As it is kept, in JSON."""


def against_usual(parts: Mapping[str, float], usual: Mapping[str, float]) -> dict[str, float]:
    """What a player's features add, less what they add for all players of the night on average."""
    return {name: part - usual.get(name, 0.0) for name, part in parts.items()}


def reasons(parts: Mapping[str, float], words: Mapping[str, tuple[str, str]]) -> list[str]:
    """The strongest reasons, by what the features of each subject add together: for much first, else for little."""
    about: defaultdict[str, float] = defaultdict(float)
    for name, part in parts.items():
        about[name.partition(".")[0]] += part
    strongest = sorted(about, key=lambda subject: -abs(about[subject]))[:REASONS_TOLD]
    return [words[subject][0 if about[subject] > 0 else 1] for subject in strongest]
