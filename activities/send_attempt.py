"""One attempt at sending a message: what it knows, what it does about each channel, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from activities import gate_decisions, gate_facts
from activities.message_rows import GONE_OUT, IN_DOUBT, WAITING, MessageDraft, MessageRow
from activities.providers.adapter import ChannelUnavailable
from workflows.channels import Channel
from workflows.effects import Held, Send, SendResult
from workflows.gate.channel_plan import ChannelPlan
from workflows.gate.decision import Allowed, Refusal, Wait
from workflows.gate.facts import GateFacts

DoubtOutcome = Literal["arrived", "absent", "nobody_says"]


@dataclass
class SendAttempt:
    """One attempt at a message: what it knows at its start, and what it does about each channel."""

    request: Send
    now: datetime
    player: gate_facts.GatedPlayer | None
    plan: ChannelPlan
    rows: Mapping[Channel, MessageRow]
    #: What was found out about the rows in doubt; an error means to ask again.
    doubts: Mapping[Channel, DoubtOutcome | ChannelUnavailable]
    #: Messages of channels that are tried for the first time, to be inserted together.
    drafts: list[MessageDraft] = field(default_factory=list)
    #: Channels marked as handed over in this attempt, to be handed over after the commit.
    due: list[Channel] = field(default_factory=list)
    #: What the gate said about channels, where something follows from it.
    decided: list[gate_decisions.Decided] = field(default_factory=list)
    failed: ChannelUnavailable | None = None
    #: What is answered while somebody holds the journey; what has been handed over before is looked up all the same.
    held: Held | None = None
    #: The step's result, where there was nothing to hand over.
    result: SendResult | Held | None = None
    #: Whether others may have their turn again because this one has failed for long.
    patient: bool = True

    @property
    def facts(self) -> GateFacts | None:
        """What the gate knows of the player; None for one we never heard of."""
        return self.player.facts if self.player else None

    @property
    def next_turn(self) -> Channel | None:
        """Whose turn comes next. A channel that fails lets the others pass, once each in a while."""
        return self.plan.next_turn(self.request.had_turns, only_fresh=self.failed is not None and self.patient)

    def decide(self, channel: Channel, answer: Allowed | Refusal | Wait) -> None:
        """Keep what the gate says about a channel, to be written with what follows. A hold is not the gate's."""
        if self.held is None:
            self.decided.append(gate_decisions.Decided(f"{self.request.key}/{channel}", channel, answer))

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to this attempt: it is not to be made again."""
        return self.failed is None or self.next_turn is not None

    def outcome(self) -> SendResult:
        """What the step has come to so far."""
        final = {channel: row for channel, row in self.rows.items() if row.status not in (IN_DOUBT, WAITING)}
        return SendResult(
            sent=[channel for channel, row in final.items() if row.status in GONE_OUT],
            suppressed={
                channel: row.reason or row.status for channel, row in final.items() if row.status not in GONE_OUT
            },
            wait_until=self.plan.wait_until,
            next_turn=self.next_turn,
        )
