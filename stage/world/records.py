"""What is kept of everything that happened in a world: runs, messages, rewards, tasks, stories."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from pydantic import JsonValue

from workflows.channels import Channel
from workflows.events import Event, MessageClass, ScoreChanged
from workflows.experiment_draw import DrawnArm, ExperimentStanding
from workflows.gate.policy import NECESSARY
from workflows.gate.send_choice import HEARD_AFTER, HEARD_WITHIN, Heard
from workflows.player_state.decisions import Arm, GrantStage, MessageReached, TicketsGiven
from workflows.rewards import RewardBase
from workflows.send_choices import Chosen


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
    #: How its channel or its hour was chosen, where that was.
    choice: Chosen | None = None


@dataclass(slots=True)
class ChannelRecords:
    """What went out to each player on each channel, and what of it was opened and followed by a person."""

    sent: dict[str, list[tuple[str, Channel, datetime]]] = field(default_factory=dict)
    opened: set[str] = field(default_factory=set)
    followed: set[str] = field(default_factory=set)

    def note(self, message: MessageRecord) -> None:
        """Keep a message that went out, if it is one that sells or asks."""
        if message.suppressed is None and message.message_class not in NECESSARY:
            name = f"{message.run_id}/{message.step}/{message.channel}"
            self.sent.setdefault(message.player_id, []).append((name, message.channel, message.at))

    def reach(self, told: MessageReached) -> None:
        """Keep what a provider told; what a machine did is nobody's."""
        if told.machine or told.status not in {"opened", "clicked"}:
            return
        for name in (told.message_id, f"{told.message_id}/{told.channel}"):
            self.opened.add(name)
            if told.status == "clicked":
                self.followed.add(name)

    def heard(self, player_id: str, now: datetime) -> dict[Channel, Heard]:
        """What choices are made from."""
        found: dict[Channel, Heard] = {}
        for name, channel, at in self.sent.get(player_id, ()):
            if HEARD_AFTER <= now - at < HEARD_WITHIN:
                before = found.get(channel, Heard(0))
                opened, followed = before.opened + (name in self.opened), before.followed + (name in self.followed)
                found[channel] = Heard(before.sent + 1, opened, followed)
        return found


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
    channels: ChannelRecords = field(default_factory=ChannelRecords)
    experiments: dict[tuple[str, int], ExperimentStanding] = field(default_factory=dict)
    #: By player and score.
    scores: dict[tuple[str, str], ScoreChanged] = field(default_factory=dict)
