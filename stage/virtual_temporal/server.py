"""A virtual Temporal: the real SDK workflow runtime, driven in-process along a heap of future moments.

The runtime gets the activations that a server would send and answers with the commands that it would send
back. Time is the heap: nothing waits, a month passes when its moments have been played. The same inputs give
the same trace on every machine, because moments of one instant are played in the order they were made.
"""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Self

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from temporalio import workflow
from temporalio.api.common.v1 import Payload, Payloads, SearchAttributes
from temporalio.common import Priority
from temporalio.converter import decode_search_attributes, decode_typed_search_attributes
from temporalio.worker import UnsandboxedWorkflowRunner, WorkflowInstanceDetails, WorkflowRunner

from stage.errors import StageError
from stage.virtual_temporal import failures
from stage.virtual_temporal.activities import Attempts, Latency, Perform, TimedOut, at_once
from stage.virtual_temporal.payload_converter import CONVERTER, FAILURE_CLASS, FAILURES
from stage.virtual_temporal.runs import Call, StageRun, duration_of
from stage.virtual_temporal.virtual_clock import VirtualClock
from workflows.temporal_internals import (
    EXTERN_FUNCTIONS,
    CancelWorkflow,
    ContinueAsNewWorkflowExecution,
    FireTimer,
    InitializeWorkflow,
    Job,
    QueryWorkflow,
    RemoveFromCache,
    SignalWorkflow,
    WorkflowActivation,
    WorkflowCommand,
    definition_of,
    error_of_task,
    has_tasks,
)

__all__ = ["Call", "Latency", "Perform", "StageRun", "TimedOut", "VirtualTemporal", "at_once"]

TASK_QUEUE = "stage"
NAMESPACE = "stage"
#: A server suggests a new chapter at this length of a run's history, and terminates the run at that one.
SUGGEST_CONTINUE_AS_NEW, LONGEST_HISTORY = 4_096, 51_200
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Instances want some event loop to be set while they are made; nothing ever runs on it.
NO_LOOP = asyncio.BaseEventLoop()
NO_LOOP.close()


