"""The contract of every side effect: name, input, output, time limit, retries, urgency and provider, in one place.

`activities/` implements each on the real world and the stage implements each in memory. A journey
reaches nothing else.
"""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Generic, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, Field, JsonValue

from workflows.channels import CHANNELS, Channel
from workflows.effect_input import EffectInput as EffectInput  # noqa: PLC0414 - what is declared here is made of it
from workflows.effect_queues import Provider, Urgency
from workflows.effect_retries import UNTIL_THE_WORLD_ANSWERS, Retries
from workflows.errors import DesignError
from workflows.events.compliance import MOST_PAUSED
from workflows.experiment_draw import ArmAssigned
from workflows.field_types import Seconds
from workflows.local_time import jitter
from workflows.player_facts import PlayerFacts, ScoreRead
from workflows.revocation import Revoke, RevokeResult
from workflows.rewards import Reward, RewardBase
from workflows.send_choices import Choose, Chosen

TaskMove = Literal["remind", "escalate", "expire"]
I = TypeVar("I", bound=BaseModel)  # noqa: E741 - the contract's input
O = TypeVar("O", bound=BaseModel)  # noqa: E741 - and output


#: The type of the error with which an effect is refused to a run that is over in the books, and that run's outcome.
RUN_OVER: Final = "run_over"


class Question(BaseModel):
    """What a message asks its player: the template says what, and how it is answered."""

    #: What it is about, as the answer says it: a kind of reward, a game.
    about: str | None = Field(None, max_length=64)


class Send(EffectInput):
    """Render `template` and hand it over on `via`; on `fallback` one by one if none may go."""

    template: str
    via: list[Channel]
    fallback: list[Channel] = Field(default_factory=list)
    variables: dict[str, JsonValue] = Field(default_factory=dict)
    #: The channel whose provider this effect may call: the others are left to effects in their own providers' queues.
    #: None, as runs asked before providers had queues: it calls every one.
    turn: Channel | None = None
    #: Channels that have had their turn since the step, or the wait for its morning, began.
    tried: list[Channel] = Field(default_factory=list)
    #: When the step began, and when the designer takes the message for too late; None: what its class says.
    asked_at: AwareDatetime | None = None
    by: AwareDatetime | None = None
    #: How long after the end of the night it may go at the latest.
    jitter: timedelta = timedelta(0)
    #: The grant that the message tells of: its value, its terms and its end are written from that.
    offer: str | None = None
    #: What it asks, where it is a survey.
    survey: Question | None = None
    #: How its channel or its hour was chosen, where that was.
    choice: Chosen | None = None

    @property
    def delay(self) -> timedelta:
        """How long after the end of the night it goes, which is the run's own."""
        return jitter(self.run_id, self.jitter)

    @property
    def chosen(self) -> dict[str, JsonValue]:
        """What is kept of a choice with what the gate said; nothing where there was none."""
        return {} if self.choice is None else {"choice": self.choice.model_dump(mode="json")}

    @property
    def had_turns(self) -> list[Channel]:
        """Every channel that has its turn behind it when this effect is over."""
        return self.tried if self.turn is None else [*self.tried, self.turn]

    @property
    def provider(self) -> Provider | None:
        """Whoever takes messages of the channel whose turn it is."""
        return None if self.turn is None else CHANNELS[self.turn].provider


#: A channel that has failed for so long lets the others of its message pass again.
HAND_ON_AFTER: Final = timedelta(minutes=10)

SendOutcome = Literal["sent", "suppressed", "waiting"]


class SendResult(BaseModel):
    """What became of a message so far.

    `next_turn` set means: ask again at once in that channel's queue. `wait_until` set means: quiet hours, ask then.
    """

    sent: list[Channel] = Field(default_factory=list)
    suppressed: dict[str, str] = Field(default_factory=dict)
    wait_until: AwareDatetime | None = None
    next_turn: Channel | None = None

    @property
    def outcome(self) -> SendOutcome:
        """What the step came to, in the story."""
        return "waiting" if self.wait_until else "sent" if self.sent else "suppressed"

    def story_detail(self, template: str, channels: dict[str, JsonValue]) -> dict[str, JsonValue]:
        """What the story keeps of the step; `channels` says of each what became of it."""
        until: dict[str, JsonValue] = {"until": self.wait_until.isoformat()} if self.wait_until else {}
        return {"template": template, "channels": channels, **until}


