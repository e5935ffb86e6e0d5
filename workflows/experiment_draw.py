"""Drawing a player into an arm of an experiment: pure, so that both theatres draw alike.

What was drawn is kept with the chance it was drawn with; without that nobody can check an experiment afterwards.
"""

import hashlib
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pydantic import BaseModel

#: The arm that nothing is tried on, which everybody gets when something is wrong.
CONTROL: Final = "control"
#: While nobody has looked at an experiment for so long, everybody gets the control arm.
LOOKED_AT_WITHIN: Final = timedelta(hours=24)
# Places that players fall on, so that a whole percent is a whole number of them.
_PLACES: Final = 10_000


@dataclass(frozen=True)
class ExperimentStanding:
    """How an experiment stands when a player is drawn."""

    #: Arms that are given to nobody any more.
    stopped: AbstractSet[str] = frozenset()
    #: Why nobody is drawn at all; None while players are.
    closed: str | None = None
    looked_at: datetime | None = None

    def tries_nothing(self, now: datetime) -> str | None:
        """Why nothing is tried on anybody, drawn already or not; None where it is."""
        if self.closed is not None:
            return self.closed
        unwatched = self.looked_at is not None and now - self.looked_at > LOOKED_AT_WITHIN
        return "not_watched" if unwatched else None


@dataclass(frozen=True)
class DrawnArm:
    """The arm of a player, the chance it was drawn with, and the shares of all arms at that moment, in percent.

    `why` says why nothing was drawn; then the chance is 1 and the player is no part of any comparison.
    """

    arm: str
    chance: float
    shares: Mapping[str, int]
    why: str | None = None


class ArmAssigned(BaseModel):
    """The player's arm. `why` says why the control arm was given whatever was drawn; None where chance decided."""

    arm: str
    chance: float
    why: str | None = None

    @classmethod
    def withheld(cls) -> "ArmAssigned":
        """What a run is told whose offers the gate withholds anyway: nothing is drawn and nobody is compared."""
        return cls(arm=CONTROL, chance=1.0, why="withheld")

    @classmethod
    def of(cls, drawn: DrawnArm, standing: ExperimentStanding, now: datetime) -> "ArmAssigned":
        """What a run is told: the arm that was drawn, unless it was stopped or closed since or nobody watches it."""
        why = "stopped" if drawn.arm in standing.stopped else standing.tries_nothing(now)
        if why is not None and drawn.arm != CONTROL:
            return cls(arm=CONTROL, chance=1.0, why=why)
        return cls(arm=drawn.arm, chance=drawn.chance, why=drawn.why)


def draw(
    brand: str,
    player_id: str,
    experiment: tuple[str, int],
    arms: Mapping[str, int],
    standing: ExperimentStanding,
    now: datetime,
) -> DrawnArm:
    """Which arm a player falls into who comes to an experiment for the first time.

    The same player, experiment and version always fall on the same place; of a stopped arm that place is the control
    arm's. Where nobody watches over harm nothing is tried.
    """
    if (why := standing.tries_nothing(now)) is not None:
        return DrawnArm(CONTROL, 1.0, {CONTROL: 100}, why)
    name, version = experiment
    digest = hashlib.sha256(f"{brand}:{name}:{version}:{player_id}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") % _PLACES
    drawn = CONTROL
    for arm, share in arms.items():
        place -= share * _PLACES // 100
        if place < 0:
            drawn = arm
            break
    left = {arm: share for arm, share in arms.items() if arm not in standing.stopped and arm != CONTROL}
    shares = {**left, CONTROL: 100 - sum(left.values())}
    arm = drawn if drawn in left else CONTROL
    return DrawnArm(arm, shares[arm] / 100, shares, None if left else "stopped")
