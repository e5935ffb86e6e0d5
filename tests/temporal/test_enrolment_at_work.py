"""An enrolment worked on: at its rate, out of everybody's way, and on whatever stops in between."""

import asyncio
import dataclasses
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment
from temporalio.worker import Worker

from activities.intake.backpressure import Pressure
from activities.intake.intake import Intake
from activities.loops.bulk_work import BulkJobs, Pacing
from activities.rolling_release import RELEASE
from activities.settings import MAINTENANCE_QUEUE, Settings
from local.ports import free_port
from tests.support.api_client import Api, serving
from tests.support.engine import SECRET
from tests.support.enrolment import depositors, enrolled, enrolments, entries, execute, status, until, worked_off
from workflows.background.bulk_job import ACTIVITIES, BatchResult, BulkJobInput, BulkJobWorkflow
from workflows.rules.index import RuleIndex
from workflows.temporal_internals import runner

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
async def api(module_postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Api]:
    monkeypatch.setenv("TEMPORAL_ADDRESS", f"127.0.0.1:{free_port()}")
    async with serving(module_postgres_url, journeys="tests.support.api_journeys") as served:
        yield served


@pytest.fixture
async def crm(api: Api) -> httpx.AsyncClient:
    return await api.client("journeys:manage", name="crm")


def given(made: dict[str, Any]) -> BulkJobInput:
    return BulkJobInput(job_id=made["id"], activity=ACTIVITIES["enrol"])


class Pace:
    """A timer that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


async def test_players_enter_at_the_rate_that_was_asked_for(api: Api, crm: httpx.AsyncClient) -> None:
    await depositors(api, 100)
    made, pace = await enrolled(crm, per_second=20), Pace()
    seen: list[tuple[float, int]] = []

    async def sleep(seconds: float) -> None:
        seen.append((pace.now, (await status(crm, made))["done"]))
        await pace.sleep(seconds)

    at_work = enrolments(api, pacing=Pacing(pace, sleep))
    worked = await ActivityEnvironment().run(at_work.as_activity, given(made))
    assert worked == BatchResult(more=False)
    assert seen == [(0, 20), (1, 40), (2, 60), (3, 80), (4, 100)]


async def test_an_enrolment_holds_back_while_deliveries_pile_up(api: Api, crm: httpx.AsyncClient) -> None:
    await execute(api, "DELETE FROM deliveries")
    await depositors(api, 40)
    made, pace = await enrolled(crm, journey="api_call", per_second=10), Pace()
    pressure = Pressure(api.engine.database, Settings(database_url="", backlog_high=4, backlog_low=2), timer=pace)
    held: list[int] = []

    async def sleep(seconds: float) -> None:
        await pace.sleep(seconds)
        held.append((await status(crm, made))["done"])
        if held[-3:] == [held[-1]] * 3:
            await execute(api, "DELETE FROM deliveries WHERE brand = :brand")

    at_work = enrolments(api, pacing=Pacing(pace, sleep))
    at_work.pressure = pressure
    await ActivityEnvironment().run(at_work.as_activity, given(made))
    assert Counter(held) == {10: 3, 20: 3, 30: 3, 40: 3}


async def test_a_worker_that_goes_hands_the_work_on(api: Api, crm: httpx.AsyncClient) -> None:
    await depositors(api, 40)
    made, environment = await enrolled(crm, per_second=10), ActivityEnvironment()

    async def sleep(_: float) -> None:
        environment.worker_shutdown()

    at_work = enrolments(api, pacing=Pacing(sleep=sleep))
    assert await environment.run(at_work.as_activity, given(made)) == BatchResult(more=True)
    assert (await status(crm, made))["done"] == 10


# ---- Temporal -----------------------------------------------------------------------------------


async def test_an_enrolment_asked_for_while_temporal_is_away_begins_when_it_is_back(
    api: Api, crm: httpx.AsyncClient, temporal: Client
) -> None:
    """`wake_idle` is what the worker's process does every few seconds."""
    players = await depositors(api, 30)
    made = await enrolled(crm)
    at_work = enrolments(api)
    async with Worker(
        temporal,
        task_queue=MAINTENANCE_QUEUE,
        workflows=[BulkJobWorkflow],
        activities=[at_work.as_activity],
        workflow_runner=runner(),
    ):
        await BulkJobs(api.engine.database, [at_work]).wake_idle(temporal)
        await until(crm, made, lambda now: now["state"] == "done")
        await temporal.get_workflow_handle(f"job:{made['id']}").result()
    assert await entries(api) == Counter(players)


