"""The release check: runs in flight, replayed against the code that is about to be deployed.

Temporal refuses a run whose next commands are not those of its history, and such a run stands still until the
code is mended. It compares kinds of commands only: a `send` that became another `send` passes, and the run would
go on as if the one had been the other. Here the steps' ids are compared as well.
"""

import asyncio
import logging
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

from google.protobuf.json_format import ParseError
from temporalio.api.common.v1 import Payload
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DataConverter, DefaultFailureConverter
from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import (
    Replayer,
    UnsandboxedWorkflowRunner,
    WorkflowInstance,
    WorkflowInstanceDetails,
    WorkflowRunner,
)

from content.run_shapes import Sample
from stage.errors import StageError
from workflows.background.bulk_job import BulkJobWorkflow
from workflows.background.maintenance import MAINTENANCE_WORKFLOWS
from workflows.declaration import Journey
from workflows.temporal_internals import (
    WorkflowActivation,
    WorkflowActivationCompletion,
    WorkflowCommand,
    WrappedInstance,
    definition_of,
    object_of,
)

Breakage = Literal["stuck", "astray", "gone"]

#: Workflows that are no journeys and outlive a release all the same.
BACKGROUND: Final[Sequence[type[Any]]] = (BulkJobWorkflow, *MAINTENANCE_WORKFLOWS)

_RECORDED: Final[Mapping[str, str]] = {
    "activity_task_scheduled_event_attributes": "effect",
    "timer_started_event_attributes": "wait",
    "workflow_execution_completed_event_attributes": "end",
    "workflow_execution_continued_as_new_event_attributes": "next chapter",
}
_COMMANDED: Final[Mapping[str, str]] = {
    "schedule_activity": "effect",
    "start_timer": "wait",
    "complete_workflow_execution": "end",
    "continue_as_new_workflow_execution": "next chapter",
}
_ADVICE: Final[Mapping[Breakage, str]] = {
    "gone": "Keep the journey until they have ended.",
    "stuck": "Put the code back, release it and move them to that release; then edit.",
    "astray": "Temporal would not notice. Put the code back, release it and move them to that release; then edit.",
}
_MESSAGE = re.compile(r'message: "(?:\[TMPRL\d+\] )?(.*?)(?<!\\)", source')


@dataclass(frozen=True)
class Action:
    """One thing a run did, or would do now."""

    kind: str
    step: str = ""

    def __str__(self) -> str:
        return self.step or f"the {self.kind}"


@dataclass(frozen=True)
class Broken:
    """One run that the new code would not carry on, and where it parts from its history.

    `stuck`: Temporal refuses it and it stands still. `astray`: Temporal does not notice. `gone`: its journey is
    not there any more.
    """

    journey: str
    run_id: str
    how: Breakage
    step: str
    now: str


@dataclass
class ReleaseCheck:
    """What would happen to the runs in flight.

    Where `samples` say of each journey which runs were looked at, every history speaks for all runs of its shape.
    `missing` are runs that Temporal does not have.
    """

    replayed: Counter[str] = field(default_factory=Counter)
    broken: list[Broken] = field(default_factory=list)
    samples: dict[str, Sample] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    @property
    def sentences(self) -> Iterator[str]:
        """One sentence for each journey and step at which runs would break, the worst first."""
        grouped: dict[tuple[str, Breakage, str, str], list[str]] = {}
        for broken in self.broken:
            grouped.setdefault((broken.journey, broken.how, broken.step, broken.now), []).append(broken.run_id)
        counted = {group: self._speaks_for(group[0], run_ids) for group, run_ids in grouped.items()}
        for group in sorted(grouped, key=lambda group: (-counted[group], group)):
            journey, how, step, now = group
            all_runs = self.samples[journey].runs if journey in self.samples else self.replayed[journey]
            what = "would go astray" if how == "astray" else "would stand still"
            yield (
                f"{journey}: {counted[group]:,} of {all_runs:,} runs in flight {what} at {step}: {now}. "
                f"{_ADVICE[how]} Such a run is {grouped[group][0]}."
            )

    def uncovered(self, bar: float) -> Iterator[str]:
        """One sentence for each journey of which too few runs are spoken for; `bar` is the least share in percent."""
        for journey, sample in self.samples.items():
            unseen = [shape for shape in sample.chosen if not set(shape.examples) - {*self.missing}]
            covered = sample.covered - sum(shape.runs for shape in unseen)
            if sample.runs and 100 * covered < bar * sample.runs:
                why = "raise --most" if sample.left_out else "Temporal does not have some of them"
                yield (
                    f"{journey}: {covered:,} of {sample.runs:,} runs in flight are spoken for, which is less than "
                    f"{bar:g} %; {why}."
                )

    def _speaks_for(self, journey: str, run_ids: Collection[str]) -> int:
        sample = self.samples.get(journey)
        if sample is None:
            return len(run_ids)
        return sum(shape.runs for shape in sample.chosen if not {*run_ids}.isdisjoint(shape.examples))


