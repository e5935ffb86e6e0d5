"""Activities as a server runs them, in virtual time: attempts, retries, time limits, cancellation."""

from collections.abc import Callable
from datetime import UTC, timedelta
from functools import partial
from typing import Any

from temporalio.api.enums.v1 import RetryState, TimeoutType
from temporalio.api.failure.v1 import Failure
from temporalio.common import RetryPolicy

from stage.errors import StageError
from stage.virtual_temporal import failures
from stage.virtual_temporal.payload_converter import CONVERTER, FAILURES
from stage.virtual_temporal.runs import Activity, Call, StageRun, duration_of
from stage.virtual_temporal.virtual_clock import VirtualClock
from workflows.temporal_internals import (
    ActivityCancellationType,
    ActivityCancelled,
    ActivityFailed,
    ActivityResolution,
    ActivitySucceeded,
    DoBackoff,
    Job,
    ResolveActivity,
    ScheduleActivity,
    ScheduleLocalActivity,
)

#: A local activity that backs off longer than this leaves the waiting to a timer, unless it says otherwise.
LOCAL_RETRY_THRESHOLD = timedelta(minutes=1)

Perform = Callable[[Call], Any]
#: How long an attempt takes.
Latency = Callable[[Call], timedelta]


class TimedOut(Exception):
    """Raised by a world whose activity never answers: the attempt lasts until its time limit."""


def at_once(_call: Call) -> timedelta:
    """The latency of a world in which everything answers at once."""
    return timedelta(0)


