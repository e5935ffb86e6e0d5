"""Effects that fail again and again: who watches hears of it, in Prometheus, in the log and over HTTP."""

import dataclasses
import logging
import os
import sys
from asyncio import create_subprocess_exec, subprocess
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from prometheus_client import REGISTRY
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment, WorkflowEnvironment
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput

from activities.failing_effects import FORGET_AFTER, MAX_STEP_LABELS, OTHER_STEPS, FailingEffects, FailureInterceptor
from activities.tables import runs
from local.ports import free_port
from tests.support.designs.facts import Ping
from tests.support.engine import SECRET
from tests.support.machine import within
from tests.support.servers import LocalBonusEngine, LocalCatchAll
from tests.support.temporal_engine import Theatre, theatre
from workflows import minutes
from workflows.effect_retries import SLOW_INTERVAL
from workflows.effects import EffectInput

ROOT = Path(__file__).parent.parent.parent
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def stage(
    time_skipping: WorkflowEnvironment, postgres_url: str, bonus_engine: LocalBonusEngine, catch_all: LocalCatchAll
) -> AsyncIterator[Theatre]:
    variables = {
        "DATABASE_URL": postgres_url,
        "BONUS_ENGINE_URL": bonus_engine.url,
        "JOURNEYS": "tests.support.designs",
        **catch_all.environment,
    }
    async with theatre(time_skipping, f"p-{postgres_url[-6:]}", variables) as opened:
        await opened.registers(mode="history")
        yield opened


async def execute(stage: Theatre, statement: str) -> None:
    async with stage.engine.database.transaction() as connection:
        await connection.execute(sa.text(statement))


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0


async def test_an_effect_that_keeps_failing_is_shown_until_it_succeeds(
    stage: Theatre, caplog: pytest.LogCaptureFixture
) -> None:
    labels = {"journey": "asking", "step": "ask:Question"}
    before = counted("journeys_effect_failures_total", **labels)
    await execute(stage, "ALTER TABLE tasks RENAME TO tasks_away")
    await stage.happens(Ping, name="ask")
    with caplog.at_level(logging.ERROR, "activities.failing_effects"):
        await stage.advance(minutes(6))
    attempts = counted("journeys_effect_failures_total", **labels) - before
    assert attempts >= 12
    assert counted("journeys_effects_failing", **labels) == 1
    lines = [record.getMessage() for record in caplog.records if record.name == "activities.failing_effects"]
    assert 2 <= len(lines) <= 4
    (run,) = await stage.rows(runs)
    assert f"Run {run['id']}, step ask:Question#1 has failed 4 times since" in lines[0]
    assert "UndefinedTable" in lines[0]
    await execute(stage, "ALTER TABLE tasks_away RENAME TO tasks")
    await stage.advance(minutes(2))
    assert await stage.asked() == [("Question", "desk", "open")]
    assert counted("journeys_effects_failing", **labels) == 0


