"""A virtual Temporal: the real SDK workflow runtime, driven in-process along a heap of future moments.

The runtime gets the activations that a server would send and answers with the commands that it would send
back. Time is the heap: nothing waits, a month passes when its moments have been played. The same inputs give
the same trace on every machine, because moments of one instant are played in the order they were made.
"""

import asyncio
import hashlib
import heapq
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from temporalio import workflow
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.api.enums.v1 import RetryState, TimeoutType
from temporalio.api.failure.v1 import (
    ActivityFailureInfo,
    ApplicationFailureInfo,
    CanceledFailureInfo,
    ChildWorkflowExecutionFailureInfo,
    Failure,
    TimeoutFailureInfo,
)
from temporalio.bridge.proto import activity_result, child_workflow
from temporalio.bridge.proto import workflow_activation as activation
from temporalio.bridge.proto.workflow_commands import (
    ActivityCancellationType,
    ContinueAsNewWorkflowExecution,
    ScheduleActivity,
    ScheduleLocalActivity,
    StartChildWorkflowExecution,
    WorkflowCommand,
)
from temporalio.common import Priority, RetryPolicy, TypedSearchAttributes
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, WorkflowInstance, WorkflowInstanceDetails, WorkflowRunner

from stage.errors import StageError

TASK_QUEUE = "stage"
NAMESPACE = "stage"
# A server suggests a new chapter at this length; one more than a signal and an effect a step ever needs.
SUGGEST_CONTINUE_AS_NEW = 4_096

Perform = Callable[["Call"], Any]


@dataclass(frozen=True)
class Call:
    """One attempt of an activity, as the world is asked to perform it."""

    name: str
    workflow_id: str
    attempt: int
    now: datetime
    arguments: Sequence[Payload] = field(repr=False)

    def decode(self, kind: type[Any]) -> Any:
        """The single argument, as its type."""
        return pydantic_data_converter.payload_converter.from_payloads(self.arguments, [kind])[0]


class TimedOut(Exception):  # noqa: N818 - it says what happened to the attempt
    """Raised by a world whose activity never answered within its time limit."""


@dataclass
class Activity:
    """An activity under way: between attempts, or waiting for its result."""

    command: ScheduleActivity | ScheduleLocalActivity
    local: bool
    scheduled_at: datetime
    attempt: int = 1
    cancelled: bool = False
    done: bool = False


@dataclass
class Run:
    """One workflow: its living instance and everything it waits for."""

    workflow_id: str
    workflow_type: str
    run_id: str
    started_at: datetime
    instance: WorkflowInstance | None = None
    chapter: int = 1
    length: int = 0
    timers: set[int] = field(default_factory=set)
    activities: dict[int, Activity] = field(default_factory=dict)
    children: dict[int, str] = field(default_factory=dict)
    patches: set[str] = field(default_factory=set)
    parent: tuple[str, int] | None = None
    status: str = "running"
    result: Payload | None = None
    failure: Failure | None = None
    closed_at: datetime | None = None

    @property
    def open(self) -> bool:
        """Whether the run goes on."""
        return self.status == "running"


