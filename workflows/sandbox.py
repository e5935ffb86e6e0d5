"""How journeys are run by the SDK: in its sandbox, with the engine itself passed through."""

from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.converter import (
    DataConverter,
    SerializationContext,
    StorageDriverStoreContext,
    StorageDriverWorkflowInfo,
    WorkflowSerializationContext,
)
from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions
from temporalio.workflow import Info

# Imported once a process instead of once a run, because they hold no state of a run. `workflows`
# itself is left out: passing it through would pass the journeys through, and unchecked code with them.
ENGINE = (
    "conditions",
    "effects",
    "errors",
    "events",
    "forms",
    "journey",
    "measures",
    "moments",
    "occasions",
    "player",
    "rewards",
    "rules",
    "segments",
)
PASSED_THROUGH = tuple(f"workflows.{name}" for name in ENGINE)


def runner(converter: DataConverter | None = None) -> SandboxedWorkflowRunner:
    """The workflow runner for journeys, the same for the worker, the tests and replay.

    Where `converter` does not care whose payload it converts, its runs are not asked in their sandbox for that each
    time, which is a seventh of a worker's time. Without one nobody knows, and they are asked.
    """
    restrictions = SandboxRestrictions.default.with_passthrough_modules(*PASSED_THROUGH)
    if converter is None or _wants_context(converter):
        return SandboxedWorkflowRunner(restrictions=restrictions)
    return _Unasked(restrictions=restrictions)


def _wants_context(converter: DataConverter) -> bool:
    told = converter.with_context(WorkflowSerializationContext(namespace="", workflow_id=""))
    return converter.external_storage is not None or told is not converter


class _Unasked(SandboxedWorkflowRunner):
    """Temporal's sandbox, for payloads that are the same wherever they belong."""

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
