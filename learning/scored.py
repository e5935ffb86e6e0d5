"""What every score says of a player, and what its models have in common."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple, Protocol, Self

from pydantic import BaseModel, ConfigDict

from learning.churn_features import PastDeposit

Deposits = Mapping[str, Sequence[PastDeposit]]

#: Reasons that are told with a score.
REASONS_TOLD: Final = 3


class Scored(BaseModel):
    """A score of a player in whole percent, and its strongest reasons."""

    model_config = ConfigDict(frozen=True)

    percent: int
    why: list[str]


class NightScores(NamedTuple):
    """The scores of a night, by player, and how far these players are from those the model was judged on."""

    scored: Mapping[str, Scored]
    drift: float


class ScoreModel(Protocol):
    """A model of any score."""

    @property
    def passes(self) -> bool:
        """Whether it is good enough to be used."""

    @property
    def worth(self) -> str:
        """What it was worth, in words."""

    def worse_than(self, before: Self, /) -> bool:
        """Whether it is worse than the one that is used, by more than two judged windows differ by themselves."""

    def scores(self, players: Deposits, moment: datetime) -> NightScores:
        """The scores of all who have one at a moment."""

    def model_dump(self, *, mode: str, exclude_none: bool = False) -> dict[str, object]:
        """As it is kept, in JSON."""


def against_usual(parts: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """What each player's features add, less what they add for all of these players on average."""
    sums: defaultdict[str, float] = defaultdict(float)
    for one in parts.values():
        for name, part in one.items():
            sums[name] += part
    return {
        player: {name: part - sums[name] / len(parts) for name, part in one.items()} for player, one in parts.items()
    }


def reasons(parts: Mapping[str, float], words: Mapping[str, tuple[str, str]]) -> list[str]:
    """The strongest reasons, by what the features of each subject add together: for much first, else for little."""
    about: defaultdict[str, float] = defaultdict(float)
    for name, part in parts.items():
        about[name.partition(".")[0]] += part
    strongest = sorted(about, key=lambda subject: -abs(about[subject]))[:REASONS_TOLD]
    return [words[subject][0 if about[subject] > 0 else 1] for subject in strongest]
