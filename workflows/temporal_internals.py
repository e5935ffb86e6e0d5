"""Everything we use of the SDK that it does not promise to keep, and how journeys are run by it.

The protocol between the SDK's core and its workflow runtime, the definition behind a workflow class and what a worker
asks of a run are private. Nobody else imports them, so that a new release of the SDK is looked at in one place;
`tests/unit/test_temporal_internals.py` names what it must still have.
"""

import threading
from collections.abc import Callable
from typing import Any

from temporalio import activity, workflow
from temporalio.bridge.proto.activity_result import (
    ActivityResolution,
    DoBackoff,
)
from temporalio.bridge.proto.activity_result import Cancellation as ActivityCancelled
from temporalio.bridge.proto.activity_result import Failure as ActivityFailed
from temporalio.bridge.proto.activity_result import Success as ActivitySucceeded
from temporalio.bridge.proto.workflow_activation import (
    CancelWorkflow,
    FireTimer,
    InitializeWorkflow,
    QueryWorkflow,
    RemoveFromCache,
    ResolveActivity,
    SignalWorkflow,
    WorkflowActivation,
)
from temporalio.bridge.proto.workflow_activation import WorkflowActivationJob as Job
from temporalio.bridge.proto.workflow_commands import (
    ActivityCancellationType,
    ContinueAsNewWorkflowExecution,
    ScheduleActivity,
    ScheduleLocalActivity,
    WorkflowCommand,
)
from temporalio.bridge.proto.workflow_completion import Success, WorkflowActivationCompletion
from temporalio.common import MetricMeter
from temporalio.converter import (
    ActivitySerializationContext,
    DataConverter,
    SerializationContext,
    StorageDriverStoreContext,
    StorageDriverWorkflowInfo,
    WorkflowSerializationContext,
)
from temporalio.worker import UnsandboxedWorkflowRunner, WorkflowInstance, WorkflowInstanceDetails, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions
from temporalio.worker.workflow_sandbox._importer import Importer
from temporalio.worker.workflow_sandbox._restrictions import RestrictionContext
from temporalio.worker.workflow_sandbox._runner import _Instance

from workflows.journey_versions import modules_of
from workflows.source.module_state import stays

__all__ = [
    "ENGINE",
    "EXTERN_FUNCTIONS",
    "ActivityCancellationType",
    "ActivityCancelled",
    "ActivityFailed",
    "ActivityResolution",
    "ActivitySucceeded",
    "CancelWorkflow",
    "ContinueAsNewWorkflowExecution",
    "DoBackoff",
    "FireTimer",
    "InitializeWorkflow",
    "Job",
    "QueryWorkflow",
    "RemoveFromCache",
    "ResolveActivity",
    "ScheduleActivity",
    "ScheduleLocalActivity",
    "SignalWorkflow",
    "WorkflowActivation",
    "WorkflowActivationCompletion",
    "WorkflowCommand",
    "WrappedInstance",
    "activity_name",
    "definition_of",
    "error_of_task",
    "has_tasks",
    "object_of",
    "runner",
    "runner_for",
]

# The same modules inside the sandbox as outside, because they hold no state of a run. `workflows`
# itself is left out: passing it through would pass the journeys through, and unchecked code with them.
ENGINE = (
    "channels",
    "countries",
    "declaration",
    "effect_input",
    "effect_queues",
    "effect_retries",
    "effects",
    "errors",
    "events",
    "experiment_draw",
    "experiments",
    "public_names",
    "field_types",
    "figures",
    "forms",
    "gate",
    "grant_approval",
    "inbox",
    "journey",
    "journey_versions",
    "json_object",
    "known_player",
    "local_time",
    "loyalty",
    "loyalty_verbs",
    "minor_units",
    "outgoing_events",
    "player",
    "player_facts",
    "player_state",
    "revocation",
    "rewards",
    "rules",
    "run",
    "run_journal",
    "run_protocol",
    "run_state",
    "scores",
    "send_choices",
    "verb_results",
    "verb_table",
    "waiting_player",
    "workflow_class",
)
PASSED_THROUGH = tuple(f"workflows.{name}" for name in ENGINE)

