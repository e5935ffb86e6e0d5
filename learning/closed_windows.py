"""How a model in use did on windows that have closed since it was learned: whether what it said is still true.

Drift says that players have become others before anything came of it; this says that the scores were wrong.
"""

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from pydantic import BaseModel, ConfigDict

#: Windows in succession, none in another, that must be off before somebody is told: one bad month is a month.
TOLD_AFTER: Final = 2
#: What was said and what came are apart by chance where it is less than so many standard errors. Of a hundred players
#: chances that are all true would else be off in two windows in succession in one look of seventy, and it is looked
#: every week; of four hundred it changes nothing.
SURELY: Final = 2.5
#: By how much a window is off: the mean chance from the share that happened, or a ranking below what it was judged at.
MOST_OFF: Final = 0.05


class ClosedWindow(BaseModel):
    """What a model said of the players at the start of a window, and what came until its end."""

    model_config = ConfigDict(frozen=True)

    until: datetime
    players: int
    #: The mean chance, or the Gini that the model was judged at.
    said: float
    #: The share that it happened to, or the Gini of this window.
    happened: float
    #: How far apart these are, less what chance alone makes of it, and 0 where chance may have made all of it; of a
    #: ranking, how much worse it is.
    off: float


def of_chances(until: datetime, chances: Sequence[float], happened: Sequence[bool]) -> ClosedWindow:
    """A window of chances, of one player or more."""
    players = len(chances)
    said, came = math.fsum(chances) / players, sum(happened) / players
    by_chance = math.fsum(chance * (1 - chance) for chance in chances) / players**2
    apart = (said - came) ** 2
    off = math.sqrt(apart - by_chance) if apart > SURELY**2 * by_chance else 0.0
    return ClosedWindow(until=until, players=players, said=said, happened=came, off=off)


def of_ranking(until: datetime, players: int, judged: float, now: float) -> ClosedWindow:
    """A window of a score that is a rank: what sums come to does not matter to it, only who brings more than whom."""
    return ClosedWindow(until=until, players=players, said=judged, happened=now, off=max(0.0, judged - now))


def are_off(windows: Sequence[ClosedWindow]) -> bool:
    """Whether a model was off in each of the newest windows, and in as many as somebody is told after."""
    newest = windows[:TOLD_AFTER]
    return len(newest) == TOLD_AFTER and all(one.off > MOST_OFF for one in newest)
