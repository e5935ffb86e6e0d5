"""The challenger of a logistic model: boosted trees, where LightGBM is installed (the extra `learning`).

It is needed where models are learned and nowhere else. What it fitted is read out at once, into numbers that
`learning.trees` scores with.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from statistics import fmean, stdev
from typing import Any, Final

from learning.trees import Tree, TreesModel

logger = logging.getLogger(__name__)

#: One thread and a seed: the same rows teach the same trees.
SETTINGS: Final = {
    "objective": "binary",
    "num_leaves": 7,
    "learning_rate": 0.05,
    "min_data_in_leaf": 40,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "num_threads": 1,
    "deterministic": True,
    "seed": 1,
    "verbose": -1,
}
TREES: Final = 150


def fit_trees(rows: Sequence[Mapping[str, float]], happened: Sequence[bool]) -> TreesModel | None:
    """Trees fitted to what happened; None where LightGBM is not installed, or cannot be used.

    It cannot where a library of the system that it needs is not there, or it speaks of forks that nobody here knows:
    the champion is learned all the same.
    """
    if find_spec("lightgbm") is None:
        return None
    try:
        return read_booster(booster_of(rows, happened), list(rows[0]))
    except (ImportError, OSError, ValueError) as error:
        logger.warning("No boosted trees: %s", error)
        return None


def booster_of(rows: Sequence[Mapping[str, float]], happened: Sequence[bool]) -> Any:
    """LightGBM's own model. Raises ModuleNotFoundError where it is not installed."""
    lightgbm, numpy = import_module("lightgbm"), import_module("numpy")
    columns = numpy.array([[row[name] for name in rows[0]] for row in rows], dtype=float)
    data = lightgbm.Dataset(columns, numpy.array(happened, dtype=float))
    return lightgbm.train(dict(SETTINGS), data, num_boost_round=TREES)


def read_booster(booster: Any, names: Sequence[str]) -> TreesModel:
    """The numbers of LightGBM's model. Raises ValueError for forks of another kind than ours."""
    dumped = booster.dump_model()["tree_info"]
    return TreesModel(names=list(names), trees=[_tree(one["tree_structure"]) for one in dumped])


def _tree(root: Mapping[str, Any]) -> Tree:
    nodes: list[Mapping[str, Any]] = []
    children: list[tuple[int, int]] = []
    waiting = [(root, -1, 0)]
    while waiting:
        node, parent, side = waiting.pop()
        at = len(nodes)
        nodes.append(node)
        children.append((-1, -1))
        if parent >= 0:
            left, right = children[parent]
            children[parent] = (at, right) if side == 0 else (left, at)
        if "split_feature" in node:
            if node["decision_type"] != "<=" or node["missing_type"] != "None":
                raise ValueError(
                    f"A fork of a kind that is not known: {node['decision_type']}, {node['missing_type']}."
                )
            waiting += [(node["left_child"], at, 0), (node["right_child"], at, 1)]
    return Tree(
        features=[node.get("split_feature", -1) for node in nodes],
        thresholds=[node.get("threshold", 0.0) for node in nodes],
        left=[left for left, _ in children],
        right=[right for _, right in children],
        values=[node["internal_value"] if "split_feature" in node else node["leaf_value"] for node in nodes],
    )


def gain(challenger: Sequence[float], champion: Sequence[float], happened: Sequence[bool]) -> tuple[float, float]:
    """By how much the challenger's Brier is better on the same players, and the error of that.

    The error is that of a mean of differences, which drawing the players again comes to.
    """
    better = [
        (before - one) ** 2 - (now - one) ** 2
        for now, before, one in zip(challenger, champion, map(float, happened), strict=True)
    ]
    return fmean(better), stdev(better) / math.sqrt(len(better))