class VirtualTemporal:
    """Workflows, timers and activities on a clock that only moves when told.

    `perform` is called for every attempt of an activity, returns its result or raises; it runs at once and must
    not block. Errors that fail a workflow task on a server (a bug, a broken rule of replay) are raised here, from
    whichever call moved the clock.
    """

    def __init__(
        self,
        workflows: Sequence[type[Any]],
        perform: Perform,
        now: datetime,
        *,
        seed: int = 0,
        runner: WorkflowRunner | None = None,
        latency: Callable[[str], timedelta] = lambda _: timedelta(0),
    ) -> None:
        self.now = now
        self.runs: dict[str, Run] = {}
        self._perform = perform
        self._seed = seed
        self._latency = latency
        self._runner = runner or UnsandboxedWorkflowRunner()
        self._definitions = {d.name: d for d in map(workflow._Definition.must_from_class, workflows)}  # noqa: SLF001 - how the worker itself reads a class
        for definition in self._definitions.values():
            self._runner.prepare_workflow(definition)
        self._converter = pydantic_data_converter.payload_converter
        self._failures = pydantic_data_converter.failure_converter
        self._moments: list[tuple[datetime, int, Callable[[], None]]] = []
        self._order = 0
        self._loop = asyncio.new_event_loop()
        # It never runs: instances only want some loop to be set while they are made.
        self._loop.close()

    # ---- what a client does ------------------------------------------------------------------

    def start(self, workflow_type: str, workflow_id: str, argument: object) -> None:
        """Start a workflow now; an id is used once."""
        if workflow_id in self.runs:
            raise StageError(f"A run {workflow_id} exists already; ids are never used again.")
        self._begin(workflow_type, workflow_id, self._converter.to_payloads([argument]))

    def signal(self, workflow_id: str, name: str, argument: object) -> bool:
        """Signal a run now; False when it is over."""
        run = self.runs.get(workflow_id)
        if run is None or not run.open:
            return False
        self._signal(run, name, self._converter.to_payloads([argument]))
        return True

    def cancel(self, workflow_id: str) -> None:
        """Ask a run to cancel."""
        run = self.runs[workflow_id]
        if run.open:
            self._activate(run, activation.WorkflowActivationJob(cancel_workflow=activation.CancelWorkflow()))

    def query(self, workflow_id: str, name: str, kind: type[Any]) -> Any:
        """Ask a run that is still open."""
        run = self.runs[workflow_id]
        job = activation.WorkflowActivationJob(query_workflow=activation.QueryWorkflow(query_id="q", query_type=name))
        for command in self._commands(run, [job]):
            answer = command.respond_to_query
            if answer.HasField("failed"):
                raise self._failures.from_failure(answer.failed, self._converter)
            return self._converter.from_payloads([answer.succeeded.response], [kind])[0]
        raise StageError(f"The query {name} of {workflow_id} was not answered.")

    def result(self, workflow_id: str, kind: type[Any] = str) -> Any:
        """What a completed run returned; raises what a failed one raised."""
        run = self.runs[workflow_id]
        if run.status == "completed" and run.result is not None:
            return self._converter.from_payloads([run.result], [kind])[0]
        if run.failure is not None:
            raise self._failures.from_failure(run.failure, self._converter)
        raise StageError(f"{workflow_id} has no result: it is {run.status}.")

    # ---- the clock ---------------------------------------------------------------------------

    @property
    def next_moment(self) -> datetime | None:
        """When something is due next, or None."""
        return self._moments[0][0] if self._moments else None

    def at(self, moment: datetime, happen: Callable[[], None]) -> None:
        """Have something happen at a moment, after whatever was planned for it before."""
        self._order += 1
        heapq.heappush(self._moments, (max(moment, self.now), self._order, happen))

    def advance_to(self, until: datetime) -> None:
        """Play every moment up to and including `until`, which is now afterwards."""
        while self._moments and self._moments[0][0] <= until:
            self.step()
        self.now = max(self.now, until)

    def step(self) -> None:
        """Play the next moment."""
        moment, _, happen = heapq.heappop(self._moments)
        self.now = max(self.now, moment)
        happen()

    # ---- activations -------------------------------------------------------------------------

    def _begin(
        self,
        workflow_type: str,
        workflow_id: str,
        arguments: Sequence[Payload],
        *,
        parent: tuple[str, int] | None = None,
    ) -> Run:
        if workflow_type not in self._definitions:
            raise StageError(
                f"No workflow {workflow_type} is on this stage; it has {', '.join(map(str, self._definitions))}."
            )
        run = Run(workflow_id, workflow_type, f"{workflow_id}/1", self.now, parent=parent)
        self.runs[workflow_id] = run
        self._initialise(run, arguments)
        return run

    def _initialise(self, run: Run, arguments: Sequence[Payload]) -> None:
        digest = hashlib.sha256(f"{self._seed}:{run.run_id}".encode()).digest()
        seed = int.from_bytes(digest[:8], "big")
        details = WorkflowInstanceDetails(
            payload_converter_factory=lambda: self._converter,
            failure_converter_class=pydantic_data_converter.failure_converter_class,
            interceptor_classes=[],
            defn=self._definitions[run.workflow_type],
            info=self._info(run),
            randomness_seed=seed,
            extern_functions={},
            disable_eager_activity_execution=True,
            worker_level_failure_exception_types=[],
            patch_activation_callback=None,
            last_completion_result=Payloads(),
            last_failure=None,
        )
        with self._loop_set():
            # The runtime makes futures when it is made, and futures want to know their loop.
            asyncio._set_running_loop(self._loop)  # noqa: SLF001 - as the SDK's own worker does
            run.instance = self._runner.create_instance(details)
        begin = activation.InitializeWorkflow(
            workflow_type=run.workflow_type,
            workflow_id=run.workflow_id,
            arguments=arguments,
            randomness_seed=seed,
            attempt=1,
            first_execution_run_id=f"{run.workflow_id}/1",
            start_time=_timestamp(run.started_at),
        )
        self._activate(run, activation.WorkflowActivationJob(initialize_workflow=begin))

    def _info(self, run: Run) -> workflow.Info:
        first = f"{run.workflow_id}/1"
        return workflow.Info(
            attempt=1,
            continued_run_id=None if run.chapter == 1 else f"{run.workflow_id}/{run.chapter - 1}",
            cron_schedule=None,
            execution_timeout=None,
            first_execution_run_id=first,
            headers={},
            namespace=NAMESPACE,
            original_execution_run_id=run.run_id,
            parent=None
            if run.parent is None
            else workflow.ParentInfo(
                namespace=NAMESPACE, run_id=self.runs[run.parent[0]].run_id, workflow_id=run.parent[0]
            ),
            root=None,
            priority=Priority.default,
            raw_memo={},
            retry_policy=None,
            run_id=run.run_id,
            run_timeout=None,
            search_attributes={},
            start_time=self.now,
            workflow_start_time=run.started_at,
            task_queue=TASK_QUEUE,
            task_timeout=timedelta(seconds=10),
            typed_search_attributes=TypedSearchAttributes.empty,
            workflow_id=run.workflow_id,
            workflow_type=run.workflow_type,
        )

    def _signal(self, run: Run, name: str, arguments: Sequence[Payload]) -> None:
        # Without an originating event the SDK warns that it cannot order the signal.
        signal = activation.SignalWorkflow(signal_name=name, input=arguments, originating_event_id=run.length + 1)
        self._activate(run, activation.WorkflowActivationJob(signal_workflow=signal))

    def _activate(self, run: Run, *jobs: activation.WorkflowActivationJob) -> None:
        for command in self._commands(run, jobs):
            self._obey(run, command)
            if not run.open:
                break

    def _commands(self, run: Run, jobs: Sequence[activation.WorkflowActivationJob]) -> list[WorkflowCommand]:
        assert run.instance is not None
        run.length += 3 + len(jobs)
        sent = activation.WorkflowActivation(
            run_id=run.run_id,
            timestamp=_timestamp(self.now),
            history_length=run.length,
            continue_as_new_suggested=run.length >= SUGGEST_CONTINUE_AS_NEW,
            jobs=jobs,
        )
        with self._loop_set():
            completion = run.instance.activate(sent)
        if completion.HasField("failed"):
            cause = self._failures.from_failure(completion.failed.failure, self._converter)
            raise StageError(
                f"The code of {run.workflow_type} broke at {self.now.isoformat()} in {run.workflow_id}: {cause}"
            ) from cause
        return list(completion.successful.commands)

    @contextmanager
    def _loop_set(self) -> Iterator[None]:
        """Activations set the running loop and leave none; whoever called us gets theirs back."""
        outer = asyncio._get_running_loop()  # noqa: SLF001 - as the SDK's own worker does
        try:
            yield
        finally:
            asyncio._set_running_loop(outer)  # noqa: SLF001 - as the SDK's own worker does

    # ---- commands ----------------------------------------------------------------------------

    def _obey(self, run: Run, command: WorkflowCommand) -> None:
        variant = command.WhichOneof("variant")
        match variant:
            case "start_timer":
                self._start_timer(run, command.start_timer.seq, command.start_timer.start_to_fire_timeout)
            case "cancel_timer":
                run.timers.discard(command.cancel_timer.seq)
            case "schedule_activity":
                self._schedule(run, Activity(command.schedule_activity, local=False, scheduled_at=self.now))
            case "schedule_local_activity":
                local = command.schedule_local_activity
                self._schedule(run, Activity(local, local=True, scheduled_at=self.now, attempt=max(1, local.attempt)))
            case "request_cancel_activity":
                self._cancel_activity(run, command.request_cancel_activity.seq)
            case "request_cancel_local_activity":
                self._cancel_activity(run, command.request_cancel_local_activity.seq)
            case "start_child_workflow_execution":
                self._start_child(run, command.start_child_workflow_execution)
            case "cancel_child_workflow_execution":
                self._cancel_child(run, command.cancel_child_workflow_execution.child_workflow_seq)
            case "set_patch_marker":
                run.patches.add(command.set_patch_marker.patch_id)
            case "upsert_workflow_search_attributes" | "modify_workflow_properties":
                # Both only describe the run to people who list runs; nothing of it comes back to the code.
                run.length += 1
            case "continue_as_new_workflow_execution":
                self._continue(run, command.continue_as_new_workflow_execution)
            case "complete_workflow_execution":
                self._close(run, "completed", result=command.complete_workflow_execution.result)
            case "fail_workflow_execution":
                self._close(run, "failed", failure=command.fail_workflow_execution.failure)
            case "cancel_workflow_execution":
                self._close(run, "cancelled", failure=_cancelled())
            case _:
                raise StageError(
                    f"{run.workflow_type} uses {variant}, which the stage does not perform; a journey has no need of "
                    "it, so write the step with the verbs of Player."
                )

    def _start_timer(self, run: Run, seq: int, after: Duration) -> None:
        run.timers.add(seq)
        run_id = run.run_id

        def fire() -> None:
            if run.open and run.run_id == run_id and seq in run.timers:
                run.timers.discard(seq)
                self._activate(run, activation.WorkflowActivationJob(fire_timer=activation.FireTimer(seq=seq)))

        self.at(self.now + after.ToTimedelta(), fire)

    def _schedule(self, run: Run, activity: Activity) -> None:
        seq = activity.command.seq
        run.activities[seq] = activity
        run_id = run.run_id

        def attempt() -> None:
            if run.run_id == run_id and run.activities.get(seq) is activity and not activity.done:
                self._attempt(run, activity)

        self.at(self.now + self._latency(activity.command.activity_type), attempt)

    def _attempt(self, run: Run, activity: Activity) -> None:
        command = activity.command
        call = Call(
            name=command.activity_type,
            workflow_id=run.workflow_id,
            attempt=activity.attempt,
            now=self.now,
            arguments=list(command.arguments),
        )
        try:
            value = self._perform(call)
        except StageError:
            raise
        except TimedOut:
            failure = Failure(
                message="activity StartToClose timeout",
                timeout_failure_info=TimeoutFailureInfo(timeout_type=TimeoutType.TIMEOUT_TYPE_START_TO_CLOSE),
            )
            self._failed(run, activity, failure, retryable=True, error_type="", wanted=None)
        except Exception as error:  # noqa: BLE001 - whatever an effect raises is the activity's failure
            failure = Failure()
            self._failures.to_failure(error, self._converter, failure)
            if not failure.HasField("application_failure_info"):
                failure.application_failure_info.CopyFrom(ApplicationFailureInfo(type=type(error).__name__))
            stated = error if isinstance(error, ApplicationError) else None
            self._failed(
                run,
                activity,
                failure,
                retryable=stated is None or not stated.non_retryable,
                error_type=(stated.type or "") if stated else type(error).__name__,
                wanted=stated.next_retry_delay if stated else None,
            )
        else:
            [payload] = self._converter.to_payloads([value])
            self._resolve(
                run, activity, activity_result.ActivityResolution(completed=activity_result.Success(result=payload))
            )

    def _failed(
        self,
        run: Run,
        activity: Activity,
        failure: Failure,
        *,
        retryable: bool,
        error_type: str,
        wanted: timedelta | None,
    ) -> None:
        command = activity.command
        policy = RetryPolicy.from_proto(command.retry_policy) if command.HasField("retry_policy") else RetryPolicy()
        delay = wanted if wanted is not None else _backoff(policy, activity.attempt)
        over = _total_limit(command)
        state = RetryState.RETRY_STATE_UNSPECIFIED
        if not retryable or error_type in (policy.non_retryable_error_types or ()):
            state = RetryState.RETRY_STATE_NON_RETRYABLE_FAILURE
        elif policy.maximum_attempts and activity.attempt >= policy.maximum_attempts:
            state = RetryState.RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED
        elif over is not None and self.now + delay >= activity.scheduled_at + over:
            state = RetryState.RETRY_STATE_TIMEOUT
        if state == RetryState.RETRY_STATE_UNSPECIFIED and not activity.cancelled:
            activity.attempt += 1

            def again() -> None:
                if run.activities.get(command.seq) is activity and not activity.done:
                    self._attempt(run, activity)

            self.at(self.now + delay, again)
            return
        wrapped = failure
        if not activity.local:
            info = ActivityFailureInfo(activity_id=command.activity_id, retry_state=state)
            info.activity_type.name = command.activity_type
            wrapped = Failure(message="Activity task failed", activity_failure_info=info, cause=failure)
        self._resolve(
            run, activity, activity_result.ActivityResolution(failed=activity_result.Failure(failure=wrapped))
        )

    def _cancel_activity(self, run: Run, seq: int) -> None:
        activity = run.activities.get(seq)
        if activity is None or activity.done:
            return
        activity.cancelled = True
        if activity.command.cancellation_type == ActivityCancellationType.ABANDON:
            run.activities.pop(seq)
            return
        info = ActivityFailureInfo(activity_id=activity.command.activity_id)
        info.activity_type.name = activity.command.activity_type
        failure = Failure(message="Activity cancelled", activity_failure_info=info, cause=_cancelled())
        self._resolve(
            run, activity, activity_result.ActivityResolution(cancelled=activity_result.Cancellation(failure=failure))
        )

    def _resolve(self, run: Run, activity: Activity, resolution: activity_result.ActivityResolution) -> None:
        activity.done = True
        seq = activity.command.seq
        run.activities.pop(seq, None)
        run_id = run.run_id

        def tell() -> None:
            if run.open and run.run_id == run_id:
                resolved = activation.ResolveActivity(seq=seq, result=resolution, is_local=activity.local)
                self._activate(run, activation.WorkflowActivationJob(resolve_activity=resolved))

        # A command is obeyed inside an activation; its answer is always a later one.
        self.at(self.now, tell)

    # ---- other runs --------------------------------------------------------------------------

    def _start_child(self, run: Run, command: StartChildWorkflowExecution) -> None:
        run.children[command.seq] = command.workflow_id
        run_id = run.run_id

        def begin() -> None:
            if not run.open or run.run_id != run_id:
                return
            started = activation.ResolveChildWorkflowExecutionStartSuccess(run_id=f"{command.workflow_id}/1")
            self._activate(
                run,
                activation.WorkflowActivationJob(
                    resolve_child_workflow_execution_start=activation.ResolveChildWorkflowExecutionStart(
                        seq=command.seq, succeeded=started
                    )
                ),
            )
            self._begin(
                command.workflow_type, command.workflow_id, list(command.input), parent=(run.workflow_id, command.seq)
            )

        if command.workflow_id in self.runs:
            raise StageError(f"{run.workflow_id} starts a child {command.workflow_id}, and that id is taken.")
        self.at(self.now, begin)

    def _cancel_child(self, run: Run, seq: int) -> None:
        self.at(self.now, lambda: self.cancel(run.children[seq]) if run.children.get(seq) in self.runs else None)

    def _continue(self, run: Run, command: ContinueAsNewWorkflowExecution) -> None:
        run.chapter += 1
        run.run_id = f"{run.workflow_id}/{run.chapter}"
        run.length = 0
        run.timers.clear()
        run.activities.clear()
        run.patches.clear()
        run.workflow_type = command.workflow_type or run.workflow_type
        arguments = list(command.arguments)
        run.instance = None
        self.at(self.now + command.backoff_start_interval.ToTimedelta(), lambda: self._initialise(run, arguments))

    def _close(self, run: Run, status: str, *, result: Payload | None = None, failure: Failure | None = None) -> None:
        run.status, run.result, run.failure, run.closed_at = status, result, failure, self.now
        run.instance = None
        run.timers.clear()
        run.activities.clear()
        if run.parent is not None:
            self._tell_parent(run)

    def _tell_parent(self, run: Run) -> None:
        assert run.parent is not None
        parent, seq = self.runs[run.parent[0]], run.parent[1]
        if run.status == "completed":
            outcome = child_workflow.ChildWorkflowResult(completed=child_workflow.Success(result=run.result))
        else:
            info = ChildWorkflowExecutionFailureInfo(namespace=NAMESPACE)
            info.workflow_execution.workflow_id = run.workflow_id
            info.workflow_type.name = run.workflow_type
            failure = Failure(
                message="Child workflow failed", child_workflow_execution_failure_info=info, cause=run.failure
            )
            outcome = (
                child_workflow.ChildWorkflowResult(cancelled=child_workflow.Cancellation(failure=failure))
                if run.status == "cancelled"
                else child_workflow.ChildWorkflowResult(failed=child_workflow.Failure(failure=failure))
            )

        def tell() -> None:
            if parent.open and parent.children.pop(seq, None) is not None:
                resolved = activation.ResolveChildWorkflowExecution(seq=seq, result=outcome)
                self._activate(parent, activation.WorkflowActivationJob(resolve_child_workflow_execution=resolved))

        self.at(self.now, tell)


def _backoff(policy: RetryPolicy, attempt: int) -> timedelta:
    """The pause after a failed attempt, by the SDK's rule; the default longest is a hundred times the first."""
    longest = policy.maximum_interval or policy.initial_interval * 100
    pause = policy.initial_interval.total_seconds() * policy.backoff_coefficient ** min(attempt - 1, 60)
    return min(timedelta(seconds=min(pause, longest.total_seconds())), longest)


def _total_limit(command: ScheduleActivity | ScheduleLocalActivity) -> timedelta | None:
    if not command.HasField("schedule_to_close_timeout"):
        return None
    limit = command.schedule_to_close_timeout.ToTimedelta()
    return limit if limit > timedelta(0) else None


def _cancelled() -> Failure:
    return Failure(message="Cancelled", canceled_failure_info=CanceledFailureInfo())


def _timestamp(moment: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment.astimezone(UTC).replace(tzinfo=None))
    return stamp
