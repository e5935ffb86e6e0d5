"""Boosted trees, scored from plain numbers: no library that fitted them is needed, nor trusted, to use them."""

from collections import defaultdict
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

from learning.logistic import sigmoid


class Tree(BaseModel):
    """The nodes of a tree, the root first. A leaf has the feature -1."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    features: list[int]
    #: At most so much of the feature leads to the left, more to the right.
    thresholds: list[float]
    left: list[int]
    right: list[int]
    #: Of a leaf what it adds to the log odds; of another node the mean of what comes below it.
    values: list[float]


class TreesModel(BaseModel):
    """Trees whose leaves add up to log odds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    names: list[str]
    trees: list[Tree]

    def parts(self, values: Mapping[str, float]) -> dict[str, float]:
        """What each feature adds to the log odds against an average player: by how much its forks move them."""
        known = [values[name] for name in self.names]
        moved: defaultdict[str, float] = defaultdict(float)
        for tree in self.trees:
            node = 0
            while (feature := tree.features[node]) >= 0:
                below = (tree.left if known[feature] <= tree.thresholds[node] else tree.right)[node]
                moved[self.names[feature]] += tree.values[below] - tree.values[node]
                node = below
        return dict(moved)

    @property
    def strengths(self) -> dict[str, float]:
        """How much the forks of each feature move the log odds, all together, whichever way."""
        moved = dict.fromkeys(self.names, 0.0)
        for tree in self.trees:
            for node, feature in enumerate(tree.features):
                if feature >= 0:
                    below = (tree.values[tree.left[node]], tree.values[tree.right[node]])
                    moved[self.names[feature]] += sum(abs(one - tree.values[node]) for one in below)
        return moved

    def chance(self, values: Mapping[str, float]) -> float:
        """The chance that it happens, from 0 to 1."""
        known = [values[name] for name in self.names]
        log_odds = 0.0
        for tree in self.trees:
            node = 0
            while (feature := tree.features[node]) >= 0:
                node = (tree.left if known[feature] <= tree.thresholds[node] else tree.right)[node]
            log_odds += tree.values[node]
        return sigmoid(log_odds)
