"""What runs have to do with each other: children, and signals and cancellations between runs."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Protocol

from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import WorkflowIdReusePolicy as Reuse
from temporalio.bridge.proto.child_workflow import (
    Cancellation,
    ChildWorkflowCancellationType,
    ChildWorkflowResult,
    Failure,
    ParentClosePolicy,
    StartChildWorkflowExecutionFailedCause,
    Success,
)
from temporalio.bridge.proto.workflow_activation import (
    ResolveChildWorkflowExecution,
    ResolveChildWorkflowExecutionStart,
    ResolveChildWorkflowExecutionStartCancelled,
    ResolveChildWorkflowExecutionStartFailure,
    ResolveChildWorkflowExecutionStartSuccess,
    ResolveRequestCancelExternalWorkflow,
    ResolveSignalExternalWorkflow,
)
from temporalio.bridge.proto.workflow_activation import WorkflowActivationJob as Job
from temporalio.bridge.proto.workflow_commands import (
    RequestCancelExternalWorkflowExecution,
    SignalExternalWorkflowExecution,
    StartChildWorkflowExecution,
)

from stage.errors import StageError
from stage.temporal import failures
from stage.temporal.runs import Child, StageRun

NOT_FOUND = "ExternalWorkflowExecutionNotFound"
NOT_PERFORMED = (
    "cron_schedule",
    "retry_policy",
    "workflow_execution_timeout",
    "workflow_run_timeout",
)


class Server(Protocol):
    """What is asked of the server that keeps the runs."""

    now: datetime
    runs: dict[str, StageRun]

    def at(self, moment: datetime, happen: Callable[[], object]) -> None:
        """Have something happen at a moment."""

    def create(self, workflow_type: str, workflow_id: str, *, parent: tuple[StageRun, Child] | None = None) -> StageRun:
        """A run that has not begun yet."""

    def initialise(self, run: StageRun, arguments: Sequence[Payload]) -> None:
        """Begin a chapter of a run."""

    def tell(self, run: StageRun, *jobs: Job) -> None:
        """Give an open run something new."""

    def deliver_signal(self, workflow_id: str, name: str, arguments: Sequence[Payload]) -> bool:
        """Signal a run now; False when there is none under way."""

    def cancel(self, workflow_id: str, reason: str = "") -> None:
        """Ask a run to cancel."""

    def terminate(self, workflow_id: str) -> None:
        """End a run without asking it."""


class Relations:
    """Carries what runs ask of other runs from one to the other."""

    def __init__(self, server: Server, namespace: str) -> None:
        self._server = server
        self._namespace = namespace

    # ---- children ----------------------------------------------------------------------------

    def start_child(self, run: StageRun, command: StartChildWorkflowExecution) -> None:
        """Start a child; its parent hears of the start before the child does anything."""
        for name in NOT_PERFORMED:
            asked = getattr(command, name) if name == "cron_schedule" else command.HasField(name)  # type: ignore[arg-type]
            if asked:
                raise StageError(
                    f"{run.workflow_type} starts {command.workflow_type} with a {name}, which the stage does not "
                    "perform; start it without and rehearse that part on a server."
                )
        child = run.children[command.seq] = Child(command, chapter=run.chapter, task=run.tasks)
        self._server.at(self._server.now, partial(self._begin_child, run, child))

    def _begin_child(self, run: StageRun, child: Child) -> None:
        command = child.command
        abandoned = command.parent_close_policy == ParentClosePolicy.PARENT_CLOSE_POLICY_ABANDON
        parent_is_there = run.open and run.chapter == child.chapter
        if child.dropped or not (parent_is_there or abandoned):
            return
        answer = ResolveChildWorkflowExecutionStart(seq=command.seq)
        if self._taken(command):
            answer.failed.CopyFrom(
                ResolveChildWorkflowExecutionStartFailure(
                    workflow_id=command.workflow_id,
                    workflow_type=command.workflow_type,
                    cause=StartChildWorkflowExecutionFailedCause.START_CHILD_WORKFLOW_EXECUTION_FAILED_CAUSE_WORKFLOW_ALREADY_EXISTS,
                )
            )
            child.told = True
            run.children.pop(command.seq, None)
            self._tell(run, child.chapter, Job(resolve_child_workflow_execution_start=answer))
            return
        begun = self._server.create(command.workflow_type, command.workflow_id, parent=(run, child))
        begun.memo.update(command.memo)
        begun.search_attributes.update(command.search_attributes.indexed_fields)
        answer.succeeded.CopyFrom(ResolveChildWorkflowExecutionStartSuccess(run_id=begun.run_id))
        if not child.told:
            self._tell(run, child.chapter, Job(resolve_child_workflow_execution_start=answer))
        self._server.initialise(begun, list(command.input))

    def _taken(self, command: StartChildWorkflowExecution) -> bool:
        known = self._server.runs.get(command.workflow_id)
        if known is None:
            return False
        policy = command.workflow_id_reuse_policy
        if known.open:
            if policy != Reuse.WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING:
                return True
            self._server.terminate(command.workflow_id)
            return False
        if policy == Reuse.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY:
            return known.status == "completed"
        return policy == Reuse.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE

    def cancel_child(self, run: StageRun, seq: int, reason: str) -> None:
        """Obey a parent that no longer wants its child."""
        child = run.children.get(seq)
        if child is None or child.told:
            return
        kind = child.command.cancellation_type
        if child.task == run.tasks:
            child.told = child.dropped = True
            run.children.pop(seq)
            message = f"Child Workflow Execution cancelled before scheduled: {reason}"
            start = ResolveChildWorkflowExecutionStart(
                seq=seq, cancelled=ResolveChildWorkflowExecutionStartCancelled(failure=failures.cancelled(message))
            )
            run.jobs.append(Job(resolve_child_workflow_execution_start=start))
            return
        if kind != ChildWorkflowCancellationType.ABANDON:
            self._server.at(self._server.now, partial(self._server.cancel, child.command.workflow_id, reason))
        if kind in {ChildWorkflowCancellationType.ABANDON, ChildWorkflowCancellationType.TRY_CANCEL}:
            child.told = True
            run.jobs.append(self._outcome(child, "cancelled"))

    def closed(self, run: StageRun) -> None:
        """A run is over, or one chapter of it: tell its parent, and do with its children as it asked."""
        if run.parent is not None and not run.open:
            parent, child = run.parent
            if not child.told:
                child.told = True
                answer = self._outcome(child, run.status, run)
                self._server.at(self._server.now, partial(self._tell, parent, child.chapter, answer))
        for child in run.children.values():
            known = self._server.runs.get(child.command.workflow_id)
            if known is None or known.parent is None or known.parent[1] is not child:
                continue
            match child.command.parent_close_policy:
                case ParentClosePolicy.PARENT_CLOSE_POLICY_ABANDON:
                    pass
                case ParentClosePolicy.PARENT_CLOSE_POLICY_REQUEST_CANCEL:
                    self._server.at(self._server.now, partial(self._server.cancel, known.workflow_id))
                case _:
                    child.told = True
                    self._server.at(self._server.now, partial(self._server.terminate, known.workflow_id))

    def _outcome(self, child: Child, outcome: str, run: StageRun | None = None) -> Job:
        command = child.command
        if outcome == "completed":
            assert run is not None
            result = ChildWorkflowResult(completed=Success(result=run.result))
        else:
            cause = {"cancelled": failures.cancelled(""), "terminated": failures.terminated()}.get(outcome)
            if cause is None and run is not None:
                cause = run.failure
            failure = failures.of_child(self._namespace, command.workflow_id, command.workflow_type, outcome, cause)
            if outcome == "cancelled":
                result = ChildWorkflowResult(cancelled=Cancellation(failure=failure))
            else:
                result = ChildWorkflowResult(failed=Failure(failure=failure))
        return Job(resolve_child_workflow_execution=ResolveChildWorkflowExecution(seq=command.seq, result=result))

    # ---- any other run -----------------------------------------------------------------------

    def signal(self, run: StageRun, command: SignalExternalWorkflowExecution) -> None:
        """Send another run a signal; the sender hears whether there was one to get it."""
        run.signals.add(command.seq)
        chapter = run.chapter

        def send() -> None:
            if run.chapter == chapter and run.open:
                if command.seq not in run.signals:
                    return
                run.signals.discard(command.seq)
            target = command.child_workflow_id or command.workflow_execution.workflow_id
            answer = ResolveSignalExternalWorkflow(seq=command.seq)
            if not self._server.deliver_signal(target, command.signal_name, list(command.args)):
                answer.failure.CopyFrom(
                    failures.refused("Unable to signal external workflow because it was not found", NOT_FOUND)
                )
            self._tell(run, chapter, Job(resolve_signal_external_workflow=answer))

        self._server.at(self._server.now, send)

    def cancel_signal(self, run: StageRun, seq: int) -> None:
        """Take back a signal that is not sent yet."""
        if seq in run.signals:
            run.signals.discard(seq)
            failure = failures.cancelled("Signal was cancelled before being sent")
            answer = ResolveSignalExternalWorkflow(seq=seq, failure=failure)
            run.jobs.append(Job(resolve_signal_external_workflow=answer))

    def request_cancel(self, run: StageRun, command: RequestCancelExternalWorkflowExecution) -> None:
        """Ask another run to cancel; the sender hears whether there was one to ask."""
        chapter = run.chapter

        def ask() -> None:
            target = self._server.runs.get(command.workflow_execution.workflow_id)
            answer = ResolveRequestCancelExternalWorkflow(seq=command.seq)
            if target is None or not target.open:
                answer.failure.CopyFrom(
                    failures.refused("Unable to cancel external workflow because not found", NOT_FOUND)
                )
            else:
                self._server.cancel(target.workflow_id, command.reason)
            self._tell(run, chapter, Job(resolve_request_cancel_external_workflow=answer))

        self._server.at(self._server.now, ask)

    def _tell(self, run: StageRun, chapter: int, job: Job) -> None:
        if run.chapter == chapter:
            self._server.tell(run, job)
