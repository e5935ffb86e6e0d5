"""What the verbs of `Player` answer: each says what happened, and none of them raises for what can be expected."""

from dataclasses import dataclass, field
from datetime import datetime

from pydantic import JsonValue

from workflows.rewards import Reward

__all__ = [
    "Answer",
    "Awarded",
    "Grant",
    "Multiplied",
    "NoAnswer",
    "NotAwarded",
    "PlayerScore",
    "Revocation",
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
    #: The bonus engine's own name for it, where it has told one.
    provider_ref: str | None = None

    def __bool__(self) -> bool:
        return self.status == "confirmed"


@dataclass(frozen=True)
class Revocation:
    """What became of a reward that was to be taken back: true if the player has it no more, or never had it.

    `kept` means that the player has used it, or that the bonus engine does not take it back.
    """

    status: str
    reason: str | None = None

    def __bool__(self) -> bool:
        return self.status == "revoked"


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
class Answer:
    """What a player answered: `score` of a thumb or a yes (1) and no (0), 0 to 10; `choice` of one of several."""

    kind: str
    score: int | None = None
    choice: str | None = None

    @property
    def liked(self) -> bool:
        """Whether it is a thumb up or a yes."""
        return self.kind in ("thumb", "yes_no") and self.score == 1

    def __bool__(self) -> bool:
        return True

    @staticmethod
    def read(kept: JsonValue) -> "Answer | NoAnswer":
        """The answer as a run keeps it; None where the run was past the question."""
        known = kept if isinstance(kept, dict) else {}
        if "kind" not in known:
            reasons = known.get("reasons")
            return NoAnswer({str(name): str(why) for name, why in reasons.items()} if isinstance(reasons, dict) else {})
        score, choice = known.get("score"), known.get("choice")
        return Answer(
            str(known["kind"]),
            score if isinstance(score, int) else None,
            choice if isinstance(choice, str) else None,
        )


@dataclass(frozen=True)
class NoAnswer:
    """Nobody answered in time; or nobody was asked, and `reasons` names the rule that spoke on each channel."""

    reasons: dict[str, str] = field(default_factory=dict)

    @property
    def reason(self) -> str:
        """The first channel's reason; `no_answer` where the player was asked."""
        return next(iter(self.reasons.values()), "no_answer")

    def __bool__(self) -> bool:
        return False


@dataclass(frozen=True)
class RunStarted:
    """The other journey's run, or why the player did not enter it."""

    run_id: str | None
    refused: str | None = None

    def __bool__(self) -> bool:
        return self.run_id is not None
