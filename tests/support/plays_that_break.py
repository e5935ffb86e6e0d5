# ruff: noqa: ARG002 - all take the same argument, and some have no use for it
"""Workflows that go wrong, or ask for what the stage must refuse with a sentence."""

from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import (
    ApplicationError,
)

from tests.support.plays import SEGMENT, Traced

# ---- what goes wrong -----------------------------------------------------------------------


@workflow.defn
class Broken(Traced):
    """A bug on the second day."""

    @workflow.run
    async def run(self, given: dict[str, Any]) -> list[Any]:
        await workflow.sleep(100)
        return self.stumble(given)

    def stumble(self, given: dict[str, Any]) -> list[Any]:
        return [given["missing"]]  # the line that is told


@workflow.defn
class Circles:
    """Never gets anywhere."""

    @workflow.run
    async def run(self, given: dict[str, Any]) -> None:
        while True:
            await workflow.execute_activity(
                "work", ["ok"], result_type=str, start_to_close_timeout=timedelta(seconds=3)
            )


@workflow.defn
class Strange:
    """Uses what the stage does not perform."""

    @workflow.run
    async def run(self, given: dict[str, Any]) -> None:
        match given["use"]:
            case "nexus":
                client = workflow.create_nexus_client(service="desk", endpoint="desk")
                await client.execute_operation("serve", 1)
            case "child":
                await workflow.execute_child_workflow("Child", {}, id="child")
            case "signal":
                await workflow.get_external_workflow_handle("another").signal("hear", "over the fence")
            case "cancel":
                await workflow.get_external_workflow_handle("another").cancel()


@workflow.defn
class Chances:
    """Everything random a workflow may use."""

    def __init__(self) -> None:
        self.chances: list[Any] = []

    @workflow.run
    async def run(self, given: dict[str, Any]) -> list[Any]:
        self.chances += [workflow.random().random(), str(workflow.uuid4())]
        await workflow.sleep(10)
        self.chances.append(workflow.random().randint(0, 10**9))
        return self.chances

    @workflow.query
    def so_far(self, most: int) -> int:
        return min(most, len(self.chances))

    @workflow.query
    def angry(self) -> None:
        raise ApplicationError("not now", type="Angry")


@workflow.defn
class Wise:
    """Counts the steps until a server suggests a new chapter."""

    @workflow.run
    async def run(self, given: dict[str, Any]) -> int:
        steps = 0
        while not workflow.info().is_continue_as_new_suggested():
            steps += 1
            await workflow.execute_activity(
                "work", ["ok"], result_type=str, start_to_close_timeout=timedelta(seconds=3)
            )
        return steps


@workflow.defn
class Labelled:
    """The first labels itself and begins anew; what a chapter learns of itself."""

    @workflow.run
    async def run(self, given: int) -> list[Any]:
        if given == 1:
            workflow.upsert_search_attributes([SEGMENT.value_set("gold")])
            workflow.upsert_memo({"mood": "good"})
            workflow.continue_as_new(0)
        return [[pair.value for pair in workflow.info().typed_search_attributes], dict(workflow.memo())]
