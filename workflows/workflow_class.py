"""The class that the SDK registers for a journey, made of the journey's function."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from temporalio import workflow

from workflows.declaration import Journey
from workflows.run import JourneyRun
from workflows.run_protocol import RunInput


def workflow_class(definition: Journey, player: Callable[[JourneyRun], object]) -> type[JourneyRun]:
    """The workflow of one journey, under its function's own module and name; `player` makes what the function plays.

    The SDK finds the class by these two, inside its sandbox too.
    """
    function = definition.function

    # The SDK insists that the run method is defined on that very class, and reads the arguments' types off it: an
    # annotated `self` would be taken for the first of them.
    async def run(self, run_input: RunInput) -> str:  # type: ignore[no-untyped-def]  # noqa: ANN001, ARG001
        outcome: str = await self.play(player(self))
        return outcome

    def init(self, run_input: RunInput) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
        JourneyRun.__init__(self, run_input)

    for name, method in (("run", run), ("__init__", init)):
        method.__module__ = function.__module__
        method.__qualname__ = f"{definition.name}.{name}"
        method.__name__ = name
    members: dict[str, Any] = {
        "__module__": function.__module__,
        "__doc__": function.__doc__,
        "run": workflow.run(run),
        "__init__": workflow.init(init),
    }
    made: type[JourneyRun] = type(definition.name, (JourneyRun,), members)
    made.definition = replace(definition, workflow_class=made)
    return workflow.defn(name=definition.name)(made)
