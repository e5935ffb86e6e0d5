"""Scheduled telling: the workflow that a schedule starts so that people hear of tasks and of their morning."""

from datetime import timedelta
from typing import Final

from pydantic import BaseModel
from temporalio import workflow
from temporalio.common import RetryPolicy

TELL_PEOPLE: Final = "tell_people"
#: How long one pass may take in all; the next one begins anew.
TELL_LIMIT: Final = timedelta(minutes=5)
#: After this time without a heartbeat it is tried again elsewhere; a mail may take twenty seconds.
_HEARTBEAT: Final = timedelta(seconds=90)


class Told(BaseModel):
    """How much there was to tell: tasks looked at, people whose morning it is, mails handed over."""

    tasks: int = 0
    digests: int = 0
    mails: int = 0


# Without the sandbox, as other maintenance: it decides nothing.
@workflow.defn(name="TellPeople", sandboxed=False)
class TellPeople:
    """Tells people what there is to tell; how much there was."""

    @workflow.run
    async def run(self) -> Told:
        """Run once."""
        told: Told = await workflow.execute_activity(
            TELL_PEOPLE,
            result_type=Told,
            schedule_to_close_timeout=TELL_LIMIT,
            heartbeat_timeout=_HEARTBEAT,
            retry_policy=RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30)),
        )
        return told
