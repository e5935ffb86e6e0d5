"""How far players are from those a model was judged on: of its score, and of each feature by its name.

The bands are fixed where a model is learned, and only players are counted into them afterwards. So players can be
counted in parts, in any order, and what comes of it is the same.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from pydantic import BaseModel, ConfigDict

#: Bands that values are counted in, as many of them in each.
BANDS: Final = 10
#: Drift above which somebody should look, and above which a score is not used any more.
DRIFT_TO_LOOK_AT: Final = 0.1
DRIFT_TOO_LARGE: Final = 0.25
#: Players, then and now, below which no feature is spoken of: of forty features chance alone would move one.
LEAST_FOR_FEATURES: Final = 200


class Bands(BaseModel):
    """Bands of a figure, and how many players were in each when they were fixed."""

    model_config = ConfigDict(frozen=True)

    #: In ascending order; a band begins with its lower edge. The first and the last have no end.
    edges: list[float]
    counts: list[int]

    def count(self, values: Iterable[float]) -> list[int]:
        """How many of these values are in each band."""
        found = [0] * (len(self.edges) + 1)
        for value in values:
            found[bisect_right(self.edges, value)] += 1
        return found


def bands_of(values: Sequence[float]) -> Bands:
    """Bands of about as many of these values each; one that a tenth of them or more share has a band of its own.

    Else of a feature that is 0 for nearly everybody it would not be seen when it is 0 for nobody any more.
    """
    tenths = _tenths(values)
    shared = {one for one in tenths if tenths.count(one) > 1}
    # Just above it: nothing that is counted or measured in days differs by as little.
    edges = sorted({*tenths, *(one + 1e-9 * max(1.0, abs(one)) for one in shared)})
    bands = Bands(edges=edges, counts=[])
    return bands.model_copy(update={"counts": bands.count(values)})


def bands_of_features(rows: Sequence[Mapping[str, float]]) -> dict[str, Bands]:
    """The bands of each feature of these rows, by its name; none of no rows."""
    return {name: bands_of([row[name] for row in rows]) for name in rows[0]} if rows else {}


def spread_of(values: Sequence[float]) -> list[float]:
    """A hundred of many values, in ascending order; none of none."""
    ordered = sorted(values)
    return [ordered[index * len(ordered) // 100] for index in range(100)] if ordered else []


def bands_of_spread(spread: Sequence[float]) -> Bands:
    """The bands of a score, by its hundredths as a model keeps them."""
    bands = Bands(edges=sorted({*_tenths(spread)}), counts=[])
    return bands.model_copy(update={"counts": bands.count(spread)})


def _tenths(values: Sequence[float]) -> list[float]:
    ordered = sorted(values)
    return [ordered[index * len(ordered) // BANDS] for index in range(1, BANDS)] if ordered else []


def stability_index(then: Sequence[int], now: Sequence[int]) -> float:
    """The population stability index of two counts in the same bands: 0 for the same shares, and the same either way.

    Half a player is added to each band, or one that is empty would weigh without end. 0 where nobody was counted.
    """
    if not sum(then) or not sum(now):
        return 0.0
    total = 0.0
    for before, after in zip(_shares(then), _shares(now), strict=True):
        total += (after - before) * math.log(after / before)
    return total


def _shares(counts: Sequence[int]) -> list[float]:
    whole = sum(counts) + 0.5 * len(counts)
    return [(count + 0.5) / whole for count in counts]


def score_drift(bands: Bands, now: Sequence[int]) -> float:
    """The drift of a score: 0 where players are spread as those it was judged on; above 0.25 they are others.

    Less what chance alone makes of it on average, which of a hundred players is 0.09: every third night would else tell
    of a small house that its players had become others.
    """
    players = sum(now)
    return max(0.0, stability_index(bands.counts, now) - len(bands.edges) / players) if players else 0.0


def feature_drifts(bands: Mapping[str, Bands], now: Mapping[str, Sequence[int]]) -> dict[str, float]:
    """The drift of each feature, less what chance makes of it on average, then and now; none of too few players."""
    found = {}
    for name, one in bands.items():
        before, after = sum(one.counts), sum(now.get(name, ()))
        if min(before, after) >= LEAST_FOR_FEATURES:
            chance = len(one.edges) * (1 / before + 1 / after)
            found[name] = max(0.0, stability_index(one.counts, now[name]) - chance)
    return found
