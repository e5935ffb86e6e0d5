"""The world in memory: players, the gate, messages, rewards, tasks, and the clock they share with the runs.

It implements the effects contract of `workflows/effects.py` and asks the same pure functions as production:
`PlayerState` decides who enters, wakes and stops, `policy` decides what may be sent and granted.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Self

from pydantic import BaseModel, JsonValue, ValidationError
from temporalio.worker import WorkflowRunner

from content.template_files import TemplateFacts
from stage.errors import StageError
from stage.temporal.server import Latency, StageRun, VirtualTemporal, at_once
from stage.world.effects import EVERYWHERE, Effects
from stage.world.faults import Faults
from stage.world.records import GrantRecord, MessageRecord, RunRecord, StoryRecord, TaskRecord
from workflows.channels import Channel
from workflows.effects import EffectInput, OpenTask
from workflows.events import Event
from workflows.gate.policy import Policy
from workflows.player_state.decisions import Decision, Ended, GoalReached, Moved, Start, Stop, Wake
from workflows.player_state.state import Mode, PlayerState
from workflows.run_protocol import Delivery, DeliveryBatch
from workflows.source.registry import Registry

__all__ = [
    "BRAND",
    "EVERYWHERE",
    "Answer",
    "Answers",
    "Faults",
    "GrantRecord",
    "MessageRecord",
    "RunRecord",
    "StoryRecord",
    "TaskRecord",
    "World",
    "nobody",
    "with_control",
]

BRAND = "stage"

#: A person's answer to a task, and how long it takes; None when nobody answers.
Answer = tuple[timedelta, Mapping[str, JsonValue]] | None
Answers = Callable[[TaskRecord, OpenTask], Answer]


def nobody(_task: TaskRecord, _asked: OpenTask) -> Answer:
    """The policy of a team that answers nothing."""
    return None


class World:
    """A casino of its own, at a moment of its own.

    Args:
        registry: the journeys of this casino.
        templates: what class each template is; sending an unknown one is an error.
        now: the moment it begins at.
        policy: the numbers of the gate; the house's unless given.
        answers: how people answer tasks; nobody does unless given.
        faults: how providers fail; they never do unless given.
        latency: how long an attempt of an effect takes; no time unless given.
        control: every journey's control share in percent, instead of its own.
        seed: another one gives the runs another chance, where they use any.
        brand: a part of every run's id, so that arms and splits fall as for this brand in production.
        runner: how the SDK runs a journey; without its sandbox unless given.
        on_effect: hears every effect with its input and its result.

    A mistake in a journey's code is raised as StageError from whichever call moved the clock. Give runs that are
    still open back with `close()`, or use the world as a context manager.
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
        latency: Latency = at_once,
        control: int | None = None,
        seed: int = 0,
        brand: str = BRAND,
        runner: WorkflowRunner | None = None,
        on_effect: Callable[[datetime, str, EffectInput, BaseModel], None] | None = None,
    ) -> None:
        self.registry = registry if control is None else with_control(registry, control)
        self.rules = self.registry.rules
        self.templates = templates
        self.policy = policy or Policy()
        self.answers = answers
        self.faults = faults
        self.on_effect = on_effect
        self.brand = brand
        self.players: dict[str, PlayerState] = {}
        self.addresses: dict[str, frozenset[Channel]] = {}
        self.runs: dict[str, RunRecord] = {}
        self.messages: list[MessageRecord] = []
        self.grants: list[GrantRecord] = []
        self.tasks: dict[str, TaskRecord] = {}
        self.story: list[StoryRecord] = []
        #: Who came into which segment or left it, in the order it happened.
        self.moves: list[tuple[str, Moved]] = []
        self.temporal = VirtualTemporal(
            self.registry.workflows,
            Effects(self).perform,
            now,
            seed=seed,
            runner=runner,
            latency=latency,
            step_of=self._step_of,
            closed=self._closed,
        )
        self._ticks: dict[str, datetime] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take down every run that is still open; the records stay."""
        self.temporal.close()

    @property
    def now(self) -> datetime:
        """The present of everything in this world."""
        return self.temporal.now

    # ---- what happens to players ---------------------------------------------------------------

    def player(self, player_id: str) -> PlayerState:
        """The player's state; an unknown one is made, as intake does."""
        state = self.players.get(player_id)
        if state is None:
            state = self.players[player_id] = PlayerState(self.brand, player_id)
        return state

    def happen(self, player_id: str, *events: Event, mode: Mode = "live") -> None:
        """Events reach intake now, as one batch."""
        state = self.player(player_id)
        decisions: list[Decision] = []
        for event in events:
            decisions += state.advance(event, self.rules, self.now, mode=mode)
        self.carry_out(state, decisions)

    def enter(self, player_id: str, journey: str, trigger: Event | None) -> str | None:
        """Let a player into a journey as if `trigger` had started it; the run, or None if the rules refuse."""
        state = self.player(player_id)
        decisions = state.enter(self.registry.journeys[journey], trigger, self.now)
        self.carry_out(state, decisions)
        return next((d.run_id for d in decisions if isinstance(d, Start)), None)

    def answer(self, task: TaskRecord, answer: Mapping[str, JsonValue]) -> bool:
        """A person completes a task now; False if it is closed already.

        An answer that does not fit its form is a StageError: in production the API refuses it.
        """
        if task.state != "open":
            return False
        form = self.registry.forms.get(task.journey, {}).get(task.form)
        if form is not None:
            try:
                form.model_validate(dict(answer))
            except ValidationError as error:
                faults = "; ".join(f"{'.'.join(map(str, f['loc']))}: {f['msg']}" for f in error.errors())
                raise StageError(f"The answer {dict(answer)} does not fit {task.form}: {faults}.") from None
        task.state, task.answer, task.closed_at = "completed", dict(answer), self.now
        seq = self.player(task.player_id).next_seq(task.run_id)
        if seq is not None:
            self._deliver(task.run_id, [Delivery(seq=seq, kind="answer", step=task.step, answer=dict(answer))])
        return True

    def advance_to(self, until: datetime) -> None:
        """Let time pass."""
        self.temporal.advance_to(until)

    def finish(self) -> None:
        """Let time pass until nothing more is due."""
        self.temporal.finish()

    # ---- decisions -----------------------------------------------------------------------------

    def carry_out(self, state: PlayerState, decisions: Iterable[Decision]) -> None:
        """What intake's transaction and the dispatcher after it do about decisions."""
        deliveries: dict[str, list[Delivery]] = {}
        starts: dict[str, Start] = {}
        for decision in decisions:
            match decision:
                case Start():
                    self._enter(state, decision)
                    if decision.refused is None and decision.arm == "treated":
                        starts[decision.run_id] = decision
                case Wake():
                    wire = decision.event.redacted().to_wire()
                    deliveries.setdefault(decision.run_id, []).append(
                        Delivery(seq=decision.seq, kind="event", event=wire)
                    )
                case Stop():
                    deliveries.setdefault(decision.run_id, []).append(
                        Delivery(seq=decision.seq, kind="stop", reason=decision.reason)
                    )
                case GoalReached():
                    self.runs[decision.run_id].goal_at = decision.at
                case Moved():
                    self.moves.append((state.player_id, decision))
                case Ended():
                    record = self.runs[decision.run_id]
                    record.ended_at, record.outcome = decision.at, decision.outcome
        for run_id, start in starts.items():
            # Deliveries of one transaction go out together: a run stopped in it does nothing at all.
            self._begin(state, start, deliveries.pop(run_id, []))
        for run_id, items in deliveries.items():
            self._deliver(run_id, items)
        self.tick_later(state)

    def _enter(self, state: PlayerState, start: Start) -> None:
        record = self.runs[start.run_id] = RunRecord(
            start.run_id, state.player_id, start.journey, start.arm, start.entered_at
        )
        if start.refused is not None:
            record.ended_at, record.outcome = start.entered_at, f"refused:{start.refused}"

    def _begin(self, state: PlayerState, start: Start, items: Sequence[Delivery]) -> None:
        given = start.run_input(self.brand, state.snapshot())
        signals = [("deliver", DeliveryBatch(items=list(items)))] if items else []
        # Dispatch comes after the transaction: never inside whatever decided the start.
        self.temporal.at(self.now, partial(self.temporal.start, start.journey, start.run_id, given, signals=signals))

    def _deliver(self, run_id: str, items: Sequence[Delivery]) -> None:
        self.temporal.at(self.now, partial(self.temporal.signal, run_id, "deliver", DeliveryBatch(items=list(items))))

    def tick_later(self, state: PlayerState) -> None:
        """See to it that the player is looked at when their next moment has come, as the sweep does."""
        moment = state.next_moment
        if moment is None or self._ticks.get(state.player_id) == moment:
            return
        self._ticks[state.player_id] = moment
        self.temporal.at(moment, partial(self._tick, state, moment))

    def _tick(self, state: PlayerState, moment: datetime) -> None:
        if self._ticks.get(state.player_id) == moment:
            del self._ticks[state.player_id]
            self.carry_out(state, state.tick(self.rules, self.now))

    # ---- what the virtual Temporal tells ---------------------------------------------------------

    def _step_of(self, run: StageRun) -> str | None:
        """The last step a run is known to have reached: one it has told itself, or one that had an effect."""
        journey_run: Any = getattr(run.instance, "_object", None)
        untold = getattr(journey_run, "story", None)
        if untold:
            step: str = untold[-1].step
            return step
        record = self.runs.get(run.workflow_id)
        return None if record is None else record.step

    def _closed(self, run: StageRun) -> None:
        """A run that fails without recording its end keeps its player in it for ever: that is a mistake."""
        record = self.runs.get(run.workflow_id)
        if run.status != "failed" or record is None or record.outcome is not None:
            return
        cause = self.temporal.failure_of(run)
        step = self._step_of(run)
        raise StageError(
            f"{run.workflow_type} failed in run {run.workflow_id} at {self.now.isoformat()}"
            + (f" after step {step}" if step else "")
            + f": {type(cause).__name__}: {cause}. Catch what may be expected; this player could never leave the run."
        ) from cause


def with_control(registry: Registry, percent: int) -> Registry:
    """The same journeys with another share of players in their control arms."""
    return replace(registry, journeys={n: replace(j, control=percent) for n, j in registry.journeys.items()})
