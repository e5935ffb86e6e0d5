"""Week-long welcome runs a second on the stage, and beside them on the time-skipping test server.

    python bench/stage_runs.py [--runs N] [--rounds N]

Prints one JSON line. Stage and server take turns; the medians of the rounds count. The stage performs every effect
in its world with production's gate; the server's effects answer at once and decide nothing, which flatters it.
"""

import asyncio
import gc
import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import typer
from temporalio import activity
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from bench.measuring import leave
from content.settings import SHIPPED_TEMPLATES
from content.templates import read_template_facts
from stage.world.world import World
from workflows.effect_queues import queue_of
from workflows.effects import Done, End, Refresh, Send, SendResult
from workflows.events import PlayerRegistered
from workflows.player_facts import PlayerFacts
from workflows.run_protocol import RunInput
from workflows.source.registry import load
from workflows.temporal_internals import runner

BEGIN = datetime(2026, 3, 2, 10, tzinfo=UTC)
AT_LEAST, RATIO = 500, 20


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
    )


def on_stage(runs: int) -> float:
    """Runs a second, from registration to the recorded end."""
    world = World(load(), read_template_facts([SHIPPED_TEMPLATES]), BEGIN, control=0)
    gc.collect()
    began = time.perf_counter()
    for number in range(runs):
        world.happen(f"p{number}", registered(number, BEGIN))
    world.finish()
    seconds = time.perf_counter() - began
    assert sum(run.outcome == "completed" for run in world.runs.values()) == runs
    return runs / seconds


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


async def measure(runs: int, rounds: int) -> dict[str, Any]:
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
        stage, server = [], []
        for number in range(1, rounds + 1):
            stage.append(on_stage(runs))
            server.append(await on_server(environment, max(10, runs // 50), number))
    ratios = sorted(a / b for a, b in zip(stage, server, strict=True))
    return {
        "stage_runs_per_s": round(median(stage)),
        "stage_runs_per_s_rounds": [round(rate) for rate in stage],
        "server_runs_per_s": round(median(server), 1),
        "stage_vs_server": round(median(ratios), 1),
        "stage_vs_server_spread": [round(ratios[0], 1), round(ratios[-1], 1)],
    }


def command(*, runs: int = 1_500, rounds: int = 3) -> None:
    """Measure, print, and say by the exit code whether the floors hold."""
    figures = asyncio.run(measure(runs, rounds))
    print(json.dumps(figures))
    leave(0 if figures["stage_runs_per_s"] >= AT_LEAST and figures["stage_vs_server"] >= RATIO else 1)


if __name__ == "__main__":
    typer.run(command)