#: What a worker gives a run from outside the sandbox, for a run that no worker plays.
EXTERN_FUNCTIONS: dict[str, Any] = {
    "__temporal_get_metric_meter": lambda: MetricMeter.noop,
    "__temporal_assert_local_activity_valid": lambda _: None,
}
_OF_EFFECT = ActivitySerializationContext(
    namespace="",
    activity_id="",
    activity_type="",
    activity_task_queue="",
    workflow_id="",
    workflow_type="",
    is_local=False,
)


def definition_of(workflow_class: type[Any]) -> Any:
    """The definition behind a workflow class, with its `name` and `cls`, as a worker reads it."""
    return workflow._Definition.must_from_class(workflow_class)  # noqa: SLF001 - there is no public way


def activity_name(performer: Callable[..., Any]) -> str:
    """The name under which a worker offers an activity."""
    return activity._Definition.must_from_callable(performer).name or ""  # noqa: SLF001 - there is no public way


def error_of_task(instance: WorkflowInstance) -> BaseException | None:
    """What the last workflow task failed of, as it was raised: what goes over the wire is a copy without its place."""
    return getattr(instance, "_current_activation_error", None)


def has_tasks(instance: WorkflowInstance) -> bool:
    """Whether something in the run still waits; True where the instance does not tell, as in the sandbox."""
    return bool(getattr(instance, "_tasks", True))


def object_of(instance: WorkflowInstance | None) -> Any:
    """The object whose workflow a run plays; None before there is one, and in the sandbox, which does not tell."""
    return getattr(instance, "_object", None)


def runner() -> SandboxedWorkflowRunner:
    """The workflow runner for journeys, the same for the worker, the tests and replay."""
    return JourneyRunner(restrictions=SandboxRestrictions.default.with_passthrough_modules(*PASSED_THROUGH))


def runner_for(converter: DataConverter) -> SandboxedWorkflowRunner:
    """The runner of a worker whose payloads `converter` makes.

    For every payload the SDK asks the run in its sandbox whose it is, three times over. Where the converter does not
    care, nobody is asked, which is an eighth of a worker's time.
    """
    of_run = WorkflowSerializationContext(namespace="", workflow_id="")
    if converter.external_storage is not None or any(
        converter.with_context(context) is not converter for context in (of_run, _OF_EFFECT)
    ):
        return runner()
    return _ContextlessRunner(restrictions=runner().restrictions)


class WrappedInstance(WorkflowInstance):
    """A run behind another face: everything is asked of the instance inside."""

    def __init__(self, inner: WorkflowInstance) -> None:
        self.inner = inner

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        """Play one activation."""
        return self.inner.activate(act)

    def get_serialization_context(self, command_info: Any) -> SerializationContext | None:
        """Whose payload it is."""
        return self.inner.get_serialization_context(command_info)

    def get_external_store_context(self, command_info: Any) -> StorageDriverStoreContext:
        """Whose large payload it is."""
        return self.inner.get_external_store_context(command_info)

    def get_info(self) -> workflow.Info:
        """What the run knows of itself."""
        return self.inner.get_info()

    def get_thread_id(self) -> int | None:
        """Where it runs."""
        return self.inner.get_thread_id()


class JourneyRunner(SandboxedWorkflowRunner):
    """A sandbox for each module of journeys, in which all its runs are played, instead of one for each run.

    A module is imported once, under the sandbox's restrictions, and its classes are the same for all runs. So a run is
    begun in a sixth of the time, is half as large, and leaves nothing behind for the collector of garbage. What a
    journey kept in its module one run would see of another, so a module that may change (`module_state.py`),
    in any of its versions, is imported for each run anew.
    """

    #: By the modules that its runs may come to; None where one of them may change.
    _sandboxes: "dict[frozenset[str], _Sandbox | None]"
    _making: threading.Lock

    def __init__(
        self,
        restrictions: SandboxRestrictions = SandboxRestrictions.default,
        runner_class: type[WorkflowRunner] = UnsandboxedWorkflowRunner,
    ) -> None:
        # A worker for debugging makes itself another one by `dataclasses.replace`.
        super().__init__(restrictions, runner_class)
        # The SDK's class is frozen.
        object.__setattr__(self, "_sandboxes", {})
        object.__setattr__(self, "_making", threading.Lock())

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        """A run in the sandbox of its module."""
        module = det.defn.cls.__module__
        modules = modules_of(module)
        with self._making:
            if modules not in self._sandboxes:
                shared = all(stays(one) for one in modules)
                self._sandboxes[modules] = _Sandbox(self.restrictions, module) if shared else None
            sandbox = self._sandboxes[modules]
        if sandbox is None:
            return super().create_instance(det)
        return _SandboxedRun(det, self.runner_class, sandbox)