#: A grant that stays unanswered for so long is `unknown`, and a person reconciles it.
GRANT_UNKNOWN_AFTER: Final = timedelta(minutes=15)
NEVER_ANSWERED: Final = "the bonus engine never answered"


class Give(EffectInput):
    """Grant `reward` once, through the bonus engine."""

    reward: Reward
    #: Whether a person has let it pass beyond what budgets allow; the rest of the gate is asked all the same.
    approved: bool = False

    @property
    def provider(self) -> Provider:
        """The bonus engine."""
        return "bonus_engine"


class GiveResult(BaseModel):
    """What became of a grant. `unknown` means the engine never answered: a person reconciles."""

    status: Literal["confirmed", "refused", "unknown"]
    grant_id: str
    reason: str | None = None
    #: The engine's own name for it, by which its events may speak of it.
    provider_ref: str | None = None


class Award(EffectInput):
    """Give once what loyalty settles itself, such as points; no bonus engine hears of it.

    What the currency says of their end travels along; one known `by_name` alone is as the program declares it.
    """

    reward: Reward
    currency: str = ""
    expires: Seconds | None = None
    by_name: bool = False


class AwardResult(BaseModel):
    """What became of an award; `reason` names the rule of the gate that spoke against it.

    `since` and `until` are the time in which points count more, where that was given.
    """

    status: Literal["awarded", "withheld"]
    reason: str | None = None
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None

    @classmethod
    def of(cls, reward: RewardBase, reason: str | None, now: datetime) -> "AwardResult":
        """What an award comes to that is given `now`, or was refused for a reason."""
        if reason is not None:
            return cls(status="withheld", reason=reason)
        boost = reward.boost
        return cls(status="awarded") if boost is None else cls(status="awarded", since=now, until=now + boost.lasts)


class OfferSpin(EffectInput):
    """Give the player one spin of a wheel, good until a moment; what they spin is told to this step as its answer."""

    wheel: str
    until: AwareDatetime
    by_name: bool = False


class CloseSpin(EffectInput):
    """Take back the spin that this step gave, for its time is over."""


class SpinGiven(BaseModel):
    """What a spin came to: the rule of the gate against it, what was spun where the player came first, or neither."""

    reason: str | None = None
    spun: dict[str, JsonValue] | None = None


class PausePromotions(EffectInput):
    """Sell and give the player nothing for so many hours from now on."""

    hours: int = Field(ge=1, le=MOST_PAUSED)
    #: The designer's words; they travel, so no personal ones.
    why: str


class PausedUntil(BaseModel):
    """Until when promotions are paused now; a longer pause from before stays."""

    until: AwareDatetime


def task_id_of(key: str) -> str:
    """The id of the task that the effect with this key opens."""
    return hashlib.sha256(key.encode()).hexdigest()[:24]


class OpenTask(EffectInput):
    """Ask people to fill in a form."""

    form: str
    question: str
    form_schema: dict[str, Any]
    team: str
    skill: str | None = None
    #: Forms of which this run has asked before: who answered one of them may not answer this.
    not_by: list[str] = Field(default_factory=list)
    #: How many people must give the same answer.
    approvals: int = 1
    reason: str = ""
    forbidden: list[str] = Field(default_factory=list)
    priority: int = 50
    opened_at: AwareDatetime | None = None
    due_at: AwareDatetime
    escalate_to: str | None = None
    facts: PlayerFacts

    @property
    def task_id(self) -> str:
        """The id of the task it opens: derived, so that a second attempt finds the first."""
        return task_id_of(self.key)