@dataclass(frozen=True)
class Replayed:
    """A history after its replay: where the run parts from it, None if it does not, and the run as it was left.

    `run` is the object that played it, as it stood when the history ended; None for what is no journey's run.
    """

    recorded: Sequence[Action]
    divergence: tuple[Breakage, str, str] | None
    run: Any = None


class HistoryReplayer:
    """Replays histories on the code of `journeys`; `converter` is that of the workers whose histories these are.

    `left` is called with the object of each run that reached the end of its history, before it is taken down.
    """

    def __init__(
        self,
        journeys: Mapping[str, Journey],
        converter: DataConverter = pydantic_data_converter,
        left: Callable[[Any], Any] = lambda _: None,
    ) -> None:
        classes = [journey.workflow_class for journey in journeys.values() if journey.workflow_class is not None]
        if not classes:
            raise StageError("There are no journeys to replay runs on; name a package of them in JOURNEYS.")
        self.known = {*journeys, *(definition_of(background).name for background in BACKGROUND)}
        self._converter = converter
        self._runner = _RecordingRunner(left)
        self._replayer = Replayer(
            workflows=[*classes, *BACKGROUND],
            # What the code fails with is shown, so it stays readable; what a history encodes is decoded all the same.
            data_converter=replace(converter, failure_converter_class=DefaultFailureConverter),
            workflow_runner=self._runner,
            # Without one the SDK makes one of all code that is loaded, anew for each history: a second each.
            build_id="replay",
            runtime=Runtime(telemetry=TelemetryConfig(logging=LoggingConfig(filter="OFF"))),
        )

    async def replay(self, history: WorkflowHistory) -> Replayed:
        """Replay one history; a journey that is not there replays none."""
        recorded = [
            action for event in history.events if (action := await _recorded(event, self._converter)) is not None
        ]
        if _journey_of(history) not in self.known:
            step = str(recorded[-1]) if recorded else "the start"
            return Replayed(recorded, ("gone", step, "there is no such journey now"))
        with _silent_sdk():
            result = await self._replayer.replay_workflow(history, raise_on_replay_failure=False)
        replayed = self._runner.replayed.pop(history.run_id, [])
        divergence = _divergence(recorded, replayed, result.replay_failure)
        return Replayed(recorded, divergence, self._runner.left.pop(history.run_id, None))


async def replay(
    histories: AsyncIterator[WorkflowHistory],
    journeys: Mapping[str, Journey],
    release: ReleaseCheck,
    converter: DataConverter = pydantic_data_converter,
) -> ReleaseCheck:
    """Replay histories, one after the other, on the code of `journeys`, and add what came of it to `release`."""
    replayer = HistoryReplayer(journeys, converter)
    async for history in histories:
        name = _journey_of(history)
        release.replayed[name] += 1
        replayed = await replayer.replay(history)
        if replayed.divergence is not None:
            release.broken.append(Broken(name, history.workflow_id, *replayed.divergence))
    return release


async def histories_in_folder(folder: Path, chosen: Collection[str] | None = None) -> AsyncIterator[WorkflowHistory]:
    """The histories of the chosen journeys in a folder, as `temporal workflow show --output json` writes them."""
    files = sorted(folder.glob("*.json"))  # noqa: ASYNC240 - nothing else runs beside a check
    if not files:
        raise StageError(f"There are no histories in {folder}; put one JSON file for each run there.")
    for file in files:
        try:
            history = WorkflowHistory.from_json(file.stem, file.read_text(encoding="utf-8"))
        except (ValueError, ParseError, AttributeError, TypeError) as error:
            raise StageError(
                f"{file} is no history: {error}. Save one with `temporal workflow show --output json`."
            ) from error
        if not history.events or not history.events[0].HasField("workflow_execution_started_event_attributes"):
            raise StageError(f"{file} is no history that begins at the start of a run; save the whole of it.")
        if chosen is None or _journey_of(history) in chosen:
            yield history


