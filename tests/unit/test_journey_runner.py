"""Runs of one module share a sandbox where the module stays as it is, and leave nothing behind."""

import gc
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import WorkflowInstance
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from tests.support.one_run import OneRun
from tests.support.outside_packages import Write, journey_of
from workflows.journeys.win_back import win_back
from workflows.run import JourneyRun
from workflows.source.journey_loading import load
from workflows.temporal_internals import RemoveFromCache, WorkflowActivation, object_of, runner, runner_for


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    """Where activations are played: a worker does it in threads too, and no loop of its own runs there."""
    with ThreadPoolExecutor(1) as pool:
        yield pool


def inside(instance: WorkflowInstance) -> Any:
    """The run, in its sandbox."""
    assert isinstance(instance, WorkflowInstance)
    return object_of(vars(instance)["globals_and_locals"]["__temporal_in_sandbox"].instance)


async def played(
    journey: type[JourneyRun], number: int, thread: ThreadPoolExecutor, **given: Any
) -> list[WorkflowInstance]:
    """So many runs on one runner, each at its first wait."""
    recorded = OneRun(journey, **given).recorded[-1]
    shared = runner()
    instances = []
    for _ in range(number):
        instance = shared.create_instance(recorded.details)
        for activation in recorded.activations:
            copy = WorkflowActivation()
            copy.CopyFrom(activation)
            completion = thread.submit(instance.activate, copy).result()
            assert completion.HasField("successful"), completion.failed.failure.message
        instances.append(instance)
    return instances


async def test_runs_of_a_module_that_stays_are_of_one_class_and_each_is_itself(thread: ThreadPoolExecutor) -> None:
    one, other = [inside(instance) for instance in await played(win_back, 2, thread)]
    assert type(one) is type(other)
    assert type(one) is not win_back, "It is imported inside, under the restrictions."
    assert one is not other
    assert one.journal is not other.journal


async def test_a_module_that_may_change_is_imported_for_each_run(package: Write, thread: ThreadPoolExecutor) -> None:
    name = package(
        one=journey_of("NOTES.append(1)\nawait player.sleep(days(len(NOTES)))", head="from PACKAGE.notes import NOTES"),
        notes="NOTES = []\n",
    )
    journey = load([name]).journeys["hello"].workflow_class
    assert journey is not None
    runs = [inside(instance) for instance in await played(journey, 3, thread)]
    assert len({type(run) for run in runs}) == 3
    notes = [type(run).definition.function.__globals__["NOTES"] for run in runs]
    assert notes == [[1], [1], [1]]


async def test_a_run_that_leaves_the_cache_is_gone_without_a_collection(thread: ThreadPoolExecutor) -> None:
    instances = await played(win_back, 3, thread)
    runs = [weakref.ref(inside(instance)) for instance in instances]
    gc.collect()
    gc.disable()
    try:
        while instances:
            leaves = WorkflowActivation(run_id="run")
            leaves.jobs.add(remove_from_cache=RemoveFromCache(message="full"))
            thread.submit(instances.pop().activate, leaves).result()
        assert [run() for run in runs] == [None, None, None]
    finally:
        gc.enable()


async def test_a_run_that_has_left_and_is_told_so_again_has_left(thread: ThreadPoolExecutor) -> None:
    """As the SDK does when leaving took more than two seconds, for as long as the answer is an error."""
    [instance] = await played(win_back, 1, thread)
    for _ in range(2):
        leaves = WorkflowActivation(run_id="run")
        leaves.jobs.add(remove_from_cache=RemoveFromCache(message="full"))
        assert thread.submit(instance.activate, leaves).result().HasField("successful")


@pytest.mark.parametrize("made", [runner(), runner_for(pydantic_data_converter)], ids=["asked", "left in peace"])
def test_a_worker_for_debugging_can_loosen_the_restrictions(made: SandboxedWorkflowRunner) -> None:
    loosened = made.restrictions.with_passthrough_modules("_pydevd_bundle")
    other = replace(made, restrictions=loosened)
    assert (type(other), other.restrictions) == (type(made), loosened)
