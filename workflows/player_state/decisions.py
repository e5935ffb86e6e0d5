"""What follows from an event: the decisions of `PlayerState.advance`, to be carried out by whoever asked."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from workflows.effects import Started
from workflows.events import Event
from workflows.loyalty.point_transfers import PointTransfer
from workflows.loyalty.tournament_scores import StandingDecision
from workflows.player_facts import PlayerFacts
from workflows.run_protocol import ENGINE, RunInput

Arm = Literal["treated", "control"]
#: How far a reward has come since it was given; each is further than those before it.
GrantStage = Literal[
    "offered", "claimed", "active", "wagering", "failed", "expired", "revoked", "forfeited", "lost", "completed"
]


@dataclass(frozen=True)
class Start:
    """A player enters a journey, which is played in either arm. `refused` says why it is not although it counts."""

    run_id: str
    journey: str
    arm: Arm
    entered_at: datetime
    ends_at: datetime
    goal_until: datetime | None
    trigger: Event | None
    refused: str | None = None
    cause: dict[str, str] | None = None
    #: The release of the journey that the run plays.
    version: int = 0
    #: The probability with which the player came into the arm.
    arm_share: float = 1.0
    #: The segments the player was in.
    segments: tuple[str, ...] = ()

    def run_input(self, brand: str, facts: PlayerFacts) -> RunInput:
        """The input of the run; personal data in the trigger stays behind."""
        return RunInput(
            run_id=self.run_id,
            brand=brand,
            player_id=facts.player_id,
            journey=self.journey,
            entered_at=self.entered_at,
            ends_at=self.ends_at,
            trigger=None if self.trigger is None else self.trigger.redacted().to_wire(),
            facts=facts,
            version=self.version,
            engine=ENGINE,
        )


@dataclass(frozen=True)
class ShadowStart:
    """A shadow run begins beside a run that begins, with another release of its journey."""

    run_id: str
    shadow_id: int
    version: int
    beside: Start

    def run_input(self, brand: str, facts: PlayerFacts) -> RunInput:
        """The input of the shadow run: what the live one is begun with."""
        mine = {"run_id": self.run_id, "version": self.version, "beside": self.beside.run_id}
        return self.beside.run_input(brand, facts).model_copy(update=mine)


@dataclass(frozen=True)
class Wake:
    """A run receives an event, as its `seq`-th delivery."""

    run_id: str
    seq: int
    event: Event


@dataclass(frozen=True)
class Stop:
    """A run is to end."""

    run_id: str
    seq: int
    reason: str


@dataclass(frozen=True)
class Migrate:
    """A run is to move to another release, as its `seq`-th delivery; these steps on its way are done all the same."""

    run_id: str
    seq: int
    version: int
    do: tuple[str, ...] = ()


@dataclass(frozen=True)
class GoalReached:
    """The goal of a run, of either arm, happened within its time."""

    run_id: str
    at: datetime


@dataclass(frozen=True)
class Ended:
    """A run that was only tracked is over: one of the control arm, from before those were played."""

    run_id: str
    at: datetime
    outcome: str


@dataclass(frozen=True)
class Moved:
    """A player came into a segment, or left it."""

    segment: str
    entered: bool
    at: datetime


@dataclass(frozen=True)
class MessageReached:
    """A provider told how far a message to the player has come; told in any order, the furthest counts."""

    message_id: str
    channel: str
    status: str
    at: datetime
    #: Whether a machine did it: a filter that opens every mail, a scanner that follows every link.
    machine: bool = False


@dataclass
class GrantReached:
    """The bonus engine told how far a reward has come; None where it did not say. Money in minor units.

    Told in any order, the furthest stage counts, with what it cost; of each other figure what was told last.
    """

    grant_id: str
    stage: GrantStage
    at: datetime
    reason: str | None = None
    told_currency: str | None = None
    worth_minor: int | None = None
    wager_required_minor: int | None = None
    wagered_minor: int | None = None
    converted_minor: int | None = None


@dataclass(frozen=True)
class ReviewDue:
    """Signs of harm restrict the player, and a person is to judge: a task of this id opens in the same transaction."""

    task_id: str
    at: datetime
    #: "indicator/strength" and when it was seen, the oldest first. Empty: from before signs were dated.
    signs: tuple[tuple[str, datetime], ...]


@dataclass(frozen=True)
class RevokeOffers:
    """Rewards that the player was offered and has not taken yet are taken back."""

    reason: str
    at: datetime


@dataclass(frozen=True)
class TicketsGiven:
    """Tickets of a raffle's period came to the player; `ref` says what for."""

    raffle: str
    period: str
    count: int
    ref: str
    at: datetime


Decision = (
    Start
    | ShadowStart
    | Wake
    | Stop
    | Migrate
    | GoalReached
    | Ended
    | Moved
    | MessageReached
    | GrantReached
    | PointTransfer
    | ReviewDue
    | RevokeOffers
    | StandingDecision
    | TicketsGiven
)


def started_by(decisions: Iterable[Decision]) -> Started:
    """What a run that let the player into another journey is answered; `decisions` are those of the entry.

    A protected player's entry counts, and nothing is played: it is refused without a run.
    """
    start = next((decision for decision in decisions if isinstance(decision, Start)), None)
    if start is None:
        return Started(refused="The entry rule of the journey does not allow it now.")
    return Started(refused=start.refused) if start.refused else Started(new_run_id=start.run_id)
