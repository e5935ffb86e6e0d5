"""The world in memory: players, the gate, messages, rewards, tasks, and the clock they share with the runs.

It implements the effects contract of `workflows/effects.py` and asks the same pure functions as production:
`PlayerState` decides who enters, wakes and stops, `policy` decides what may be sent and granted.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

from pydantic import BaseModel, JsonValue

from stage.errors import StageError
from stage.temporal import Call, VirtualTemporal
from workflows.effects import (
    EFFECTS,
    Batch,
    Channel,
    Done,
    EffectInput,
    End,
    Give,
    GiveResult,
    Item,
    Mark,
    MoveTask,
    OpenTask,
    PlayerFacts,
    Refresh,
    RunInput,
    Send,
    SendResult,
    Started,
    StartJourney,
    TaskMoved,
    TaskOpened,
)
from workflows.events import Event, MessageClass
from workflows.gate import facts_of
from workflows.policy import (
    NECESSARY,
    WEEK,
    Allowed,
    Contact,
    GateFacts,
    GrantFacts,
    MessageFacts,
    Policy,
    Refused,
    Wait,
    may_grant,
    may_send,
)
from workflows.registry import Registry
from workflows.state import Decision, Ended, GoalReached, Mode, PlayerState, Rules, Start, Stop, Wake

BRAND = "stage"
EVERYWHERE: frozenset[Channel] = frozenset({"email", "sms", "push", "in_app"})


@dataclass(frozen=True)
class TemplateFacts:
    """What the gate must know of a template; the words are nobody's business on the stage."""

    message_class: MessageClass = "marketing"
    suppress_if_active_today: bool = False


@dataclass
class RunRecord:
    """One run, of either arm, as it went."""

    run_id: str
    player_id: str
    journey: str
    arm: str
    entered_at: datetime
    ended_at: datetime | None = None
    outcome: str | None = None
    goal_at: datetime | None = None


@dataclass(frozen=True)
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


@dataclass(frozen=True)
class GrantRecord:
    """One reward, given or not."""

    at: datetime
    run_id: str
    player_id: str
    journey: str
    step: str
    kind: str
    reward: BaseModel
    status: Literal["confirmed", "refused"]
    reason: str | None


@dataclass
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
    state: str = "open"
    answer: dict[str, JsonValue] | None = None
    closed_at: datetime | None = None


@dataclass(frozen=True)
class StoryRecord:
    """One line of a run's story."""

    at: datetime
    run_id: str
    step: str
    outcome: str
    detail: Mapping[str, JsonValue]


class Faults(Protocol):
    """Provider faults on demand: raise to fail this attempt, return to let it pass."""

    def __call__(self, call: Call, given: EffectInput) -> None:
        """Decide about one attempt of one effect."""


#: A person's answer to a task, and how long it takes; None when nobody answers.
Answer = tuple[timedelta, Mapping[str, JsonValue]] | None
Answers = Callable[[TaskRecord, OpenTask], Answer]


def nobody(_task: TaskRecord, _asked: OpenTask) -> Answer:
    """The policy of a team that answers nothing."""
    return None


