"""The attempt of an effect that is under way: which it is, since when there are some, when the next one comes."""

from datetime import timedelta

from temporalio import activity
from temporalio.exceptions import ApplicationError


def attempt_number() -> int:
    """Which attempt this is; the first where no worker makes it."""
    return activity.info().attempt if activity.in_activity() else 1


def tried_for() -> timedelta:
    """For how long the effect has been tried."""
    if not activity.in_activity():
        return timedelta(0)
    info = activity.info()
    return info.started_time - info.scheduled_time


def retry_after(error: Exception, pause: timedelta | None, *, within: timedelta | None = None) -> Exception:
    """The error that makes Temporal try again after `pause`, but `within` that time; the same error without a pause.

    Something is to happen at the end of `within`, so the attempt comes a second later at the earliest.
    """
    if pause is None:
        return error
    if within is not None:
        pause = min(pause, max(within, timedelta(0)) + timedelta(seconds=1))
    return ApplicationError(str(error), type=type(error).__name__, next_retry_delay=pause)