class TaskOpened(BaseModel):
    """The task as it was opened; its id is derived from the effect's key.

    Its times come back with it, so that they stand in the run's history: a release that changes them changes nothing
    for a task that people were given already. Where `opened_at` is None an older release opened it.
    """

    task_id: str
    opened_at: AwareDatetime | None = None
    due_at: AwareDatetime | None = None
    escalate_to: str | None = None

    @classmethod
    def of(cls, opening: OpenTask) -> "TaskOpened":
        """What the effect answers."""
        return cls(
            task_id=opening.task_id,
            opened_at=opening.opened_at,
            due_at=opening.due_at,
            escalate_to=opening.escalate_to,
        )

    @property
    def moves(self) -> list[tuple[datetime, TaskMove, datetime | None]]:
        """What happens to it while nobody answers: when, what, and until when it has time then."""
        assert self.opened_at is not None
        assert self.due_at is not None
        length = self.due_at - self.opened_at
        remind: tuple[datetime, TaskMove, None] = (self.opened_at + length / 2, "remind", None)
        if self.escalate_to is None:
            return [remind, (self.due_at, "expire", None)]
        last = self.due_at + length
        return [remind, (self.due_at, "escalate", last), (last, "expire", None)]


class MoveTask(EffectInput):
    """Remind, escalate or expire an open task when its time has come."""

    task_id: str
    move: TaskMove
    due_at: AwareDatetime | None = None


class TaskMoved(BaseModel):
    """Whether the task was still open; an answer that came first wins."""

    state: str
    answer: dict[str, JsonValue] | None = None


class AssignArm(EffectInput):
    """Put the player into an arm of an experiment, once for ever; `arms` are the planned shares in percent."""

    experiment: str
    experiment_version: int
    arms: dict[str, int]


class ReadScore(EffectInput):
    """Read a score of the player."""

    score: str


class Refresh(EffectInput):
    """Read the player's facts again."""


class StartJourney(EffectInput):
    """Enter the player into another journey, entry rules respected."""

    start: str

    @property
    def cause(self) -> dict[str, str]:
        """What began the new run, as it is kept with it."""
        return {"type": "run", "id": self.key, "source": self.run_id}

    @property
    def unknown_journey(self) -> "Started":
        """The answer where no journey of that name is deployed."""
        return Started(refused=f"No journey is called {self.start}.")

    @property
    def closed_journey(self) -> "Started":
        """The answer while the journey lets nobody in."""
        return Started(refused=f"{self.start} is closed: nobody enters it now.")


StartOutcome = Literal["started", "refused"]


class Started(BaseModel):
    """The new run, or why there is none."""

    new_run_id: str | None = None
    refused: str | None = None

    @property
    def outcome(self) -> StartOutcome:
        """What the step came to, in the story."""
        return "refused" if self.refused else "started"


class Match(EffectInput):
    """Ask whether the player is in a segment at this moment."""

    segment: str


class Matched(BaseModel):
    """The answer; `unknown` when no segment of that name is deployed."""

    matches: bool
    unknown: bool = False


class ReadValue(EffectInput):
    """Ask for what a measure says about the player at this moment, or in the period of it that ended last."""

    measure: str
    previous: bool = False
    to_protect: bool = False  # then an objection to profiling does not end it


class ValueRead(BaseModel):
    """The value; of a measure of what is usual, or of a pattern, also the rest of what is known of it."""

    value: int
    p95: int = 0
    deviation: int = 0
    values: int = 0
    #: Of a pattern: whether there is enough to tell, what it changed to, and what is seen, in a sentence.
    known: bool = False
    to: str | None = None
    why: str | None = None


class Mark(EffectInput):
    """Keep the story so far, with a marker for funnels."""

    name: str
    detail: dict[str, JsonValue] = Field(default_factory=dict)
    #: The release that the run plays from here on, where the engine tells the books that it has moved.
    arrived: int | None = None


class Webhook(EffectInput):
    """Tell other systems something by an outgoing event of the journey's own."""

    name: str
    given: dict[str, JsonValue] = Field(default_factory=dict)

    @property
    def told(self) -> dict[str, JsonValue]:
        """The data of the event."""
        return {"journey": self.journey, "run_id": self.run_id, "step": self.step, "given": self.given}


class End(EffectInput):
    """Record that the run is over and let the player in again; cancels its open tasks."""

    outcome: str
    detail: dict[str, JsonValue] = Field(default_factory=dict)