class World:
    """A casino of its own, at a moment of its own.

    `templates` says what class each template is; an unknown one is an error. `control` overrides every
    journey's control share, in percent. `on_effect` hears every effect with its input and its result.
    """

    def __init__(
        self,
        registry: Registry,
        templates: Mapping[str, TemplateFacts],
        now: datetime,
        *,
        policy: Policy | None = None,
        answers: Answers = nobody,
        faults: Faults | None = None,
        control: int | None = None,
        seed: int = 0,
        on_effect: Callable[[datetime, str, EffectInput, BaseModel], None] | None = None,
    ) -> None:
        self.registry = registry if control is None else with_control(registry, control)
        self.rules = Rules(self.registry.journeys)
        self.templates = templates
        self.policy = policy or Policy()
        self.answers = answers
        self.players: dict[str, PlayerState] = {}
        self.addresses: dict[str, frozenset[Channel]] = {}
        self.runs: dict[str, RunRecord] = {}
        self.messages: list[MessageRecord] = []
        self.grants: list[GrantRecord] = []
        self.tasks: dict[str, TaskRecord] = {}
        self.story: list[StoryRecord] = []
        self.temporal = VirtualTemporal(self.registry.workflows, self._perform, now, seed=seed)
        self._faults = faults
        self._on_effect = on_effect
        self._settled: dict[str, dict[Channel, MessageRecord]] = {}
        self._contacts: dict[str, list[Contact]] = {}
        self._granted: dict[str, GrantRecord] = {}
        self._tasks_of: dict[str, list[TaskRecord]] = {}
        self._ticks: dict[str, datetime] = {}
        self._effects = {effect.name: effect for effect in EFFECTS}
        self._performers: dict[str, Callable[[Any], BaseModel]] = {
            "send": self._send,
            "grant": self._grant,
            "open_task": self._open_task,
            "move_task": self._move_task,
            "refresh": self._refresh,
            "start": self._start,
            "mark": self._mark,
            "end": self._end,
        }

    @property
    def now(self) -> datetime:
        """The present of everything in this world."""
        return self.temporal.now

    # ---- what happens to players ---------------------------------------------------------------

    def player(self, player_id: str) -> PlayerState:
        """The player's state; an unknown one is made, as intake does."""
        if player_id not in self.players:
            self.players[player_id] = PlayerState(BRAND, player_id)
        return self.players[player_id]

    def happen(self, player_id: str, *events: Event, mode: Mode = "live") -> None:
        """Events reach intake now, as one batch."""
        state = self.player(player_id)
        decisions: list[Decision] = []
        for event in events:
            decisions += state.advance(event, self.rules, self.now, mode=mode)
        self._carry_out(state, decisions)

    def enter(self, player_id: str, journey: str, trigger: Event | None) -> str | None:
        """Let a player into a journey as if `trigger` had started it; the run, or None if the rules refuse."""
        state = self.player(player_id)
        decisions = state.enter(self.registry.journeys[journey], trigger, self.now)
        self._carry_out(state, decisions)
        return next((d.run_id for d in decisions if isinstance(d, Start)), None)

    def answer(self, task: TaskRecord, answer: Mapping[str, JsonValue]) -> bool:
        """A person completes a task now; False if it is closed already."""
        if task.state != "open":
            return False
        form = self.registry.forms[task.journey].get(task.form)
        if form is not None:
            form.model_validate(dict(answer))
        task.state, task.answer, task.closed_at = "completed", dict(answer), self.now
        seq = self.player(task.player_id).next_seq(task.run_id)
        if seq is not None:
            self._deliver(task.run_id, [Item(seq=seq, kind="answer", step=task.step, answer=dict(answer))])
        return True

    def advance_to(self, until: datetime) -> None:
        """Let time pass."""
        self.temporal.advance_to(until)

    def finish(self) -> None:
        """Let time pass until nothing more is due."""
        while self.temporal.next_moment is not None:
            self.temporal.step()

    # ---- decisions -----------------------------------------------------------------------------

    def _carry_out(self, state: PlayerState, decisions: Iterable[Decision]) -> None:
        deliveries: dict[str, list[Item]] = {}
        starts: list[tuple[Start, PlayerFacts]] = []
        for decision in decisions:
            match decision:
                case Start():
                    self.runs[decision.run_id] = RunRecord(
                        decision.run_id, state.player_id, decision.journey, decision.arm, decision.entered_at
                    )
                    if decision.refused is not None:
                        self._close(decision.run_id, decision.entered_at, f"refused:{decision.refused}")
                    elif decision.arm == "treated":
                        starts.append((decision, state.snapshot()))
                case Wake():
                    wire = decision.event.redacted().to_wire()
                    deliveries.setdefault(decision.run_id, []).append(Item(seq=decision.seq, kind="event", event=wire))
                case Stop():
                    deliveries.setdefault(decision.run_id, []).append(
                        Item(seq=decision.seq, kind="stop", reason=decision.reason)
                    )
                case GoalReached():
                    self.runs[decision.run_id].goal_at = decision.at
                case Ended():
                    self._close(decision.run_id, decision.at, decision.outcome)
        for start, facts in starts:
            self._begin(start, facts)
        for run_id, items in deliveries.items():
            self._deliver(run_id, items)
        self._tick_later(state)

    def _begin(self, start: Start, facts: PlayerFacts) -> None:
        given = RunInput(
            run_id=start.run_id,
            brand=BRAND,
            player_id=facts.player_id,
            journey=start.journey,
            entered_at=start.entered_at,
            ends_at=start.ends_at,
            trigger=None if start.trigger is None else start.trigger.redacted().to_wire(),
            facts=facts,
        )
        # Dispatch comes after the transaction: never inside whatever decided the start.
        self.temporal.at(self.now, lambda: self.temporal.start(start.journey, start.run_id, given))

    def _deliver(self, run_id: str, items: Sequence[Item]) -> None:
        batch = Batch(items=list(items))

        def signal() -> None:
            self.temporal.signal(run_id, "deliver", batch)

        self.temporal.at(self.now, signal)

    def _close(self, run_id: str, at: datetime, outcome: str) -> None:
        record = self.runs[run_id]
        record.ended_at, record.outcome = at, outcome

    def _tick_later(self, state: PlayerState) -> None:
        moment = state.next_moment
        if moment is None or self._ticks.get(state.player_id) == moment:
            return
        self._ticks[state.player_id] = moment

        def tick() -> None:
            if self._ticks.get(state.player_id) == moment:
                del self._ticks[state.player_id]
                self._carry_out(state, state.tick(self.rules, self.now))

        self.temporal.at(moment, tick)

    # ---- effects -------------------------------------------------------------------------------

    def _perform(self, call: Call) -> BaseModel:
        effect = self._effects[call.name]
        given: EffectInput = call.decode(effect.input)
        if self._faults is not None:
            self._faults(call, given)
        for line in given.story:
            self.story.append(StoryRecord(line.at, given.run_id, line.step, line.outcome, line.detail))
        result = self._performers[call.name](given)
        if self._on_effect is not None:
            self._on_effect(self.now, call.name, given, result)
        return result

    def _tell(self, given: EffectInput, outcome: str, **detail: JsonValue) -> None:
        self.story.append(StoryRecord(self.now, given.run_id, given.step, outcome, detail))

    def _facts(self, player_id: str) -> GateFacts | None:
        state = self.players.get(player_id)
        if state is None:
            return None
        contacts = [c for c in self._contacts.get(player_id, ()) if c.at > self.now - WEEK]
        self._contacts[player_id] = contacts
        addresses = self.addresses.get(player_id, EVERYWHERE)
        return facts_of(state, addresses=addresses, contacts=contacts, now=self.now)

    def _send(self, given: Send) -> SendResult:
        settled = self._settled.setdefault(given.key, {})
        waits: dict[Channel, datetime] = {}
        for channel in given.via:
            self._try(given, channel, settled, waits)
        for channel in given.fallback:
            if waits or any(message.suppressed is None for message in settled.values()):
                break
            self._try(given, channel, settled, waits)
        result = SendResult(
            sent=[channel for channel, message in settled.items() if message.suppressed is None],
            suppressed={c: message.suppressed for c, message in settled.items() if message.suppressed is not None},
            wait_until=min(waits.values(), default=None),
        )
        if result.wait_until is None:
            del self._settled[given.key]
        outcome = "waiting" if result.wait_until else "sent" if result.sent else "suppressed"
        self._tell(given, outcome, template=given.template, channels=list(settled))
        return result

    def _try(
        self,
        given: Send,
        channel: Channel,
        settled: dict[Channel, MessageRecord],
        waits: dict[Channel, datetime],
    ) -> None:
        if channel in settled:
            return
        template = self.templates.get(given.template)
        if template is None:
            raise StageError(
                f"{given.journey} sends {given.template}, which is no template here; it has "
                f"{', '.join(sorted(self.templates))}."
            )
        asked = MessageFacts(
            channel=channel,
            message_class=template.message_class,
            step=given.key,
            suppress_if_active_today=template.suppress_if_active_today,
        )
        decision = may_send(self._facts(given.player_id), asked, self.policy, self.now)
        if isinstance(decision, Wait):
            waits[channel] = decision.until
            return
        settled[channel] = record = MessageRecord(
            at=self.now,
            run_id=given.run_id,
            player_id=given.player_id,
            journey=given.journey,
            step=given.step,
            template=given.template,
            channel=channel,
            message_class=template.message_class,
            suppressed=str(decision.reason) if isinstance(decision, Refused) else None,
            variables=given.variables,
        )
        self.messages.append(record)
        if isinstance(decision, Allowed) and template.message_class not in NECESSARY:
            self._contacts.setdefault(given.player_id, []).append(Contact(self.now, channel, given.key))

    def _grant(self, given: Give) -> GiveResult:
        if given.key not in self._granted:
            decision = may_grant(self._facts(given.player_id), GrantFacts.of(given.reward), self.policy, self.now)
            refused = isinstance(decision, Refused)
            record = GrantRecord(
                at=self.now,
                run_id=given.run_id,
                player_id=given.player_id,
                journey=given.journey,
                step=given.step,
                kind=given.reward.kind,
                reward=given.reward,
                status="refused" if refused else "confirmed",
                reason=str(decision.reason) if isinstance(decision, Refused) else None,
            )
            self._granted[given.key] = record
            self.grants.append(record)
            self._tell(given, record.status, kind=record.kind, reason=record.reason)
        known = self._granted[given.key]
        return GiveResult(status=known.status, grant_id=given.key, reason=known.reason)

    def _open_task(self, given: OpenTask) -> TaskOpened:
        task_id = hashlib.sha256(given.key.encode()).hexdigest()[:24]
        if task_id not in self.tasks:
            task = self.tasks[task_id] = TaskRecord(
                task_id=task_id,
                run_id=given.run_id,
                player_id=given.player_id,
                journey=given.journey,
                step=given.step,
                form=given.form,
                team=given.team,
                reason=given.reason,
                opened_at=self.now,
                due_at=given.due_at,
                escalate_to=given.escalate_to,
            )
            self._tasks_of.setdefault(given.run_id, []).append(task)
            self._tell(given, "opened", task_id=task_id, team=given.team)
            answer = self.answers(task, given)
            if answer is not None:
                after, filled_in = answer

                def complete() -> None:
                    self.answer(task, filled_in)

                self.temporal.at(self.now + after, complete)
        return TaskOpened(task_id=task_id)

    def _move_task(self, given: MoveTask) -> TaskMoved:
        task = self.tasks[given.task_id]
        if task.state != "open":
            return TaskMoved(state=task.state, answer=task.answer)
        if given.move == "escalate":
            task.due_at = given.due_at or task.due_at
            task.team = task.escalate_to or task.team
        elif given.move == "expire":
            task.state, task.closed_at = "expired", self.now
        self._tell(given, given.move)
        return TaskMoved(state=task.state)

    def _refresh(self, given: Refresh) -> PlayerFacts:
        self._tell(given, "refreshed")
        return self.player(given.player_id).snapshot()

    def _start(self, given: StartJourney) -> Started:
        journey = self.registry.journeys.get(given.start)
        if journey is None:
            return Started(refused=f"No journey is called {given.start}.")
        state = self.player(given.player_id)
        decisions = state.enter(journey, None, self.now, {"type": "run", "id": given.key, "source": given.run_id})
        self._carry_out(state, decisions)
        start = next((d for d in decisions if isinstance(d, Start)), None)
        if start is None:
            result = Started(refused="The entry rule of the journey does not allow it now.")
        else:
            result = Started(new_run_id=start.run_id, refused=start.refused)
        self._tell(given, "started" if start else "refused", **result.model_dump())
        return result

    def _mark(self, given: Mark) -> Done:
        self._tell(given, "marked", **given.detail)
        return Done()

    def _end(self, given: End) -> Done:
        state = self.player(given.player_id)
        state.end(given.run_id, self.now)
        self._close(given.run_id, self.now, given.outcome)
        for task in self._tasks_of.pop(given.run_id, ()):
            if task.state == "open":
                task.state, task.closed_at = "cancelled", self.now
        self._tell(given, given.outcome, **given.detail)
        self._tick_later(state)
        return Done()


def with_control(registry: Registry, percent: int) -> Registry:
    """The same journeys with another share of players in their control arms."""
    return replace(registry, journeys={n: replace(j, control=percent) for n, j in registry.journeys.items()})