class Attempts:
    """Performs activities. An attempt happens when it begins; its run hears of it `latency` later.

    An attempt whose latency reaches its time limit does nothing at all and times out.
    """

    def __init__(
        self, clock: VirtualClock, submit: Callable[[StageRun, Job], None], perform: Perform, latency: Latency
    ) -> None:
        self._clock = clock
        self._submit = submit
        self._perform = perform
        self._latency = latency

    def schedule(self, run: StageRun, command: ScheduleActivity | ScheduleLocalActivity) -> None:
        """Begin an activity; a local one before anything else happens to its run."""
        now = self._clock.now
        local = isinstance(command, ScheduleLocalActivity)
        activity = Activity(command, local=local, chapter=run.chapter, task=run.tasks, scheduled_at=now)
        run.activities[command.seq] = activity
        if isinstance(command, ScheduleLocalActivity):
            activity.attempt = max(1, command.attempt)
            if command.HasField("original_schedule_time"):
                activity.scheduled_at = command.original_schedule_time.ToDatetime(UTC)
        if limit := _limit(command, "schedule_to_close_timeout"):
            activity.deadline = activity.scheduled_at + limit
            self._clock.at(activity.deadline, partial(self._expire, run, activity))
        if local:
            run.locals.append(activity)
        else:
            self._clock.at(now, partial(self.attempt, run, activity))

    def attempt(self, run: StageRun, activity: Activity) -> None:
        """Make one attempt."""
        if activity.done or not _alive(run, activity):
            return
        clock, command = self._clock, activity.command
        if activity.deadline is not None and clock.now >= activity.deadline:
            self._expire(run, activity)
            return
        call = Call(
            name=command.activity_type,
            workflow_id=run.workflow_id,
            attempt=activity.attempt,
            now=clock.now,
            arguments=command.arguments,
            waited=clock.now - activity.scheduled_at,
        )
        activity.attempting = True
        takes = self._latency(call)
        if takes and takes >= self._limit_of_attempt(command):
            self._lapse(run, activity)
            return
        try:
            value = self._perform(call)
        except StageError:
            raise
        except TimedOut:
            self._lapse(run, activity)
        except Exception as error:  # noqa: BLE001 - whatever an effect raises is the activity's failure
            failure = Failure()
            FAILURES.to_failure(error, CONVERTER, failure)
            self._after(takes, partial(self._failed, run, activity, failure))
        else:
            [payload] = CONVERTER.to_payloads([value])
            self._after(takes, partial(self._completed, run, activity, ActivitySucceeded(result=payload)))

    def _limit_of_attempt(self, command: ScheduleActivity | ScheduleLocalActivity) -> timedelta:
        limit = _limit(command, "start_to_close_timeout") or _limit(command, "schedule_to_close_timeout")
        assert limit is not None, "the SDK schedules nothing without a limit"
        return limit

    def _lapse(self, run: StageRun, activity: Activity) -> None:
        """An attempt that never answers; without a limit of its own it lasts until the activity's deadline."""
        if limit := _limit(activity.command, "start_to_close_timeout"):
            failure = failures.timed_out(TimeoutType.TIMEOUT_TYPE_START_TO_CLOSE, activity.last_failure)
            self._after(limit, partial(self._failed, run, activity, failure))

    def _after(self, takes: timedelta, happen: Callable[[], None]) -> None:
        if takes > timedelta(0):
            self._clock.at(self._clock.now + takes, happen)
        else:
            happen()

    def _completed(self, run: StageRun, activity: Activity, success: ActivitySucceeded) -> None:
        if not activity.done:
            self._resolve(run, activity, ActivityResolution(completed=success))

    def _expire(self, run: StageRun, activity: Activity) -> None:
        """The time for all attempts together is over."""
        if not activity.done:
            failure = failures.timed_out(TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE, activity.last_failure)
            self._give_up(run, activity, failure, RetryState.RETRY_STATE_TIMEOUT)

    def _failed(self, run: StageRun, activity: Activity, failure: Failure) -> None:
        """An attempt failed: make another one later, or give up."""
        if activity.done or not _alive(run, activity):
            return
        activity.attempting = False
        policy = _policy(activity.command)
        stated = failure.application_failure_info
        pause = backoff(policy, activity.attempt)
        if stated.HasField("next_retry_delay"):
            pause = duration_of(stated.next_retry_delay)
        again_at = self._clock.now + pause
        state = RetryState.RETRY_STATE_IN_PROGRESS
        if activity.cancel_requested:
            state = RetryState.RETRY_STATE_CANCEL_REQUESTED
        elif stated.non_retryable or stated.type in (policy.non_retryable_error_types or ()):
            state = RetryState.RETRY_STATE_NON_RETRYABLE_FAILURE
        elif policy.maximum_attempts and activity.attempt >= policy.maximum_attempts:
            state = RetryState.RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED
        elif activity.deadline is not None and again_at > activity.deadline and not activity.local:
            state = RetryState.RETRY_STATE_TIMEOUT
            if failure.HasField("timeout_failure_info"):
                failure = failures.timed_out(TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE, activity.last_failure)
        if state != RetryState.RETRY_STATE_IN_PROGRESS:
            self._give_up(run, activity, failure, state)
        elif activity.local and pause > _threshold(activity.command):
            self._back_off(run, activity, pause)
        else:
            activity.attempt += 1
            activity.last_failure = failure
            self._clock.at(again_at, partial(self.attempt, run, activity))

    def _back_off(self, run: StageRun, activity: Activity, pause: timedelta) -> None:
        """Ask the run to wait with a timer and then to schedule the local activity anew."""
        wait = DoBackoff(attempt=activity.attempt + 1)
        wait.backoff_duration.FromTimedelta(pause)
        wait.original_schedule_time.FromDatetime(activity.scheduled_at)
        self._resolve(run, activity, ActivityResolution(backoff=wait))

    def _give_up(self, run: StageRun, activity: Activity, failure: Failure, state: RetryState.ValueType) -> None:
        timeout = failure.HasField("timeout_failure_info")
        if not activity.local:
            message = "Activity task timed out" if timeout else "Activity task failed"
            failure = failures.of_activity(activity.command, message, failure, state)
        elif timeout:
            failure = failures.of_activity(
                activity.command, "Local Activity timed out", failure, RetryState.RETRY_STATE_CANCEL_REQUESTED
            )
        self._resolve(run, activity, ActivityResolution(failed=ActivityFailed(failure=failure)))

    # ---- cancellation ------------------------------------------------------------------------

    def cancel(self, run: StageRun, seq: int) -> None:
        """Obey a run that no longer wants its activity; what the run hears depends on how it asked.

        An attempt under way is not interrupted: nothing on the stage listens while it works.
        """
        activity = run.activities.get(seq)
        if activity is None or activity.answered:
            return
        kind = activity.command.cancellation_type
        if activity.task == run.tasks and not activity.attempting:
            activity.done = True
        elif kind == ActivityCancellationType.ABANDON:
            pass
        elif activity.attempting and not activity.local:
            activity.cancel_requested = True
        else:
            activity.done = True
        if not activity.done and kind == ActivityCancellationType.WAIT_CANCELLATION_COMPLETED:
            return
        activity.answered = True
        message = "Local Activity cancelled" if activity.local else "Activity cancelled"
        failure = failures.of_activity(
            activity.command, message, failures.cancelled(""), RetryState.RETRY_STATE_CANCEL_REQUESTED
        )
        run.activities.pop(seq)
        run.jobs.append(_answer(activity, ActivityResolution(cancelled=ActivityCancelled(failure=failure))))

    def _resolve(self, run: StageRun, activity: Activity, resolution: ActivityResolution) -> None:
        activity.done = True
        if activity.answered or not _alive(run, activity):
            return
        activity.answered = True
        run.activities.pop(activity.command.seq, None)
        run.length += 1  # on a server, its start is an event too
        self._submit(run, _answer(activity, resolution))


def backoff(policy: RetryPolicy, attempt: int) -> timedelta:
    """The pause after a failed attempt; without a longest one it is a hundred times the first."""
    longest = policy.maximum_interval or policy.initial_interval * 100
    try:
        pause = policy.initial_interval.total_seconds() * policy.backoff_coefficient ** (attempt - 1)
    except OverflowError:
        return longest
    return longest if pause >= longest.total_seconds() else timedelta(seconds=pause)


def _answer(activity: Activity, resolution: ActivityResolution) -> Job:
    resolved = ResolveActivity(seq=activity.command.seq, result=resolution, is_local=activity.local)
    return Job(resolve_activity=resolved)


def _alive(run: StageRun, activity: Activity) -> bool:
    return run.open and run.chapter == activity.chapter


def _policy(command: ScheduleActivity | ScheduleLocalActivity) -> RetryPolicy:
    return RetryPolicy.from_proto(command.retry_policy) if command.HasField("retry_policy") else RetryPolicy()


def _limit(command: Any, name: str) -> timedelta | None:
    return (duration_of(getattr(command, name)) or None) if command.HasField(name) else None


def _threshold(command: ScheduleActivity | ScheduleLocalActivity) -> timedelta:
    return _limit(command, "local_retry_threshold") or LOCAL_RETRY_THRESHOLD
