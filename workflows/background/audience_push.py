"""The workflow that a Temporal Schedule starts to tell ad networks who is in an audience."""

from datetime import timedelta
from typing import Final

from pydantic import BaseModel, Field
from temporalio import workflow
from temporalio.common import RetryPolicy

PUSH: Final = "push_audiences"
#: How long one pass may take in all; the next one goes on where it stopped.
PUSH_LIMIT: Final = timedelta(minutes=30)
#: After this time without a heartbeat it is tried again elsewhere; one request may take thirty seconds.
_HEARTBEAT: Final = timedelta(seconds=90)


class Pushed(BaseModel):
    """How many people were added and taken out, and of which audiences their network was not reached."""

    added: int = 0
    removed: int = 0
    failed: list[str] = Field(default_factory=list)


# Without the sandbox, as other maintenance: it decides nothing.
@workflow.defn(name="PushAudiences", sandboxed=False)
class PushAudiences:
    """Tells ad networks who joined an audience and who is out of it."""

    @workflow.run
    async def run(self) -> Pushed:
        """Run once."""
        pushed: Pushed = await workflow.execute_activity(
            PUSH,
            result_type=Pushed,
            schedule_to_close_timeout=PUSH_LIMIT,
            heartbeat_timeout=_HEARTBEAT,
            retry_policy=RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30)),
        )
        return pushed
