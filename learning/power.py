"""What an experiment of some size could find, and which size finds what one wishes to find."""

import math
from typing import Final

from learning.differences import NORMAL, z_of

#: The chance to find an effect of the size that is looked for.
POWER: Final = 0.8


def detectable(base: float, players: float, control: float, *, power: float = POWER) -> float:
    """The smallest rise of a share that is found with this power, 0.05 being five points.

    `base` is the share without the experiment, `control` the part of the players in the control group, both from 0 to
    1. Infinite where a group is empty.
    """
    treated_players, control_players = players * (1 - control), players * control
    if min(treated_players, control_players) <= 0:
        return math.inf
    reach, rise = z_of() + NORMAL.inv_cdf(power), 0.0
    for _ in range(50):
        raised = min(1.0, base + rise)
        rise = reach * math.sqrt(raised * (1 - raised) / treated_players + base * (1 - base) / control_players)
    return rise


def detectable_mean(variation: float, players: float, control: float, *, power: float = POWER) -> float:
    """The smallest change of a mean that is found, as a part of it; `variation` is standard deviation by mean."""
    spread = math.sqrt(1 / (players * (1 - control)) + 1 / (players * control))
    return (z_of() + NORMAL.inv_cdf(power)) * variation * spread


def players_needed(base: float, rise: float, control: float, *, power: float = POWER) -> int:
    """How many players, of both groups together, find a rise of this size with this power."""
    raised = min(1.0, base + rise)
    spread = raised * (1 - raised) / (1 - control) + base * (1 - base) / control
    return math.ceil(((z_of() + NORMAL.inv_cdf(power)) / rise) ** 2 * spread)
