"""One run on the virtual Temporal, told deliveries by hand, and a worker that never saw it before."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel
from temporalio.worker import UnsandboxedWorkflowRunner, WorkflowInstance, WorkflowInstanceDetails, WorkflowRunner

from stage.virtual_temporal.runs import Call
from stage.virtual_temporal.server import NO_LOOP, SUGGEST_CONTINUE_AS_NEW, VirtualTemporal, loop_kept
from tests.support.designs.facts import Pong
from workflows import Event
from workflows.effects import EFFECTS, EffectInput, GiveResult, Matched, SendResult, TaskMoved, TaskOpened
from workflows.experiment_draw import ArmAssigned
from workflows.player_facts import PlayerFacts
from workflows.run import JourneyRun
from workflows.run_protocol import DELIVER, ENGINE, POSITION, Delivery, DeliveryBatch, Position, RunInput
from workflows.run_state import RunState
from workflows.temporal_internals import (
    WorkflowActivation,
    WorkflowActivationCompletion,
    WorkflowCommand,
    WrappedInstance,
    definition_of,
    object_of,
)

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
INPUTS = {effect.name: effect.input for effect in EFFECTS}
#: Commands that a replay must make in the same order, at the same steps.
COMPARED = {
    "schedule_activity",
    "start_timer",
    "complete_workflow_execution",
    "continue_as_new_workflow_execution",
}
Perform = Callable[[Any], BaseModel]


def ponged(name: str = "right", *, number: int = 0) -> Pong:
    return Pong(event_id=f"pong-{name}-{number}", event_source="/test", occurred_at=NOON, name=name)


@dataclass
class Recorded:
    """One chapter as a worker was told it, and what that worker commanded."""

    details: WorkflowInstanceDetails
    activations: list[WorkflowActivation] = field(default_factory=list)
    commanded: list[str] = field(default_factory=list)


class OneRun:
    """A run of one journey: deliveries, time, and what its effects were asked.

    `answers` says what an effect comes to, by its name, where it is not what it mostly comes to. What its chapters
    were told is not kept without `recorded`, and then it cannot be replayed.
    """

    def __init__(
        self,
        journey: type[JourneyRun],
        *,
        answers: Mapping[str, Perform] | None = None,
        suggest_after: int = SUGGEST_CONTINUE_AS_NEW,
        begins: bool = True,
        recorded: bool = True,
        **carried: object,
    ) -> None:
        self.effects: list[tuple[datetime, EffectInput]] = []
        self.results: list[tuple[str, BaseModel]] = []
        self.answers = answers or {}
        self.recorded: list[Recorded] = []
        self.seq = 0
        self.temporal = VirtualTemporal(
            [journey],
            self._perform,
            NOON,
            suggest_after=suggest_after,
            runner=_Keeping(self.recorded) if recorded else None,
        )
        run = RunInput(
            run_id="run",
            brand="acme",
            player_id="p1",
            journey=journey.definition.name,
            entered_at=NOON,
            ends_at=NOON + journey.definition.ends_after,
            trigger=None,
            facts=PlayerFacts(player_id="p1"),
            engine=ENGINE,
        )
        self._given = run.model_copy(update=carried)
        if begins:
            self.begin()

    def begin(self) -> None:
        """Start it, where it was not to begin by itself."""
        self.temporal.start(self._given.journey, "run", self._given)
        self.temporal.advance_to(NOON)

    # ---- what happens --------------------------------------------------------------------------

    def hears(self, *events: Event) -> None:
        """Events, in one signal."""
        self.told(*(Delivery(seq=0, kind="event", event=event.to_wire()) for event in events))

    def told(self, *items: Delivery) -> None:
        """Deliveries, in one signal, numbered here."""
        numbered = []
        for item in items:
            self.seq += 1
            numbered.append(item.model_copy(update={"seq": self.seq, "id": f"d{self.seq}"}))
        self.temporal.signal("run", DELIVER, DeliveryBatch(items=numbered))
        self.temporal.advance_to(self.temporal.now)

    def moves_to(self, version: int, *do: str) -> None:
        """The order to move to another release."""
        self.told(Delivery(seq=0, kind="migrate", version=version, do=list(do)))

    def passes(self, duration: timedelta) -> None:
        """Time."""
        self.temporal.advance_to(self.temporal.now + duration)

    # ---- what came of it -----------------------------------------------------------------------

    @property
    def outcome(self) -> str | None:
        """How it ended; None while it is open."""
        return None if self.temporal.runs["run"].open else self.temporal.result("run")

    @property
    def chapter(self) -> int:
        """Which chapter it is in, or ended in."""
        return self.temporal.runs["run"].chapter

    @property
    def state(self) -> RunState:
        """What it knows and has heard, by the run itself."""
        instance = self.temporal.runs["run"].instance
        found: RunState = object_of(instance.inner if isinstance(instance, WrappedInstance) else instance)
        return found

    @property
    def position(self) -> Position:
        """Where it stands."""
        position: Position = self.temporal.query("run", POSITION, Position)
        return position

    @property
    def steps(self) -> list[str]:
        """The steps of its effects, in order, without what the engine keeps for itself."""
        return [one.step for _, one in self.journey_effects]

    @property
    def days(self) -> list[tuple[str, float]]:
        """The steps of its effects, each with the day on which it happened."""
        return [(one.step, (at - NOON) / timedelta(days=1)) for at, one in self.journey_effects]

    @property
    def journey_effects(self) -> list[tuple[datetime, EffectInput]]:
        """Its effects, without those of the engine's own."""
        return [(at, one) for at, one in self.effects if not one.step.startswith("kept:")]

    @property
    def story(self) -> list[str]:
        """`step: outcome` of every line that went with an effect, and of those that still wait for one."""
        lines = [line for _, effect in self.effects for line in effect.story]
        if self.temporal.runs["run"].open:
            lines += self.position.story
        return [f"{line.step}: {line.outcome}" for line in lines]

    def marked(self, name: str) -> list[dict[str, Any]]:
        """What was marked under this name."""
        return [one.model_dump()["detail"] for _, one in self.effects if one.step.startswith(f"mark:{name}#")]

    def replayed_on(self, journey: type[JourneyRun]) -> list[str]:
        """What a worker that has `journey` commands for the last chapter's history; `commanded` is what was."""
        recorded = self.recorded[-1]
        details = replace(recorded.details, defn=definition_of(journey))
        made: list[str] = []
        with loop_kept():
            asyncio._set_running_loop(NO_LOOP)
            instance = UnsandboxedWorkflowRunner().create_instance(details)
            for activation in recorded.activations:
                copy = WorkflowActivation()
                copy.CopyFrom(activation)
                copy.is_replaying = True
                done = instance.activate(copy)
                if done.HasField("failed"):
                    return [*made, done.failed.failure.message]
                made += _compared(done.successful.commands)
        return made

    @property
    def commanded(self) -> list[str]:
        """What the last chapter has commanded."""
        return self.recorded[-1].commanded

    def _perform(self, call: Call) -> BaseModel:
        request: EffectInput = call.decode(INPUTS[call.name])
        self.effects.append((self.temporal.now, request))
        given = self.answers.get(call.name) or USUAL.get(call.name)
        output = next(effect.output for effect in EFFECTS if effect.name == call.name)
        result: BaseModel = output() if given is None else given(request)
        self.results.append((request.step, result))
        return result


