"""How a server words what went wrong: the failures that come back to a run, as protobuf messages."""

from typing import Any

from temporalio.api.enums.v1 import RetryState, TimeoutType
from temporalio.api.failure.v1 import (
    ActivityFailureInfo,
    CanceledFailureInfo,
    Failure,
    TimeoutFailureInfo,
)

TIMEOUTS = {
    TimeoutType.TIMEOUT_TYPE_START_TO_CLOSE: "activity StartToClose timeout",
    TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE: "activity ScheduleToClose timeout",
}


def cancelled(message: str = "Cancelled") -> Failure:
    """Somebody asked for it to stop."""
    return Failure(message=message, canceled_failure_info=CanceledFailureInfo())


def timed_out(kind: TimeoutType.ValueType, last: Failure | None = None) -> Failure:
    """An activity took longer than its limit; `last` is what its attempt before had failed of."""
    failure = Failure(message=TIMEOUTS[kind], timeout_failure_info=TimeoutFailureInfo(timeout_type=kind))
    if last is not None:
        failure.cause.CopyFrom(last)
    return failure


def of_activity(command: Any, message: str, cause: Failure, state: RetryState.ValueType) -> Failure:
    """What the run gets to hear of an activity that failed with `cause`."""
    info = ActivityFailureInfo(activity_id=command.activity_id, retry_state=state)
    info.activity_type.name = command.activity_type
    return Failure(message=message, activity_failure_info=info, cause=cause)
