"""Which arm of a journey a player is in, and with what probability: drawn once, and kept by what the run begins."""

import hashlib
from dataclasses import dataclass

from workflows.declaration import Journey
from workflows.player_state.decisions import Arm


@dataclass(frozen=True, slots=True)
class RunArm:
    """The arm of a run, and the probability with which its player came into it."""

    arm: Arm
    share: float

    def within(self, parent: "RunArm | None") -> "RunArm":
        """What it is in a run that another run begins: treated only where that one is treated too.

        Else a control group would get by the second journey what the first withholds.
        """
        if parent is None:
            return self
        treated = self.treated_share * parent.treated_share
        if self.arm == parent.arm == "treated":
            return RunArm("treated", treated)
        return RunArm("control", 1 - treated)

    @property
    def treated_share(self) -> float:
        """The probability with which the player is treated."""
        return self.share if self.arm == "treated" else 1 - self.share


def drawn_arm(brand: str, player_id: str, journey: Journey) -> RunArm:
    """The player's own arm of a journey."""
    arm = arm_of(brand, player_id, journey.name, journey.control)
    return RunArm(arm, (journey.control if arm == "control" else 100 - journey.control) / 100)


def arm_of(brand: str, player_id: str, journey: str, control: int) -> Arm:
    """The experiment arm: the same player is always in the same arm of the same journey."""
    digest = hashlib.sha256(f"{brand}:{journey}:{player_id}".encode()).digest()
    return "control" if int.from_bytes(digest[:8], "big") % 100 < control else "treated"
