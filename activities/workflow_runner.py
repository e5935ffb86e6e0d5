"""The sandbox of journeys, asked no more than it has to say."""

from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.converter import (
    ActivitySerializationContext,
    DataConverter,
    SerializationContext,
    StorageDriverStoreContext,
    StorageDriverWorkflowInfo,
    WorkflowSerializationContext,
)
from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner
from temporalio.workflow import Info

from workflows.temporal_internals import runner

OF_EFFECT = ActivitySerializationContext(
    namespace="",
    activity_id="",
    activity_type="",
    activity_task_queue="",
    workflow_id="",
    workflow_type="",
    is_local=False,
)


def runner_for(converter: DataConverter) -> SandboxedWorkflowRunner:
    """The runner of a worker whose payloads `converter` makes.

    For every payload the SDK asks the run in its sandbox whose it is, three times over. Where the converter does not
    care, nobody is asked, which is an eighth of a worker's time.
    """
    of_run = WorkflowSerializationContext(namespace="", workflow_id="")
    if converter.external_storage is not None or any(
        converter.with_context(context) is not converter for context in (of_run, OF_EFFECT)
    ):
        return runner()
    return _Unasked(restrictions=runner().restrictions)


class _Unasked(SandboxedWorkflowRunner):
    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        return _Instance(super().create_instance(det))


class _Instance(WorkflowInstance):
    """A run in its sandbox that is left in peace between its activations."""

    def __init__(self, sandboxed: WorkflowInstance) -> None:
        self._sandboxed = sandboxed
        info = sandboxed.get_info()
        self._stored = StorageDriverStoreContext(
            target=StorageDriverWorkflowInfo(
                namespace=info.namespace, id=info.workflow_id, run_id=info.run_id, type=info.workflow_type
            )
        )

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        return self._sandboxed.activate(act)

    def get_serialization_context(self, command_info: object) -> SerializationContext | None:  # noqa: ARG002 - the SDK's signature
        return None

    def get_external_store_context(self, command_info: object) -> StorageDriverStoreContext:  # noqa: ARG002 - the SDK's signature
        return self._stored

    def get_info(self) -> Info:
        return self._sandboxed.get_info()

    def get_thread_id(self) -> int | None:
        return self._sandboxed.get_thread_id()