class _Sandbox:
    """What the runs of one module share."""

    def __init__(self, restrictions: SandboxRestrictions, module: str) -> None:
        self.importer = _OneByOne(restrictions, _ThreadsContext(), workflow_module_name=module)
        #: Held while a run is made: two at once could import one module twice.
        self.importing = threading.Lock()


class _OneByOne(Importer):
    """Imports in one thread at a time: between two, one could take a module before it is restricted."""

    def __init__(self, *args: Any, **named: Any) -> None:
        self._importing = threading.RLock()
        super().__init__(*args, **named)

    def _import(self, *args: Any, **named: Any) -> Any:
        with self._importing:
            return super()._import(*args, **named)


class _ThreadsContext(RestrictionContext):
    """Whether the restrictions hold, for each thread by itself: in one a run is played, in another one is made."""

    def __init__(self) -> None:
        self._here = threading.local()
        super().__init__()

    @property
    def is_runtime(self) -> bool:
        """Whether a run is played."""
        return getattr(self._here, "is_runtime", False)

    @is_runtime.setter
    def is_runtime(self, value: bool) -> None:
        self._here.is_runtime = value

    @property
    def in_activation(self) -> bool:
        """Whether a run is in the middle of an activation."""
        return getattr(self._here, "in_activation", False)

    @in_activation.setter
    def in_activation(self, value: bool) -> None:
        self._here.in_activation = value


class _SandboxedRun(_Instance):
    def __init__(self, det: WorkflowInstanceDetails, runner_class: Any, sandbox: _Sandbox) -> None:
        self.instance_details = det
        self.runner_class = runner_class
        self.importer = sandbox.importer
        self._current_thread_id = None
        self._is_apart = False
        self.globals_and_locals = {"__file__": "workflow_sandbox.py"}
        with sandbox.importing:
            self._create_instance()

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        leaves = any(job.HasField("remove_from_cache") for job in act.jobs)
        if leaves and self._is_apart:
            # The SDK asks again where it took more than two seconds, although it was done.
            return WorkflowActivationCompletion(successful=Success())
        completion = super().activate(act)
        if leaves:
            self._take_apart()
        return completion

    def _take_apart(self) -> None:
        """Leave no circle of objects behind: what nobody refers to is gone at once, and need not be looked for."""
        self._is_apart = True
        inside = getattr(self.globals_and_locals.pop("__temporal_in_sandbox", None), "instance", None)
        self.globals_and_locals.clear()
        for part in (object_of(inside), inside):
            if (held := getattr(part, "__dict__", None)) is not None:
                # Its futures ask it on their way out.
                held["_deleting"] = True
                for name in [name for name in held if name != "_deleting"]:
                    del held[name]


class _ContextlessRunner(JourneyRunner):
    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        return _ContextlessInstance(super().create_instance(det))


class _ContextlessInstance(WrappedInstance):
    """A run in its sandbox that is left in peace between its activations."""

    def __init__(self, inner: WorkflowInstance) -> None:
        super().__init__(inner)
        info = inner.get_info()
        self._stored = StorageDriverStoreContext(
            target=StorageDriverWorkflowInfo(
                namespace=info.namespace, id=info.workflow_id, run_id=info.run_id, type=info.workflow_type
            )
        )

    def get_serialization_context(self, command_info: object) -> SerializationContext | None:  # noqa: ARG002 - the SDK's signature
        return None

    def get_external_store_context(self, command_info: object) -> StorageDriverStoreContext:  # noqa: ARG002 - the SDK's signature
        return self._stored