async def histories_of(
    client: Client, run_ids: Sequence[str], missing: list[str], *, at_once: int = 16
) -> AsyncIterator[WorkflowHistory]:
    """The histories of these runs, some fetched at a time; those that Temporal does not have are added to `missing`."""
    for start in range(0, len(run_ids), at_once):
        wanted = run_ids[start : start + at_once]
        for run_id, history in zip(
            wanted, await asyncio.gather(*(_history(client, run_id) for run_id in wanted)), strict=True
        ):
            if history is None:
                missing.append(run_id)
            else:
                yield history


async def bulk_jobs(client: Client, task_queue: str) -> AsyncIterator[WorkflowHistory]:
    """The histories of bulk jobs and of upkeep under way in the queue of such work."""
    async for run in client.list_workflows(f"TaskQueue = '{task_queue}' AND ExecutionStatus = 'Running'"):
        history = await _history(client, run.id)
        if history is not None:
            yield history


async def _history(client: Client, run_id: str) -> WorkflowHistory | None:
    try:
        return await client.get_workflow_handle(run_id).fetch_history()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return None


# ---- where a run parts from its history -------------------------------------------------------------------


def _divergence(
    recorded: Sequence[Action], replayed: Sequence[Action], failure: Exception | None
) -> tuple[Breakage, str, str] | None:
    """How a run breaks, the step it had recorded there, and what the code does now."""
    for before, now in zip(recorded, replayed, strict=False):
        if before != now:
            how: Breakage = "astray" if failure is None else "stuck"
            return how, str(before), f"the code now goes to {now} there"
    if failure is None:
        return None
    if len(replayed) < len(recorded):
        return "stuck", str(recorded[len(replayed)]), _reason(failure, "the code does not come to it any more")
    at = str(recorded[-1]) if recorded else "the start"
    more = f"the code now goes on to {replayed[len(recorded)]}" if len(replayed) > len(recorded) else "the code fails"
    return "stuck", at, _reason(failure, more)


def _reason(failure: Exception, otherwise: str) -> str:
    """What the code says itself when it was not the order of its steps that failed."""
    match = _MESSAGE.search(str(failure))
    message = match[1] if match is not None else str(failure)
    return otherwise if "ondeterminism" in message or not message else f"{otherwise} ({message})"


def _journey_of(history: WorkflowHistory) -> str:
    return history.events[0].workflow_execution_started_event_attributes.workflow_type.name


async def _recorded(event: HistoryEvent, converter: DataConverter) -> Action | None:
    kind = _RECORDED.get(str(event.WhichOneof("attributes")))
    if kind is None:
        return None
    summary = event.user_metadata.summary
    if summary.data and converter.payload_codec is not None:
        [summary] = await converter.payload_codec.decode([summary])
    return Action(kind, _step_of(summary))


def _commanded(command: WorkflowCommand) -> Action | None:
    kind = _COMMANDED.get(str(command.WhichOneof("variant")))
    return None if kind is None else Action(kind, _step_of(command.user_metadata.summary))


def _step_of(summary: Payload) -> str:
    if not summary.data:
        return ""
    [step] = pydantic_data_converter.payload_converter.from_payloads([summary], [str])
    return str(step)


# ---- listening to a replay ----------------------------------------------------------------------------------


class _RecordingRunner(WorkflowRunner):
    """Runs workflows and keeps the actions of each, by run, and what `left` makes of them when they are taken down."""

    def __init__(self, left: Callable[[Any], Any]) -> None:
        self.replayed: dict[str, list[Action]] = {}
        self.left: dict[str, Any] = {}
        self._left = left
        self._inner = UnsandboxedWorkflowRunner()

    def prepare_workflow(self, defn: Any) -> None:
        self._inner.prepare_workflow(defn)

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        return _RecordingInstance(self._inner.create_instance(det), det.info.run_id, self)

    def leave(self, run_id: str, inner: WorkflowInstance) -> None:
        """A run is about to be taken down."""
        self.left[run_id] = self._left(object_of(inner))


class _RecordingInstance(WrappedInstance):
    def __init__(self, inner: WorkflowInstance, run_id: str, runner: _RecordingRunner) -> None:
        super().__init__(inner)
        self._run_id, self._runner = run_id, runner
        self._replayed = runner.replayed[run_id] = []

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        if act.jobs and act.jobs[0].HasField("remove_from_cache"):
            self._runner.leave(self._run_id, self.inner)
        done = super().activate(act)
        actions = map(_commanded, done.successful.commands)
        self._replayed += [action for action in actions if action is not None]
        return done


@contextmanager
def _silent_sdk() -> Iterator[None]:
    """Keep the SDK from logging each failure; ours are in the sentences."""
    logger = logging.getLogger("temporalio")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)
