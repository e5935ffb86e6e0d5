"""While a release rolls, another process may know a journey or a segment that this one does not know yet.

So nothing is refused for good because of that while a living process knows it (`processes.py`), nor before `RELEASE`
has passed: that process may only be starting.
"""

from datetime import timedelta
from typing import Final

from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

#: As long as a rolling release may take.
RELEASE: Final = timedelta(minutes=15)


def may_be_known_elsewhere(age: timedelta) -> bool:
    """Whether what is so old may be known to a process of another release."""
    return age < RELEASE


def retry_if_known_elsewhere(unknown: str, *, known: bool = False) -> None:
    """In an activity: have it tried again, perhaps by a worker that knows what this one does not.

    Raises ApplicationError `UnknownYet`, which is no cause for alarm, as long as another process has said that it knows
    (`known`) or the activity is young; returns when it is too old for that.
    """
    info = activity.info()
    if known or may_be_known_elsewhere(info.started_time - info.scheduled_time):
        raise ApplicationError(unknown, type="UnknownYet", category=ApplicationErrorCategory.BENIGN)
