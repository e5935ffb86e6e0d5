"""What `workflows/temporal_internals.py` needs of the SDK: a release without it is told in a sentence."""

import ast
from dataclasses import fields
from importlib import import_module
from inspect import getattr_static
from pathlib import Path
from typing import Any

import pytest
import temporalio
from temporalio import activity, workflow
from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails

INTERNALS = Path(__file__).parent.parent.parent / "workflows" / "temporal_internals.py"
PRIVATE = [
    (node.module, alias.name)
    for node in ast.parse(INTERNALS.read_text()).body
    if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("temporalio.")
    for alias in node.names
]
#: The fields of messages that the stage fills in or reads.
FIELDS = {
    "workflow_activation.WorkflowActivation": "run_id timestamp history_length continue_as_new_suggested jobs",
    "workflow_activation.WorkflowActivationJob": (
        "initialize_workflow fire_timer query_workflow cancel_workflow signal_workflow resolve_activity "
        "remove_from_cache"
    ),
    "workflow_activation.InitializeWorkflow": (
        "workflow_type workflow_id arguments randomness_seed attempt first_execution_run_id start_time"
    ),
    "workflow_activation.ResolveActivity": "seq result is_local",
    "workflow_completion.WorkflowActivationCompletion": "successful failed",
    "workflow_commands.WorkflowCommand": (
        "user_metadata start_timer cancel_timer schedule_activity schedule_local_activity request_cancel_activity "
        "request_cancel_local_activity set_patch_marker upsert_workflow_search_attributes modify_workflow_properties "
        "continue_as_new_workflow_execution complete_workflow_execution fail_workflow_execution "
        "cancel_workflow_execution respond_to_query"
    ),
    "workflow_commands.ScheduleLocalActivity": "seq attempt original_schedule_time local_retry_threshold",
    "activity_result.ActivityResolution": "completed failed cancelled backoff",
    "activity_result.DoBackoff": "attempt backoff_duration original_schedule_time",
}


def lacks(what: str) -> str:
    return (
        f"The SDK {temporalio.__version__} has no {what}, which workflows/temporal_internals.py needs. See what became "
        "of it, change that file, and run the conformance suite before the SDK is raised."
    )


@pytest.mark.parametrize(("module", "name"), PRIVATE, ids=lambda part: part)
def test_the_sdk_has_what_is_imported_of_it(module: str, name: str) -> None:
    try:
        there = hasattr(import_module(module), name)
    except ModuleNotFoundError:
        there = False
    assert there, lacks(f"{module}.{name}")


@pytest.mark.parametrize(("message", "names"), FIELDS.items(), ids=FIELDS)
def test_a_message_has_the_fields_that_are_used(message: str, names: str) -> None:
    module, _, name = message.partition(".")
    kind: Any = getattr(import_module(f"temporalio.bridge.proto.{module}"), name)
    for field in names.split():
        assert field in kind.DESCRIPTOR.fields_by_name, lacks(f"{name}.{field}")


def test_a_workflow_class_has_a_definition() -> None:
    definition = getattr(workflow, "_Definition", None)
    assert definition is not None, lacks("workflow._Definition")
    assert hasattr(definition, "must_from_class"), lacks("workflow._Definition.must_from_class")
    assert {"name", "cls"} <= {field.name for field in fields(definition)}, lacks("name and cls of a definition")


def test_a_worker_asks_an_instance_what_a_wrapped_one_answers() -> None:
    from workflows.temporal_internals import WrappedInstance

    for asked in WorkflowInstance.__abstractmethods__:
        assert asked in vars(WrappedInstance), f"A worker asks a run for {asked} now; answer it in WrappedInstance."
    assert "activate" in WorkflowInstance.__abstractmethods__, lacks("WorkflowInstance.activate")


def test_an_activity_has_a_definition_with_its_name() -> None:
    definition = getattr(activity, "_Definition", None)
    assert definition is not None, lacks("activity._Definition")
    assert hasattr(definition, "must_from_callable"), lacks("activity._Definition.must_from_callable")
    assert "name" in {field.name for field in fields(definition)}, lacks("name of an activity's definition")


def test_an_instance_keeps_its_object_its_tasks_and_the_error_of_the_last_one() -> None:
    source = Path(str(import_module("temporalio.worker._workflow_instance").__file__)).read_text()
    for attribute in ("self._object", "self._tasks", "self._current_activation_error"):
        assert attribute in source, lacks(f"{attribute} of a workflow instance")
    for name in ("__temporal_get_metric_meter", "__temporal_assert_local_activity_valid"):
        assert name in source, lacks(f"the extern function {name}")


def test_an_instance_is_made_of_the_details_the_stage_gives() -> None:
    given = {
        *("payload_converter_factory", "failure_converter_class", "interceptor_classes", "defn", "info"),
        *("randomness_seed", "extern_functions", "disable_eager_activity_execution", "patch_activation_callback"),
        *("worker_level_failure_exception_types", "last_completion_result", "last_failure"),
    }
    known = {field.name for field in fields(WorkflowInstanceDetails)}
    assert given <= known, lacks(f"{', '.join(sorted(given - known))} of WorkflowInstanceDetails")
    assert getattr_static(WorkflowInstanceDetails, "__dataclass_params__").frozen
