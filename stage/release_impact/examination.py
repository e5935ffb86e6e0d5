"""Runs in flight looked at one by one: replayed on their own version and on the new one, and played to their end."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from temporalio.api.common.v1 import Payload
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DataConverter

from content.template_files import TemplateFacts
from stage.errors import StageError
from stage.flow.check_release import HistoryReplayer, Replayed
from stage.release_impact.impact import SILENCE, Example
from stage.release_impact.play_to_end import Course, play_on
from workflows.events import Event
from workflows.player_state.decisions import Arm
from workflows.run import JourneyRun
from workflows.run_protocol import RunInput
from workflows.source.flow_graph import StepNode
from workflows.source.flow_reader import read_flow
from workflows.source.journey_loading import Registry


@dataclass
class Examination:
    """What the runs that were looked at would do. `failures` are sentences about those that do not even replay."""

    examples: dict[str, Example] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


class Examiner:
    """Looks at runs of one journey that might move to `version`; 0 is the present code that is no release yet.

    `now` is when they would move; `do` are steps before the place where they stand that they would do all the same.
    `converter` is that of the workers whose histories these are, `heard_with` says of a run which past events it would
    be told because it moves, and `arms` in which arm it is: a history does not know that.
    """

    def __init__(
        self,
        journey: str,
        version: int,
        registry: Registry,
        templates: Mapping[str, TemplateFacts],
        now: datetime,
        converter: DataConverter = pydantic_data_converter,
        do: Collection[str] = (),
        heard_with: Callable[[str], Awaitable[Sequence[Event]]] | None = None,
        arms: Mapping[str, Arm] = MappingProxyType({}),
    ) -> None:
        self._arms = arms
        self._heard_with = heard_with
        self.version = version
        self._do = [*do]
        self._registry, self._templates, self._now, self._converter = registry, templates, now, converter
        self._replayer = HistoryReplayer(registry.journeys, converter, left=_standing)
        present = registry.journeys[journey]
        self._kinds: dict[str, tuple[type[Event], ...]] = {}
        for one in (present, *present.versions.values()):
            self._kinds |= {node.name: node.kinds for node in read_flow(one).nodes if isinstance(node, StepNode)}

    async def examine(self, histories: AsyncIterator[WorkflowHistory]) -> Examination:
        """Look at every one of them."""
        examination = Examination()
        async for history in histories:
            run_id = history.workflow_id
            own = await self._replayer.replay(history)
            if own.divergence is not None or not isinstance(own.run, RunInput):
                _, step, why = own.divergence or (
                    "stuck",
                    "the start",
                    "it stands at no step, or its journal grew too large to play it on",
                )
                examination.failures.append(f"{run_id} cannot be played from {step}: {why}.")
                continue
            follows = await self._replayer.replay(await self._on(history, self.version))
            past = [] if self._heard_with is None else await self._heard_with(run_id)
            courses = self._courses(own.run, past, self._arms.get(run_id, "treated"))
            at = own.run.stands_at or "the start"
            examination.examples[run_id] = Example(run_id, at, _parting(follows), courses)
        return examination

    def _courses(self, standing: RunInput, past: Sequence[Event], arm: Arm) -> dict[str, tuple[Course, Course]]:
        """What it would do on its own version and on the new one, which it would have heard `past` for, by turn."""
        numbers = [*standing.numbers] or [*range(1, len(standing.inbox) + 1)]
        after = range(max(numbers, default=0) + 1, max(numbers, default=0) + 1 + len(past))
        heard = {"inbox": [*standing.inbox, *(one.redacted().to_wire() for one in past)], "numbers": [*numbers, *after]}
        place = {"version": self.version, "moved_from": standing.version, "do": self._do}
        moved = standing.model_copy(update=place | heard)
        name = (standing.stands_at or "").partition("#")[0]
        turns: list[type[Event] | None] = [None, *self._kinds.get(name, ())]
        return {
            SILENCE if turn is None else f"{turn.__name__} comes": (
                self._course(standing, turn, arm),
                self._course(moved, turn, arm),
            )
            for turn in turns
        }

    def _course(self, given: RunInput, turn: type[Event] | None, arm: Arm) -> Course:
        try:
            return play_on(given, self._registry, self._templates, self._now, turn, arm)
        except StageError as broken:
            return Course(broken=str(broken.__cause__ or broken))

    async def _on(self, history: WorkflowHistory, version: int) -> WorkflowHistory:
        """The history as if its run had been of another version all along."""
        copied = WorkflowHistory(history.workflow_id, [_copy(event) for event in history.events])
        given = copied.events[0].workflow_execution_started_event_attributes.input
        payloads: list[Payload] = list(given.payloads)
        if self._converter.payload_codec is not None:
            payloads = await self._converter.payload_codec.decode(payloads)
        [run_input] = self._converter.payload_converter.from_payloads(payloads, [RunInput])
        changed = self._converter.payload_converter.to_payloads([run_input.model_copy(update={"version": version})])
        if self._converter.payload_codec is not None:
            changed = await self._converter.payload_codec.encode(changed)
        del given.payloads[:]
        given.payloads.extend(changed)
        return copied


def _standing(run: object) -> RunInput | None:
    """The input of a chapter that begins where a run stands; None for what is no journey's run, or has no place."""
    return run.standing() if isinstance(run, JourneyRun) else None


def _parting(replayed: Replayed) -> str | None:
    if replayed.divergence is None:
        return None
    how, step, why = replayed.divergence
    return f"{'go astray' if how == 'astray' else 'stand still'} at {step}: {why}"


def _copy(event: HistoryEvent) -> HistoryEvent:
    copied = HistoryEvent()
    copied.CopyFrom(event)
    return copied