USUAL: Mapping[str, Perform] = {
    "send": lambda sending: SendResult(sent=sending.via),
    "grant": lambda giving: GiveResult(status="confirmed", grant_id=giving.key),
    "open_task": TaskOpened.of,
    "move_task": lambda _: TaskMoved(state="open"),
    "refresh": lambda _: PlayerFacts(player_id="p1", tier="gold"),
    "match": lambda _: Matched(matches=True),
    "assign": lambda asking: ArmAssigned(arm=next(iter(asking.arms)), chance=0.5),
}


class _Keeping(WorkflowRunner):
    """Runs workflows and keeps what each chapter was told."""

    def __init__(self, recorded: list[Recorded]) -> None:
        self._recorded = recorded
        self._inner = UnsandboxedWorkflowRunner()

    def prepare_workflow(self, defn: Any) -> None:
        self._inner.prepare_workflow(defn)

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        self._recorded.append(Recorded(det))
        return _KeepingInstance(self._inner.create_instance(det), self._recorded[-1])


class _KeepingInstance(WrappedInstance):
    def __init__(self, inner: WorkflowInstance, recorded: Recorded) -> None:
        super().__init__(inner)
        self._recorded = recorded

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        if any(job.HasField("query_workflow") or job.HasField("remove_from_cache") for job in act.jobs):
            return super().activate(act)
        copy = WorkflowActivation()
        copy.CopyFrom(act)
        done = super().activate(act)
        self._recorded.activations.append(copy)
        self._recorded.commanded += _compared(done.successful.commands)
        return done


def _compared(commands: Sequence[WorkflowCommand]) -> list[str]:
    found = []
    for command in commands:
        kind = str(command.WhichOneof("variant"))
        if kind in COMPARED:
            summary = command.user_metadata.summary.data.decode().strip('"')
            found.append(f"{kind} {summary}".strip())
    return found