async def test_an_enrolment_whose_workflow_was_terminated_goes_on(
    api: Api, crm: httpx.AsyncClient, temporal: Client
) -> None:
    players = await depositors(api, 60)
    made = await enrolled(crm, per_second=20)
    terminated = asyncio.Event()

    async def sleep(_: float) -> None:
        await terminated.wait()

    at_work = enrolments(api, pacing=Pacing(sleep=sleep))
    async with Worker(
        temporal,
        task_queue=MAINTENANCE_QUEUE,
        workflows=[BulkJobWorkflow],
        activities=[at_work.as_activity],
        workflow_runner=runner(),
    ):
        await BulkJobs(api.engine.database, [at_work]).wake_idle(temporal)
        await until(crm, made, lambda now: now["done"] >= 20)
        await temporal.get_workflow_handle(f"job:{made['id']}").terminate()
        assert (await status(crm, made))["state"] == "running"
        terminated.set()
        await BulkJobs(api.engine.database, [at_work]).wake_idle(temporal)
        await until(crm, made, lambda now: now["state"] == "done")
        await temporal.get_workflow_handle(f"job:{made['id']}").result()
    assert await entries(api) == Counter(players)


async def test_an_enrolment_is_paused_and_resumed_while_it_is_worked_on(
    postgres_url: str, temporal: Client, temporal_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal_address)
    async with serving(postgres_url, journeys="tests.support.api_journeys") as api:
        crm = await api.client("journeys:manage", name="crm")
        await depositors(api, 1_000)
        at_work = enrolments(api)
        async with Worker(
            temporal,
            task_queue=MAINTENANCE_QUEUE,
            workflows=[BulkJobWorkflow],
            activities=[at_work.as_activity],
            workflow_runner=runner(),
        ):
            made = await enrolled(crm, per_second=20)
            path = f"/v1/enrolments/{made['id']}"
            await until(crm, made, lambda now: now["done"] > 0)
            paused = (await crm.post(f"{path}/pause")).json()
            # Resumed at once, while the worker may not have noticed the pause, and once more when it has left.
            await crm.post(f"{path}/resume")
            await until(crm, made, lambda now: now["done"] > paused["done"])
            await crm.post(f"{path}/pause")
            await temporal.get_workflow_handle(f"job:{made['id']}").result()
            held = await status(crm, made)
            assert held["state"] == "paused"
            await crm.post(f"{path}/resume")
            await until(crm, made, lambda now: now["done"] > held["done"])
            done = (await crm.post(f"{path}/cancel")).json()
            await temporal.get_workflow_handle(f"job:{made['id']}").result()
        assert done["done"] < 1_000
        assert (await entries(api)).total() == done["done"] == (await status(crm, made))["done"]


async def test_a_journey_no_worker_knows_fails_the_enrolment_when_a_release_is_over(
    api: Api, crm: httpx.AsyncClient
) -> None:
    await depositors(api, 5)
    made = await enrolled(crm)
    old = enrolments(api, intake=Intake(api.engine.database, RuleIndex({}, api.engine.intake.rules.segments)))
    environment, work = ActivityEnvironment(), given(made)
    with pytest.raises(ApplicationError, match="No journey api_offer is deployed here"):
        await environment.run(old.as_activity, work)
    assert (await status(crm, made))["state"] == "running"
    info = environment.info
    environment.info = dataclasses.replace(info, started_time=info.scheduled_time + RELEASE)
    with pytest.raises(ApplicationError, match="No journey api_offer is deployed here"):
        await environment.run(old.as_activity, work)  # the API is of the new release, so a worker of it may yet come
    async with api.engine.database.transaction() as connection:
        await connection.execute(text("UPDATE processes SET knows = '{}'"))
    assert await environment.run(old.as_activity, work) == BatchResult(more=False)
    failed = await status(crm, made)
    assert (failed["state"], "deploy it again and resume" in failed["failure"]) == ("failed", True)
    paused = await crm.post(f"/v1/enrolments/{made['id']}/pause")
    assert (paused.status_code, "has failed" in paused.json()["detail"]) == (409, True)
    await crm.post(f"/v1/enrolments/{made['id']}/resume")
    done = await worked_off(api, crm, made)
    assert (done["done"], done["failure"]) == (5, None)


@pytest.mark.slow
async def test_an_enrolment_is_exact_although_its_worker_is_killed(
    postgres_url: str, temporal_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal_address)
    async with serving(postgres_url, journeys="tests.support.api_journeys") as api:
        crm = await api.client("journeys:manage", name="crm")
        players = await depositors(api, 400)
        made = await enrolled(crm, per_second=40)
        async with worker(postgres_url, temporal_address) as first:
            before = await until(crm, made, lambda now: now["done"] >= 80)
            first.kill()
            await first.wait()
        assert 80 <= before["done"] < 400
        async with worker(postgres_url, temporal_address):
            done = await until(crm, made, lambda now: now["state"] == "done")
        assert (done["done"], done["entered"] + done["control"], done["refused"]) == (400, 400, {})
        assert await entries(api) == Counter(players)


@asynccontextmanager
async def worker(database_url: str, temporal_address: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "worker", "--role", "worker"),
        cwd=ROOT,
        env=os.environ
        | {
            "DATABASE_URL": database_url,
            "TEMPORAL_ADDRESS": temporal_address,
            "JOURNEYS": "tests.support.api_journeys",
            "WEBHOOK_SECRET": SECRET,
            "LINK_SECRETS": SECRET,
        },
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
