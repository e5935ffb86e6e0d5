"""How a server words what went wrong: the failures that come back to a run, as protobuf messages."""

from typing import Any

from temporalio.api.enums.v1 import RetryState, TimeoutType
from temporalio.api.failure.v1 import (
    ActivityFailureInfo,
    ApplicationFailureInfo,
    CanceledFailureInfo,
    ChildWorkflowExecutionFailureInfo,
    Failure,
    TerminatedFailureInfo,
    TimeoutFailureInfo,
)

TIMEOUTS = {
    TimeoutType.TIMEOUT_TYPE_START_TO_CLOSE: "activity StartToClose timeout",
    TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE: "activity ScheduleToClose timeout",
}


def cancelled(message: str = "Cancelled") -> Failure:
    """Somebody asked for it to stop."""
    return Failure(message=message, canceled_failure_info=CanceledFailureInfo())


def terminated() -> Failure:
    """It was stopped without being asked."""
    return Failure(message="Terminated", terminated_failure_info=TerminatedFailureInfo())


def timed_out(kind: TimeoutType.ValueType, last: Failure | None = None) -> Failure:
    """An activity took longer than its limit; `last` is what its attempt before had failed of."""
    failure = Failure(message=TIMEOUTS[kind], timeout_failure_info=TimeoutFailureInfo(timeout_type=kind))
    if last is not None:
        failure.cause.CopyFrom(last)
    return failure


def refused(message: str, kind: str) -> Failure:
    """The server itself would not do it."""
    return Failure(message=message, application_failure_info=ApplicationFailureInfo(type=kind))


def of_activity(command: Any, message: str, cause: Failure, state: RetryState.ValueType) -> Failure:
    """What the run gets to hear of an activity that failed with `cause`."""
    info = ActivityFailureInfo(activity_id=command.activity_id, retry_state=state)
    info.activity_type.name = command.activity_type
    return Failure(message=message, activity_failure_info=info, cause=cause)


def of_child(namespace: str, workflow_id: str, workflow_type: str, outcome: str, cause: Failure | None) -> Failure:
    """What a parent gets to hear of a child that did not complete."""
    info = ChildWorkflowExecutionFailureInfo(
        namespace=namespace, retry_state=RetryState.RETRY_STATE_NON_RETRYABLE_FAILURE
    )
    info.workflow_execution.workflow_id = workflow_id
    info.workflow_type.name = workflow_type
    return Failure(
        message=f"Child Workflow execution {outcome}", child_workflow_execution_failure_info=info, cause=cause
    )
