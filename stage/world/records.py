"""What is kept of everything that happened in a world: runs, messages, rewards, tasks, stories."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from pydantic import JsonValue

from workflows.channels import Channel
from workflows.events import Event, MessageClass, ScoreChanged
from workflows.experiment_draw import DrawnArm, ExperimentStanding
from workflows.player_state.decisions import Arm, GrantStage, TicketsGiven
from workflows.rewards import RewardBase


@dataclass(slots=True)
class RunRecord:
    """One run, of either arm, as it went. `step` is the last one that had an effect, `version` what it plays."""

    run_id: str
    player_id: str
    journey: str
    arm: Arm
    entered_at: datetime
    ended_at: datetime | None = None
    outcome: str | None = None
    goal_at: datetime | None = None
    step: str | None = None
    version: int = 0
    trigger: Event | None = None
    #: The probability with which the player came into the arm.
    arm_share: float = 1.0


@dataclass(frozen=True, slots=True)
class MessageRecord:
    """One channel of one message, sent or not."""

    at: datetime
    run_id: str
    player_id: str
    journey: str
    step: str
    template: str
    channel: Channel
    message_class: MessageClass
    suppressed: str | None
    variables: Mapping[str, JsonValue]
    #: Of a survey: what it is about.
    about: str | None = None


@dataclass(frozen=True, slots=True)
class GrantRecord:
    """One reward, given or not. `unknown`: the bonus engine never answered."""

    at: datetime
    run_id: str
    player_id: str
    journey: str
    step: str
    kind: str
    reward: RewardBase
    status: Literal["confirmed", "refused", "unknown", "revoked"]
    reason: str | None
    #: How far it has come, by what the bonus engine told.
    stage: GrantStage | None = None

    @property
    def grant_id(self) -> str:
        """Its id, as events about it say it."""
        return f"{self.run_id}/{self.step}"


@dataclass(slots=True)
class TaskRecord:
    """One human task."""

    task_id: str
    run_id: str
    player_id: str
    journey: str
    step: str
    form: str
    team: str
    reason: str
    opened_at: datetime
    due_at: datetime
    escalate_to: str | None = None
    not_by: list[str] = field(default_factory=list)
    approvals: int = 1
    #: Who has given the answer that stands or is proposed, where the test said who.
    signed_by: list[str] = field(default_factory=list)
    proposal: dict[str, JsonValue] | None = None
    state: str = "open"
    answer: dict[str, JsonValue] | None = None
    closed_at: datetime | None = None


@dataclass(slots=True)
class PurchaseRecord:
    """One purchase in the shop: `reserved` until it is delivered, or its points go back."""

    at: datetime
    purchase_id: str
    player_id: str
    item: str
    currency: str
    price: int
    slices: Mapping[str, int]
    run_id: str | None
    state: Literal["reserved", "fulfilled", "refunded"]


@dataclass(frozen=True, slots=True)
class StoryRecord:
    """One line of a run's story."""

    at: datetime
    run_id: str
    step: str
    outcome: str
    detail: Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True)
class SpinRecord:
    """One spin of a wheel. `given_by` is the effect of a journey that gave it; None: it was one of the day's."""

    at: datetime
    spin_id: str
    player_id: str
    wheel: str
    nonce: int
    drawn: int
    prize: RewardBase | None
    instead: str | None
    given_by: str | None

    @property
    def told(self) -> dict[str, JsonValue]:
        """What the run is told that gave the spin."""
        prize = None if self.prize is None else self.prize.model_dump(mode="json")
        return {"spin_id": self.spin_id, "prize": prize}


@dataclass(slots=True)
class Chance:
    """What chance brought in a world of this seed."""

    seed: int
    spins: list[SpinRecord] = field(default_factory=list)
    tickets: list[tuple[str, TicketsGiven]] = field(default_factory=list)


@dataclass(slots=True)
class ShadowRunRecord:
    """One run that a shadow plays beside a live one. `step` is the last one that had an effect."""

    run_id: str
    player_id: str
    journey: str
    version: int
    beside: str
    ended_at: datetime | None = None
    outcome: str | None = None
    step: str | None = None


@dataclass(frozen=True, slots=True)
class WithheldRecord:
    """What a step of a shadow run would have come to, or a line of its story."""

    at: datetime
    run_id: str
    step: str
    outcome: str
    detail: Mapping[str, JsonValue]


@dataclass
class LearnedRecords:
    """Who was drawn into which arm, experiments that are not as usual, and the newest word on each score."""

    #: By experiment, version and player.
    assignments: dict[tuple[str, int, str], DrawnArm] = field(default_factory=dict)
    experiments: dict[tuple[str, int], ExperimentStanding] = field(default_factory=dict)
    #: By player and score.
    scores: dict[tuple[str, str], ScoreChanged] = field(default_factory=dict)