class Withhold(EffectInput):
    """An effect that a shadow run asks for: answered as it would probably come out, written down, and not done."""

    #: The live run that the shadow run is compared with.
    beside: str
    #: Which effect, and its input.
    effect: str
    request: dict[str, JsonValue]

    @classmethod
    def of(cls, effect: str, request: EffectInput, beside: str) -> "Withhold":
        """An effect withheld. Its story goes with this one, and is stored once."""
        given = {name: getattr(request, name) for name in EffectInput.model_fields}
        return cls(**given, beside=beside, effect=effect, request=request.model_dump(mode="json", exclude={"story"}))


class Withheld(BaseModel):
    """What the withheld effect answers, as JSON of its own output."""

    answer: dict[str, JsonValue]


class Done(BaseModel):
    """The effect happened; there is nothing more to say."""


class Held(BaseModel):
    """Nothing happened, because somebody holds the journey: the run is told when to ask again.

    Any effect may answer so instead of with its own output, which therefore has no field `held`.
    """

    held: Literal[True] = True


@dataclass(frozen=True)
class Effect(Generic[I, O]):
    """A declared side effect.

    `time_limit` bounds one attempt. There is no limit over all attempts: a run waits for the
    world to come back, and a stop reaches it at the next step. `urgency` says what it goes before
    in its queue; of a message the class of its template decides. While a journey is held, an effect that is
    `holdable` is not done; what only keeps the books, or looks after a task that is open already, is.
    """

    name: str
    input: type[I]
    output: type[O]
    urgency: Urgency = Urgency.REWARD
    time_limit: timedelta = timedelta(seconds=30)
    retries: Retries = UNTIL_THE_WORLD_ANSWERS
    holdable: bool = True

    def read(self, answer: Mapping[str, JsonValue]) -> O | Held:
        """What the effect answered, from its JSON."""
        return Held() if answer.get("held") is True else self.output.model_validate(answer)


CHOOSE = Effect("choose", Choose, Chosen, holdable=False)
SEND = Effect("send", Send, SendResult, Urgency.MARKETING)
GRANT = Effect("grant", Give, GiveResult, Urgency.REWARD)
REVOKE = Effect("revoke", Revoke, RevokeResult, Urgency.SERVICE)
AWARD = Effect("award", Award, AwardResult, Urgency.REWARD)
OFFER_SPIN = Effect("offer_spin", OfferSpin, SpinGiven, Urgency.REWARD)
CLOSE_SPIN = Effect("close_spin", CloseSpin, SpinGiven, Urgency.REWARD, holdable=False)
PAUSE_PROMOTIONS = Effect("pause_promotions", PausePromotions, PausedUntil, Urgency.PROTECTION, holdable=False)
OPEN_TASK = Effect("open_task", OpenTask, TaskOpened, Urgency.SERVICE)
MOVE_TASK = Effect("move_task", MoveTask, TaskMoved, Urgency.SERVICE, holdable=False)
REFRESH = Effect("refresh", Refresh, PlayerFacts)
START = Effect("start", StartJourney, Started)
MATCH = Effect("match", Match, Matched)
READ_SCORE = Effect("score", ReadScore, ScoreRead)
ASSIGN = Effect("assign", AssignArm, ArmAssigned)
READ_VALUE = Effect("value", ReadValue, ValueRead)
MARK = Effect("mark", Mark, Done, holdable=False)
WEBHOOK = Effect("webhook", Webhook, Done, Urgency.SERVICE)
END = Effect("end", End, Done, Urgency.PROTECTION, holdable=False)
#: Instead of every other one, in a shadow run.
WITHHOLD = Effect("withhold", Withhold, Withheld, Urgency.BULK, holdable=False)

EFFECTS: tuple[Effect[Any, Any], ...] = tuple(value for value in globals().values() if isinstance(value, Effect))


def match_performers(names: Collection[str], place: str) -> None:
    """Raise a `DesignError` for each effect that has no performer in `place` and each performer without an effect.

    An effect that nobody performs would be tried for ever, and its run would stand still without a word.
    """
    effects = {effect.name for effect in EFFECTS}
    mistakes = [f"Nothing in {place} performs the effect {name}; write what does." for name in effects - {*names}]
    mistakes += [f"{place} performs {name}, which is no effect; declare it or drop it." for name in {*names} - effects]
    if mistakes:
        raise DesignError("\n".join(sorted(mistakes)))
