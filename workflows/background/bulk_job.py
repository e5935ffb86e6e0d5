"""The workflow of a bulk job: calls an activity again and again until all its players are through.

It survives any worker and knows nothing of the work: who is done and who is next stands in Postgres, moved by the
activity batch by batch.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final, Literal

from pydantic import BaseModel
from temporalio import workflow

from workflows.effect_retries import UNTIL_THE_WORLD_ANSWERS
from workflows.run import retry_policy

#: The workflow's name, which no journey can have.
NAME: Final = "long work"
#: Its signal; whoever sends it must spell it as the workflow does, so both read it here.
WAKE: Final = "wake"
BulkJobKind = Literal["enrol", "stop", "resume", "migrate", "stop_shadow"]

#: The activity that works on each kind of job. Jobs under way name theirs: a kind keeps its own for good.
ACTIVITIES: Final[Mapping[str, str]] = {
    # Lets players into a journey.
    "enrol": "enrol",
    # Ends the runs of a journey.
    "stop": "stop_runs",
    # Tells held runs to go on.
    "resume": "resume_runs",
    # Tells runs to move to another release of their journey.
    "migrate": "migrate_runs",
    # Ends the shadow runs of a shadow.
    "stop_shadow": "stop_shadow_runs",
}

#: After this time without a heartbeat a worker is taken for dead, and another goes on.
HEARTBEAT_TIMEOUT: Final = timedelta(seconds=15)
#: How long one worker goes on before the work is handed out anew, and the most its last batch may take.
ATTEMPT_LIMIT: Final = timedelta(minutes=5)
LAST_BATCH: Final = timedelta(minutes=2)


class BulkJobInput(BaseModel):
    """Which job, and the activity that works on it."""

    job_id: str
    activity: str


class BatchResult(BaseModel):
    """Whether there is more to do; not when the job is done, or held by somebody."""

    more: bool


@workflow.defn(name=NAME)
class BulkJobWorkflow:
    """Calls an activity until there is no more to do, and once more whenever it is woken."""

    def __init__(self) -> None:
        self._wanted = True

    @workflow.signal(name=WAKE, description="Look again: the job may have been resumed.")
    def wake(self) -> None:
        """Look at the job once more before leaving."""
        self._wanted = True

    @workflow.run
    async def run(self, work: BulkJobInput) -> None:
        """Work until nothing is left. Temporal closes no workflow over a signal, so no `wake` is lost."""
        while self._wanted:
            self._wanted = False
            worked = await workflow.execute_activity(
                work.activity,
                work,
                result_type=BatchResult,
                heartbeat_timeout=HEARTBEAT_TIMEOUT,
                start_to_close_timeout=ATTEMPT_LIMIT + LAST_BATCH,
                retry_policy=retry_policy(UNTIL_THE_WORLD_ANSWERS),
            )
            if worked.more and workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(work)
            self._wanted = self._wanted or worked.more
