"""Week-long welcome runs a second on the stage, and beside them on the time-skipping test server.

    python bench/stage_runs.py [--runs N] [--rounds N]

Prints one JSON line. Stage and server take turns; the medians of the rounds count. The stage performs every effect
in its world with production's gate; the server's effects answer at once and decide nothing, which flatters it.
"""

import gc
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import typer
from temporalio import activity
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from bench.measuring import Compared, Figures, leave, main, say, significant
from content.settings import SHIPPED_TEMPLATES
from content.templates import read_template_facts
from stage.world.world import World
from workflows.effect_queues import queue_of
from workflows.effects import Done, End, Refresh, Send, SendResult
from workflows.events import PlayerRegistered
from workflows.player_facts import PlayerFacts
from workflows.run_protocol import RunInput
from workflows.source.journey_loading import load
from workflows.temporal_internals import runner

BEGIN = datetime(2026, 3, 2, 10, tzinfo=UTC)


def registered(number: int, now: datetime) -> PlayerRegistered:
    """A player who may be told everything."""
    return PlayerRegistered(
        event_id=f"r{number}",
        event_source="/bench",
        occurred_at=now,
        language="en",
        timezone="Europe/London",
        country="GB",
        currency="GBP",
        opted_in=("email", "sms", "push", "in_app"),
        opted_in_for=("casino",),
    )


@dataclass(frozen=True)
class Played:
    """What runs on the stage took."""

    per_second: float
    cpu_ms: float  # a run


def on_stage(runs: int) -> Played:
    """Runs a second, from registration to the recorded end."""
    world = World(load(), read_template_facts([SHIPPED_TEMPLATES]), BEGIN, control=0)
    gc.collect()
    began, worked = time.perf_counter(), time.process_time()
    for number in range(runs):
        world.happen(f"p{number}", registered(number, BEGIN))
    world.finish()
    seconds, cpu = time.perf_counter() - began, time.process_time() - worked
    assert sum(run.outcome == "completed" for run in world.runs.values()) == runs
    return Played(runs / seconds, 1_000 * cpu / runs)


@activity.defn(name="send")
async def send(given: Send) -> SendResult:
    """Everything goes out."""
    return SendResult(sent=given.via)


@activity.defn(name="refresh")
async def refresh(given: Refresh) -> PlayerFacts:
    """Nothing has changed."""
    return PlayerFacts(player_id=given.player_id)


@activity.defn(name="end")
async def end(_given: End) -> Done:
    """Nothing is recorded."""
    return Done()


async def on_server(environment: WorkflowEnvironment, runs: int, round_: int) -> float:
    """Runs a second, one at a time, because the server's clock is one for all."""
    began = time.perf_counter()
    for number in range(runs):
        now = await environment.get_current_time()
        run_id = f"welcome:bench:{round_}-{number}:1"
        given = RunInput(
            run_id=run_id,
            brand="bench",
            player_id=f"p{number}",
            journey="welcome",
            entered_at=now,
            ends_at=now + timedelta(days=14),
            trigger=registered(number, now).to_wire(),
            facts=PlayerFacts(player_id=f"p{number}"),
        )
        handle = await environment.client.start_workflow("welcome", given, id=run_id, task_queue="bench")
        assert await handle.result() == "completed"
    return runs / (time.perf_counter() - began)


async def measure(runs: int, rounds: int) -> Figures:
    """Both in turn."""
    program = str(Path(sys.executable).with_name("temporal-test-server"))
    # From registration to the end: nobody deposits, so each run sends three messages and waits four times.
    effects: list[Callable[..., Any]] = [send, refresh, end]
    async with (
        await WorkflowEnvironment.start_time_skipping(
            test_server_existing_path=program,
            test_server_startup_timeout=timedelta(seconds=30),
            data_converter=pydantic_data_converter,
        ) as environment,
        Worker(
            environment.client,
            task_queue="bench",
            workflows=load().workflows,
            activities=effects,
            workflow_runner=runner(),
        ),
        # The first message goes by mail, and so waits where mail does.
        Worker(environment.client, task_queue=queue_of("bench", "email"), activities=[send]),
    ):
        on_stage(200)
        await on_server(environment, 5, 0)
        stage: list[Played] = []
        server: list[float] = []
        for number in range(1, rounds + 1):
            stage.append(on_stage(runs))
            server.append(await on_server(environment, max(10, runs // 50), number))
            say(f"Round {number}: stage {stage[-1].per_second:.0f}, server {server[-1]:.1f} runs/s")
    compared = Compared([played.per_second for played in stage], server)
    return {
        **compared.figures("stage_vs_server", "stage_runs_per_s", "server_runs_per_s"),
        "stage_cpu_ms_a_run": significant(min(played.cpu_ms for played in stage)),
    }


def command(*, runs: int = 1_500, rounds: int = 3) -> None:
    """Take the figures of the stage."""
    leave(main(lambda: measure(runs, rounds)))


if __name__ == "__main__":
    typer.run(command)