class Watch:
    """Time that passes when a test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def given(step: str, run: int = 1) -> EffectInput:
    return EffectInput(brand="acme", player_id="p", journey="welcome", run_id=f"welcome:acme:p:{run}", step=step)


def told(failing: FailingEffects) -> dict[tuple[str, str], float]:
    (gauge,) = failing.collect()
    return {(sample.labels["journey"], sample.labels["step"]): sample.value for sample in gauge.samples}


def test_runs_that_fail_at_the_same_step_are_told_as_one_number() -> None:
    failing = FailingEffects(Watch())
    for run in range(3):
        failing.failed(f"send {run}", given("send:hello#1", run), MINUTE)
    failing.failed("send x", given("send:other#2"), MINUTE)
    failing.failed("send y", given("send:young#1"), MINUTE / 2)
    failing.succeeded("send 0")
    assert told(failing) == {("welcome", "send:hello"): 2, ("welcome", "send:other"): 1}


def test_an_effect_that_another_worker_has_taken_over_is_forgotten_in_time() -> None:
    watch = Watch()
    failing = FailingEffects(watch)
    failing.failed("first", given("send:hello#1"), MINUTE)
    watch.now = FORGET_AFTER.total_seconds() / 2
    failing.failed("second", given("send:other#1"), MINUTE)
    failing.failed("first", given("send:hello#1"), MINUTE * 3)
    watch.now = FORGET_AFTER.total_seconds() * 1.4
    assert len(told(failing)) == 2
    watch.now = FORGET_AFTER.total_seconds() * 1.6
    assert told(failing) == {}


def test_steps_named_by_data_do_not_make_a_series_each() -> None:
    failing = FailingEffects(Watch())
    for number in range(MAX_STEP_LABELS * 2):
        failing.failed(f"send {number}", given(f"send:offer-{number}#1"), MINUTE)
    seen = told(failing)
    assert len(seen) == MAX_STEP_LABELS + 1
    assert seen["welcome", OTHER_STEPS] == MAX_STEP_LABELS


@pytest.mark.parametrize(
    ("tried_for", "raised", "pause"),
    [
        (timedelta(minutes=59), ConnectionError("away"), None),
        (timedelta(minutes=61), ConnectionError("away"), SLOW_INTERVAL),
        (timedelta(minutes=61), ApplicationError("away", next_retry_delay=MINUTE), MINUTE),
        (timedelta(minutes=61), ApplicationError("away", type="Away"), SLOW_INTERVAL),
        (timedelta(minutes=61), ApplicationError("never", non_retryable=True), None),
    ],
)
async def test_what_has_failed_for_an_hour_is_tried_every_ten_minutes(
    tried_for: timedelta, raised: Exception, pause: timedelta | None
) -> None:
    class Failing(ActivityInboundInterceptor):
        def __init__(self) -> None:
            pass

        async def execute_activity(self, _: ExecuteActivityInput) -> None:
            raise raised

    world = ActivityEnvironment()
    world.info = dataclasses.replace(world.info, started_time=world.info.scheduled_time + tried_for)
    effect = FailureInterceptor(FailingEffects(Watch())).intercept_activity(Failing())
    asked = ExecuteActivityInput(lambda: None, [given("send:hello#1")], None, {})
    with pytest.raises(type(raised) if pause is None else ApplicationError) as told:
        await world.run(effect.execute_activity, asked)
    found: timedelta | None = getattr(told.value, "next_retry_delay", None)
    if pause is None or found is None:
        assert found is pause
    else:
        assert 0.9 * pause <= found <= 1.1 * pause
    assert str(raised.args[0]) in str(told.value)


async def test_a_worker_serves_the_metrics_of_the_sdk_beside_its_own(postgres_url: str, temporal_address: str) -> None:
    own, sdk = free_port(), free_port()
    variables = {
        "DATABASE_URL": postgres_url,
        "TEMPORAL_ADDRESS": temporal_address,
        "WEBHOOK_SECRET": SECRET,
        "LINK_SECRETS": SECRET,
        "METRICS_PORT": str(own),
        "SDK_METRICS_PORT": str(sdk),
    }
    command = (sys.executable, "-m", "worker", "--role", "dispatcher")
    process = await create_subprocess_exec(*command, cwd=ROOT, env=os.environ | variables, stderr=subprocess.PIPE)
    assert process.stderr is not None
    try:
        async with within(60), httpx.AsyncClient() as client:
            while b"Ready as" not in (line := await process.stderr.readline()):
                assert line, "the worker ended by itself"
            assert "journeys_effects_failing" in (await client.get(f"http://127.0.0.1:{own}/metrics")).text
            assert "temporal_request_total" in (await client.get(f"http://127.0.0.1:{sdk}/metrics")).text
            twin = await create_subprocess_exec(
                *command, cwd=ROOT, env=os.environ | variables | {"METRICS_PORT": "0"}, stderr=subprocess.PIPE
            )
            _, said = await twin.communicate()
            assert twin.returncode == 1
            assert said.decode().splitlines()[-1].startswith(f"The SDK's metrics cannot be served at 127.0.0.1:{sdk}")
    finally:
        process.terminate()
        await process.communicate()
