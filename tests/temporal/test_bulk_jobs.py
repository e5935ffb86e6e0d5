"""The workflow of a bulk job on a real Temporal."""

import uuid
from datetime import timedelta

from temporalio import activity
from temporalio.client import Client
from temporalio.worker import Worker

from activities.bulk_jobs import wake_job
from activities.settings import MAINTENANCE_QUEUE
from local.slowness import slowness
from workflows.background.bulk_job import WAKE, BatchResult, BulkJobInput, BulkJobWorkflow
from workflows.temporal_internals import runner

RPC_LIMIT = timedelta(seconds=60 * slowness())


def test_a_job_is_woken_by_the_signal_that_jobs_of_older_releases_wait_for() -> None:
    assert WAKE == "wake"


async def test_a_job_that_is_woken_while_it_works_looks_once_more_before_it_leaves(temporal: Client) -> None:
    job_id, looks = f"job-{uuid.uuid4()}", 0

    @activity.defn(name="look")
    async def look(work: BulkJobInput) -> BatchResult:
        nonlocal looks
        looks += 1
        if looks == 1:
            await wake_job(temporal, work.job_id, work.activity, within=RPC_LIMIT)
        return BatchResult(more=False)

    async with Worker(
        temporal,
        task_queue=MAINTENANCE_QUEUE,
        workflows=[BulkJobWorkflow],
        activities=[look],
        workflow_runner=runner(),
    ):
        await wake_job(temporal, job_id, "look", within=RPC_LIMIT)
        await temporal.get_workflow_handle(f"job:{job_id}").result(rpc_timeout=RPC_LIMIT)
    assert looks == 2
