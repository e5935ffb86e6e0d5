"""The schedule that tells people, on a real Temporal: what waits is told by itself, and once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from activities.actors import Actor
from activities.engine import WorkerEngine, worker_engine
from activities.loops.maintenance_schedules import SCHEDULES, keep_schedules
from activities.people import add_person, give
from activities.settings import Settings
from activities.standalone_tasks import StandaloneTask
from activities.task_rows import TaskRequest
from activities.tasks import open_alone, reassign
from activities.work_profiles import WorkProfile, write_profile
from local.ports import free_port
from local.temporal import TemporalServer
from tests.support.engine import SECRET
from tests.support.machine import eventually
from tests.support.servers import LocalCatchAll, running
from worker import maintenance_worker
from workflows.player_facts import PlayerFacts

TELL = "journeys-tell-people"


@pytest.fixture
async def client(session_folder: Path) -> AsyncIterator[Client]:
    """A Temporal of its own, because a schedule is one for all who use a server."""
    server = TemporalServer(port=free_port(), ui_port=None, database=None)
    async with running(server.service(), session_folder):
        yield await Client.connect(server.address, data_converter=pydantic_data_converter)


@pytest.fixture
async def built(postgres_url: str, catch_all: LocalCatchAll) -> AsyncIterator[WorkerEngine]:
    settings = Settings(
        database_url=postgres_url, webhook_secret=SECRET, link_secrets=(SECRET,), smtp_url=catch_all.smtp_url
    )
    async with worker_engine(settings) as made:
        yield made


async def test_a_task_and_a_morning_are_told_by_the_schedule_itself(
    client: Client, built: WorkerEngine, catch_all: LocalCatchAll
) -> None:
    now = datetime.now(UTC)
    giver, brand, email = Actor("scheduled", "test", id="test"), "scheduled", "olena@scheduled.example"
    task = StandaloneTask.by_hand(
        "birthday_call", "scheduled-1", "Hers.", PlayerFacts(player_id="p"), giver, now, now + timedelta(hours=1)
    )
    async with built.database.transaction() as connection:
        # A zone in which it is noon now, so that no day ends meanwhile.
        zone = f"Etc/GMT{now.hour - 12:+d}"
        olena = await add_person(connection, brand, email, "Olena", now, zone=zone)
        await give(connection, olena, "role", "manager", giver, now)
        await give(connection, olena, "team", "vip", giver, now)
        profile = WorkProfile(digest_at="12:00")
        await write_profile(connection, brand, olena.id, profile, now)
        await open_alone(connection, brand, task)
        await reassign(connection, TaskRequest(brand, task.id, giver, now), None, assignee=email)
    async with maintenance_worker(client, built):
        await keep_schedules(client, {TELL: SCHEDULES[TELL]})
        handle = client.get_schedule_handle(TELL)
        for _ in range(3):
            await handle.trigger()

        async def told() -> bool:
            return len(await catch_all.mails(email)) >= 2

        await eventually(told)
        await asyncio.gather(built.telling.look_at_tasks(), built.telling.send_due())
    assert sorted(str(mail["subject"]) for mail in await catch_all.mails(email)) == [
        "For you: Birthday call",
        "Your morning: 1 yours, 0 late, 0 unclaimed",
    ]
