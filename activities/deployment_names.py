"""The names of one deployment in Temporal, so that several can share a namespace.

The code speaks of queues and workflows by the names of the deployment that has a namespace to itself. The client of any
other one puts its name before everything that leaves, so that none can start, hear or stop what belongs to another.
Each deployment has a database of its own.
"""

from dataclasses import replace
from typing import Any, Final

from temporalio.client import (
    CancelWorkflowInput,
    DescribeWorkflowInput,
    FetchWorkflowHistoryEventsInput,
    Interceptor,
    OutboundInterceptor,
    QueryWorkflowInput,
    SignalWorkflowInput,
    StartWorkflowInput,
    TerminateWorkflowInput,
    WorkflowExecutionDescription,
    WorkflowHandle,
    WorkflowHistoryEventAsyncIterator,
)

#: The deployment whose names stand in the code.
DEFAULT: Final = "journeys"


def queue_in(deployment: str, queue: str) -> str:
    """A task queue of ours as this deployment calls it: `journeys-upkeep` becomes `acme-upkeep`."""
    return deployment + queue.removeprefix(DEFAULT)


def workflow_in(deployment: str, workflow_id: str) -> str:
    """A workflow's id as this deployment calls it: `welcome:acme:p-1:1` becomes `acme/welcome:acme:p-1:1`."""
    prefix = "" if deployment == DEFAULT else f"{deployment}/"
    return prefix + workflow_id.removeprefix(prefix)


class DeploymentNames(Interceptor):
    """Has a client speak of workflows and queues as its deployment calls them."""

    def __init__(self, deployment: str) -> None:
        self.deployment = deployment

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:  # noqa: A002 - the SDK's name
        """Stand between a client and Temporal."""
        return _Renaming(next, self.deployment)


class _Renaming(OutboundInterceptor):
    def __init__(self, following: OutboundInterceptor, deployment: str) -> None:
        super().__init__(following)
        self._deployment = deployment

    def _named(self, workflow_id: str) -> str:
        return workflow_in(self._deployment, workflow_id)

    async def start_workflow(self, input: StartWorkflowInput) -> WorkflowHandle[Any, Any]:  # noqa: A002 - the SDK's name, here and below
        queue = queue_in(self._deployment, input.task_queue)
        return await super().start_workflow(replace(input, id=self._named(input.id), task_queue=queue))

    async def signal_workflow(self, input: SignalWorkflowInput) -> None:  # noqa: A002
        await super().signal_workflow(replace(input, id=self._named(input.id)))

    async def query_workflow(self, input: QueryWorkflowInput) -> Any:  # noqa: A002
        return await super().query_workflow(replace(input, id=self._named(input.id)))

    async def cancel_workflow(self, input: CancelWorkflowInput) -> None:  # noqa: A002
        await super().cancel_workflow(replace(input, id=self._named(input.id)))

    async def terminate_workflow(self, input: TerminateWorkflowInput) -> None:  # noqa: A002
        await super().terminate_workflow(replace(input, id=self._named(input.id)))

    async def describe_workflow(self, input: DescribeWorkflowInput) -> WorkflowExecutionDescription:  # noqa: A002
        return await super().describe_workflow(replace(input, id=self._named(input.id)))

    def fetch_workflow_history_events(
        self,
        input: FetchWorkflowHistoryEventsInput,  # noqa: A002
    ) -> WorkflowHistoryEventAsyncIterator:
        return super().fetch_workflow_history_events(replace(input, id=self._named(input.id)))
