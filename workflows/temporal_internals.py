"""How journeys are run by the SDK: in its sandbox, with the engine itself passed through."""

from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

# Imported once a process instead of once a run, because they hold no state of a run. `workflows`
# itself is left out: passing it through would pass the journeys through, and unchecked code with them.
ENGINE = (
    "channels",
    "declaration",
    "effects",
    "errors",
    "events",
    "exports",
    "field_types",
    "forms",
    "journey",
    "local_time",
    "player",
    "player_facts",
    "player_state",
    "rewards",
    "rules",
    "run",
    "run_protocol",
    "verbs",
)
PASSED_THROUGH = tuple(f"workflows.{name}" for name in ENGINE)


def runner() -> SandboxedWorkflowRunner:
    """The workflow runner for journeys, the same for the worker, the tests and replay."""
    return SandboxedWorkflowRunner(restrictions=SandboxRestrictions.default.with_passthrough_modules(*PASSED_THROUGH))
