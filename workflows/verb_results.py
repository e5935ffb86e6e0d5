"""What the verbs of `Player` answer: each says what happened, and none of them raises for what can be expected."""

from dataclasses import dataclass
from datetime import datetime

from workflows.rewards import Reward

__all__ = [
    "Awarded",
    "Grant",
    "Multiplied",
    "NotAwarded",
    "PlayerScore",
    "RunStarted",
    "Sent",
    "Spun",
    "Suppressed",
    "Unplayed",
]


@dataclass(frozen=True)
class Sent:
    """The message was handed over on these channels."""

    channels: tuple[str, ...]


@dataclass(frozen=True)
class Suppressed:
    """The message went out on no channel; `reasons` names the rule that spoke on each."""

    reasons: dict[str, str]

    @property
    def reason(self) -> str:
        """The first channel's reason."""
        return next(iter(self.reasons.values()), "no_channel")


@dataclass(frozen=True)
class Grant:
    """What became of a reward. Only `confirmed` means that the player has it.

    `unknown` means that the bonus engine never answered; it is looked up again and again and stands
    in `GET /v1/grants?status=unknown` meanwhile, so a journey must not grant again.
    """

    status: str
    grant_id: str
    reason: str | None = None

    def __bool__(self) -> bool:
        return self.status == "confirmed"


@dataclass(frozen=True)
class Awarded:
    """The player has it, and the journal says why."""

    def __bool__(self) -> bool:
        return True


@dataclass(frozen=True)
class Multiplied:
    """Points of what happens in [since, until) count more."""

    since: datetime
    until: datetime

    def __bool__(self) -> bool:
        return True


@dataclass(frozen=True)
class Spun:
    """The player has spun. What `prize` says is theirs already; None: it was a blank.

    Money is on its way through the bonus engine. `proof` is the id of the spin, by which it is drawn again.
    """

    prize: Reward | None
    proof: str

    def __bool__(self) -> bool:
        return True


@dataclass(frozen=True)
class Unplayed:
    """The player did not spin in time."""

    def __bool__(self) -> bool:
        return False


@dataclass(frozen=True)
class NotAwarded:
    """The gate spoke against it; `reason` names the rule."""

    reason: str

    def __bool__(self) -> bool:
        return False


@dataclass(frozen=True)
class PlayerScore:
    """How likely something is, in percent, and why, the strongest reason first.

    Where `estimated` is true no model spoke, or too long ago: it is what silence alone makes likely.
    """

    percent: int
    why: tuple[str, ...]
    estimated: bool


@dataclass(frozen=True)
class RunStarted:
    """The other journey's run, or why the player did not enter it."""

    run_id: str | None
    refused: str | None = None

    def __bool__(self) -> bool:
        return self.run_id is not None
