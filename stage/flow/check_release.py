"""The release check: runs in flight, replayed against the code that is about to be deployed.

Temporal refuses a run whose next commands are not those of its history, and such a run stands still until the
code is mended. It compares kinds of commands only: a `send` that became another `send` passes, and the run would
go on as if the one had been the other. Here the steps' ids are compared as well.
"""

import logging
import re
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
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

from stage.errors import StageError
from workflows.background.bulk_job import NAME as LONG_WORK
from workflows.declaration import Journey
from workflows.temporal_internals import (
    WorkflowActivation,
    WorkflowActivationCompletion,
    WorkflowCommand,
    WrappedInstance,
)

Breakage = Literal["stuck", "astray", "gone"]

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
    "stuck": "Guard the change with workflow.patched, or keep the old order until they have ended.",
    "astray": "Temporal would not notice. Guard the change with workflow.patched, or keep the old order until then.",
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
    """What would happen to the runs in flight. `left_out` counts, by journey, those that were not looked at."""

    replayed: Counter[str] = field(default_factory=Counter)
    broken: list[Broken] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    @property
    def sentences(self) -> Iterator[str]:
        """One sentence for each journey and step at which runs would break, the worst first."""
        grouped: dict[tuple[str, Breakage, str, str], list[str]] = {}
        for broken in self.broken:
            grouped.setdefault((broken.journey, broken.how, broken.step, broken.now), []).append(broken.run_id)
        for (journey, how, step, now), runs in sorted(grouped.items(), key=lambda group: (-len(group[1]), group[0])):
            runs_at = f"{len(runs)} of {self.replayed[journey]} runs in flight"
            what = "would go astray" if how == "astray" else "would stand still"
            yield f"{journey}: {runs_at} {what} at {step}: {now}. {_ADVICE[how]} Such a run is {runs[0]}."


async def replay(
    histories: AsyncIterator[WorkflowHistory],
    journeys: Mapping[str, Journey],
    release: ReleaseCheck,
    converter: DataConverter = pydantic_data_converter,
) -> ReleaseCheck:
    """Replay histories, one after the other, on the code of `journeys`, and add what came of it to `release`.

    `converter` is that of the workers whose histories these are.
    """
    runner = _RecordingRunner()
    classes = [journey.workflow_class for journey in journeys.values() if journey.workflow_class is not None]
    if not classes:
        raise StageError("There are no journeys to replay runs on; name a package of them in JOURNEYS.")
    replayer = Replayer(
        workflows=classes,
        # What the code fails with is shown, so it stays readable; what a history encodes is decoded all the same.
        data_converter=replace(converter, failure_converter_class=DefaultFailureConverter),
        workflow_runner=runner,
        runtime=Runtime(telemetry=TelemetryConfig(logging=LoggingConfig(filter="OFF"))),
    )
    with _silent_sdk():
        async for history in histories:
            name = _journey_of(history)
            release.replayed[name] += 1
            recorded = [action for event in history.events if (action := await _recorded(event, converter)) is not None]
            if name not in journeys:
                step = str(recorded[-1]) if recorded else "the start"
                release.broken.append(Broken(name, history.workflow_id, "gone", step, "there is no such journey now"))
                continue
            result = await replayer.replay_workflow(history, raise_on_replay_failure=False)
            divergence = _divergence(recorded, runner.replayed.pop(history.run_id, []), result.replay_failure)
            if divergence is not None:
                release.broken.append(Broken(name, history.workflow_id, *divergence))
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


async def in_flight(
    client: Client,
    task_queue: str,
    journeys: Collection[str],
    release: ReleaseCheck,
    *,
    most: int,
    chosen: Collection[str] | None = None,
) -> AsyncIterator[WorkflowHistory]:
    """The open runs of each chosen journey, the newest `most` of them; of all, also those of journeys that are gone.

    How many were not fetched is counted in `release.left_out`.
    """
    running = f"TaskQueue = '{task_queue}' AND ExecutionStatus = 'Running'"
    queries = {name: f"{running} AND WorkflowType = '{name}'" for name in chosen or journeys}
    if chosen is None:
        gone = [running, *(f"WorkflowType != '{name}'" for name in [*journeys, LONG_WORK])]
        queries["journeys that are gone"] = " AND ".join(gone)
    for name, query in queries.items():
        fetched = 0
        async for run in client.list_workflows(query, limit=most):
            fetched += 1
            try:
                yield await client.get_workflow_handle(run.id, run_id=run.run_id).fetch_history()
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise
        if fetched >= most:
            release.left_out[name] = max(0, (await client.count_workflows(query)).count - fetched)


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
    """Runs workflows and keeps the actions of each, by run."""

    def __init__(self) -> None:
        self.replayed: dict[str, list[Action]] = {}
        self._inner = UnsandboxedWorkflowRunner()

    def prepare_workflow(self, defn: Any) -> None:
        self._inner.prepare_workflow(defn)

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        replayed = self.replayed[det.info.run_id] = []
        return _RecordingInstance(self._inner.create_instance(det), replayed)


class _RecordingInstance(WrappedInstance):
    def __init__(self, inner: WorkflowInstance, replayed: list[Action]) -> None:
        super().__init__(inner)
        self._replayed = replayed

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
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