class VirtualTemporal(VirtualClock):
    """Workflows, timers and activities on a clock that only moves when told.

    `perform` is called for every attempt of an activity, returns its result or raises; it must not block.
    `step_of` names the step a run was last seen at, for error messages. `closed` hears of every run that is over.
    A new chapter is suggested to a run whose history is `suggest_after` events long.

    Errors that fail a workflow task on a server (a bug, a broken rule of replay) are raised here as StageError, from
    whichever call moved the clock. End it with `close()` or use it as a context manager: runs still open are then
    taken down in order instead of whenever the garbage collector finds them.
    """

    def __init__(
        self,
        workflows: Sequence[type[Any]],
        perform: Perform,
        now: datetime,
        *,
        seed: int = 0,
        runner: WorkflowRunner | None = None,
        latency: Latency = at_once,
        step_of: Callable[[StageRun], str | None] = lambda _: None,
        closed: Callable[[StageRun], None] = lambda _: None,
        suggest_after: int = SUGGEST_CONTINUE_AS_NEW,
    ) -> None:
        super().__init__(now)
        self._suggest_after = suggest_after
        self.runs: dict[str, StageRun] = {}
        self._seed = seed
        self._step_of = step_of
        self._closed = closed
        self._runner = runner or UnsandboxedWorkflowRunner()
        self._definitions = {definition.name: definition for definition in map(definition_of, workflows)}
        for definition in self._definitions.values():
            self._runner.prepare_workflow(definition)
        self._attempts = Attempts(self, self._submit, perform, latency)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take down every run that is still open, and forget what was planned."""
        self._moments.clear()
        for run in self.runs.values():
            self._evict(run)

    # ---- what a client does ------------------------------------------------------------------

    def start(
        self, workflow_type: str, workflow_id: str, argument: object, *, signals: Sequence[tuple[str, object]] = ()
    ) -> None:
        """Start a workflow now, `signals` heard before its first step; an id is used once."""
        if workflow_id in self.runs:
            raise StageError(f"A run {workflow_id} exists already; ids are never used again.")
        if workflow_type not in self._definitions:
            known = ", ".join(map(str, self._definitions))
            raise StageError(f"No workflow {workflow_type} is on this stage; add it to {known}.")
        run = self.runs[workflow_id] = StageRun(workflow_id, workflow_type, self.now)
        for name, payload in signals:
            run.held.append(_signal_job(name, CONVERTER.to_payloads([payload]), len(run.held) + 1))
        self._initialise(run, CONVERTER.to_payloads([argument]))

    def signal(self, workflow_id: str, name: str, argument: object) -> bool:
        """Signal a run now; False when it is over."""
        run = self.runs.get(workflow_id)
        if run is None or not run.open:
            return False
        self._submit(run, _signal_job(name, CONVERTER.to_payloads([argument]), run.length + 1))
        return True

    def cancel(self, workflow_id: str, reason: str = "") -> None:
        """Ask a run to cancel; one that is over does not mind."""
        self._submit(self.runs[workflow_id], Job(cancel_workflow=CancelWorkflow(reason=reason)))

    def query(self, workflow_id: str, name: str, kind: type[Any], *arguments: object) -> Any:
        """Ask a run that is still open."""
        run = self.runs[workflow_id]
        if run.instance is None:
            raise StageError(f"{workflow_id} is {run.status} and cannot be asked any more; ask before it ends.")
        asked = QueryWorkflow(query_id="q", query_type=name, arguments=CONVERTER.to_payloads(arguments))
        for command in self._activate(run, [Job(query_workflow=asked)]):
            answer = command.respond_to_query
            if answer.HasField("failed"):
                raise FAILURES.from_failure(answer.failed, CONVERTER)
            return CONVERTER.from_payloads([answer.succeeded.response], [kind])[0]
        raise StageError(f"The query {name} of {workflow_id} was not answered.")

    def result(self, workflow_id: str, kind: type[Any] = str) -> Any:
        """What a completed run returned; raises what a failed one raised."""
        run = self.runs[workflow_id]
        if run.status == "completed" and run.result is not None:
            return CONVERTER.from_payloads([run.result], [kind])[0]
        raise self.failure_of(run) or StageError(f"{workflow_id} has no result: it is {run.status}.")

    def failure_of(self, run: StageRun) -> BaseException | None:
        """What a run failed of."""
        return None if run.failure is None else FAILURES.from_failure(run.failure, CONVERTER)

    # ---- the life of a run -------------------------------------------------------------------

    def _initialise(self, run: StageRun, arguments: Sequence[Payload]) -> None:
        """Begin a chapter of a run, with everything that came while there was none."""
        if not run.open:
            return
        digest = hashlib.sha256(f"{self._seed}:{run.run_id}".encode()).digest()
        seed = int.from_bytes(digest[:8], "big")
        details = WorkflowInstanceDetails(
            payload_converter_factory=lambda: CONVERTER,
            failure_converter_class=FAILURE_CLASS,
            interceptor_classes=[],
            defn=self._definitions[run.workflow_type],
            info=self._info(run),
            randomness_seed=seed,
            extern_functions=EXTERN_FUNCTIONS,
            disable_eager_activity_execution=True,
            worker_level_failure_exception_types=[],
            patch_activation_callback=None,
            last_completion_result=Payloads(),
            last_failure=None,
        )
        with loop_kept():
            asyncio._set_running_loop(NO_LOOP)  # noqa: SLF001 - as the SDK's own worker does
            run.instance = self._runner.create_instance(details)
        begin = InitializeWorkflow(
            workflow_type=run.workflow_type,
            workflow_id=run.workflow_id,
            arguments=arguments,
            randomness_seed=seed,
            attempt=1,
            first_execution_run_id=f"{run.workflow_id}/1",
            start_time=_timestamp(run.started_at),
        )
        held, run.held = run.held, []
        self._submit(run, Job(initialize_workflow=begin), *held)

    def _info(self, run: StageRun) -> workflow.Info:
        attributes = SearchAttributes(indexed_fields=run.search_attributes)
        # A run may describe itself anew, and the SDK changes the attributes of its info in place.
        return workflow.Info(
            attempt=1,
            continued_run_id=None if run.chapter == 1 else f"{run.workflow_id}/{run.chapter - 1}",
            cron_schedule=None,
            execution_timeout=None,
            first_execution_run_id=f"{run.workflow_id}/1",
            headers={},
            namespace=NAMESPACE,
            original_execution_run_id=run.run_id,
            parent=None,
            root=None,
            priority=Priority.default,
            raw_memo=dict(run.memo),
            retry_policy=None,
            run_id=run.run_id,
            run_timeout=None,
            search_attributes=decode_search_attributes(attributes),
            start_time=self.now,
            workflow_start_time=run.started_at,
            task_queue=TASK_QUEUE,
            task_timeout=timedelta(seconds=10),
            typed_search_attributes=decode_typed_search_attributes(attributes),
            workflow_id=run.workflow_id,
            workflow_type=run.workflow_type,
        )

    def _submit(self, run: StageRun, *jobs: Job) -> None:
        """Give an open run something new: one workflow task, with as many activations as it takes."""
        if not run.open:
            return
        if run.instance is None:
            run.held.extend(jobs)
            return
        if run.busy:
            run.jobs.extend(jobs)
            return
        run.busy = True
        run.length += 3
        try:
            self._obey_all(run, self._activate(run, jobs))
            while run.jobs or run.locals:
                if run.jobs:
                    queued, run.jobs = run.jobs, []
                    self._obey_all(run, self._activate(run, queued))
                else:
                    self._attempts.attempt(run, run.locals.popleft())
        finally:
            run.busy = False

    def _activate(self, run: StageRun, jobs: Sequence[Job]) -> Sequence[WorkflowCommand]:
        assert run.instance is not None
        run.tasks += 1
        activation = WorkflowActivation(
            run_id=run.run_id,
            timestamp=_timestamp(self.now),
            history_length=run.length,
            continue_as_new_suggested=run.length >= self._suggest_after,
            jobs=jobs,
        )
        with loop_kept():
            completion = run.instance.activate(activation)
        if completion.HasField("failed"):
            # The failure is a copy on the wire; the exception itself still knows where it was raised.
            cause = error_of_task(run.instance)
            copy = FAILURES.from_failure(completion.failed.failure, CONVERTER)
            raise self._broken(run, cause or copy)
        commands: Sequence[WorkflowCommand] = completion.successful.commands
        if not jobs[0].HasField("query_workflow"):
            run.length += len(jobs) + len(commands)
        return commands

    def _broken(self, run: StageRun, cause: BaseException) -> StageError:
        file, line = _place(cause, self._definitions[run.workflow_type].cls)
        step = self._step_of(run)
        error = StageError(
            f"{run.workflow_type} broke in run {run.workflow_id} at {self.now.isoformat()}"
            + (f" after step {step}" if step else "")
            + (f", {file} line {line}" if line else "")
            + f": {type(cause).__name__}: {cause}. A server would try this task again for ever; correct the code."
        )
        error.__cause__ = cause
        return error

    def _evict(self, run: StageRun) -> None:
        """Take an instance down: tasks that still wait end here, not in whichever thread collects garbage."""
        instance, run.instance = run.instance, None
        if instance is None:
            return
        if has_tasks(instance):
            outer = asyncio._get_running_loop()  # noqa: SLF001 - as the SDK's own worker does
            try:
                instance.activate(
                    WorkflowActivation(run_id=run.run_id, jobs=[Job(remove_from_cache=RemoveFromCache())])
                )
            finally:
                asyncio._set_running_loop(outer)  # noqa: SLF001 - the instance sets itself and leaves none

    # ---- commands ----------------------------------------------------------------------------

    def _obey_all(self, run: StageRun, commands: Sequence[WorkflowCommand]) -> None:
        chapter = run.chapter
        for command in commands:
            self._obey(run, command)
            if not run.open or run.chapter != chapter:
                return
        if run.length > LONGEST_HISTORY:
            raise StageError(
                f"{run.workflow_type} made {run.length} events of history in run {run.workflow_id} by "
                f"{self.now.isoformat()}, and a server terminates a run at {LONGEST_HISTORY}; if the code does not go "
                "in circles, begin a new chapter with `return again(...)`."
            )

    def _obey(self, run: StageRun, command: WorkflowCommand) -> None:
        match command.WhichOneof("variant"):
            case "start_timer":
                self._start_timer(run, command.start_timer.seq, command.start_timer.start_to_fire_timeout)
            case "cancel_timer":
                run.timers.discard(command.cancel_timer.seq)
            case "schedule_activity":
                self._attempts.schedule(run, command.schedule_activity)
            case "schedule_local_activity":
                self._attempts.schedule(run, command.schedule_local_activity)
            case "request_cancel_activity":
                self._attempts.cancel(run, command.request_cancel_activity.seq)
            case "request_cancel_local_activity":
                self._attempts.cancel(run, command.request_cancel_local_activity.seq)
            case "set_patch_marker":
                run.patches.add(command.set_patch_marker.patch_id)
            case "upsert_workflow_search_attributes":
                self._describe(
                    run.search_attributes, command.upsert_workflow_search_attributes.search_attributes.indexed_fields
                )
            case "modify_workflow_properties":
                pass  # the run has changed its own copy, and a next chapter begins with the memo of the start
            case "continue_as_new_workflow_execution":
                self._continue(run, command.continue_as_new_workflow_execution)
            case "complete_workflow_execution":
                run.result = command.complete_workflow_execution.result
                self._close(run, "completed")
            case "fail_workflow_execution":
                run.failure = command.fail_workflow_execution.failure
                self._close(run, "failed")
            case "cancel_workflow_execution":
                run.failure = failures.cancelled()
                self._close(run, "cancelled")
            case other:
                raise StageError(
                    f"{run.workflow_type} uses {other}, which the stage does not perform; a journey has no need of "
                    "it, so write the step with the verbs of Player."
                )

    def _start_timer(self, run: StageRun, seq: int, after: Duration) -> None:
        run.timers.add(seq)
        self.at(self.now + duration_of(after), partial(self._fire, run, run.chapter, seq))

    def _fire(self, run: StageRun, chapter: int, seq: int) -> None:
        if run.open and run.chapter == chapter and seq in run.timers:
            run.timers.discard(seq)
            self._submit(run, Job(fire_timer=FireTimer(seq=seq)))

    def _describe(self, known: dict[str, Payload], changed: Any) -> None:
        for name, value in changed.items():
            if value.data in {b"null", b"[]", b""}:
                known.pop(name, None)
            else:
                known[name] = value

    def _continue(self, run: StageRun, command: ContinueAsNewWorkflowExecution) -> None:
        self._evict(run)
        run.forget_chapter()
        run.chapter += 1
        run.started_at = self.now
        run.workflow_type = command.workflow_type or run.workflow_type
        if command.memo:
            run.memo = dict(command.memo)
        if command.HasField("search_attributes"):
            run.search_attributes = dict(command.search_attributes.indexed_fields)
        begin = partial(self._initialise, run, list(command.arguments))
        self.at(self.now + duration_of(command.backoff_start_interval), begin)

    def _close(self, run: StageRun, status: str) -> None:
        run.status, run.closed_at = status, self.now
        self._evict(run)
        run.forget_chapter()
        self._closed(run)


class loop_kept:  # noqa: N801 - read as `with loop_kept():`
    """An instance sets itself as the running loop and leaves none; whoever called us gets theirs back."""

    __slots__ = ("outer",)

    def __enter__(self) -> None:
        self.outer = asyncio._get_running_loop()  # noqa: SLF001 - as the SDK's own worker does

    def __exit__(self, *_: object) -> None:
        asyncio._set_running_loop(self.outer)  # noqa: SLF001 - as the SDK's own worker does


def _signal_job(name: str, arguments: Sequence[Payload], event: int) -> Job:
    # Without an originating event the SDK warns that it cannot order the signal.
    return Job(signal_workflow=SignalWorkflow(signal_name=name, input=arguments, originating_event_id=event))


def _place(error: BaseException, cls: type[Any]) -> tuple[str, int | None]:
    """Where in the workflow's own file an error came from."""
    file, line = "", None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_globals.get("__name__") == cls.__module__:
            file, line = trace.tb_frame.f_code.co_filename.rpartition("/")[2], trace.tb_lineno
        trace = trace.tb_next
    return file, line


def _timestamp(moment: datetime) -> Timestamp:
    since = moment - EPOCH
    return Timestamp(seconds=since.days * 86_400 + since.seconds, nanos=since.microseconds * 1_000)
