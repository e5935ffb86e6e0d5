"""`journeys segments`, `enrol` and `enrolments` as a person meets them, against a served API and a worker."""

import re
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from temporalio.client import Client
from temporalio.worker import Worker

from activities.api_keys import create_key
from activities.database import Database
from activities.intake.backpressure import Pressure
from activities.intake.intake import Intake
from activities.loops.enrolment import Enrolments
from activities.settings import MAINTENANCE_QUEUE, Settings
from local.ports import free_port
from tests.postgres.test_api_events import WELL_FORMED
from tests.support.command_line import NOWHERE, Terminal, rows, serving
from tests.support.machine import eventually, within
from workflows.background.bulk_job import BulkJobWorkflow
from workflows.events import DepositApproved, SessionLogin
from workflows.source.journey_loading import load
from workflows.temporal_internals import runner

PLAYERS = 40


class Casino(Terminal):
    """With players of the brand who have long been away."""

    def entered(self) -> int:
        return self._count("SELECT count(DISTINCT player_id) FROM runs WHERE journey = 'win_back' AND brand = %s")

    def jobs(self) -> int:
        return self._count("SELECT count(*) FROM jobs WHERE brand = %s")

    def _count(self, query: str) -> int:
        ((count,),) = rows(self.database_url, query, self.brand)
        return int(str(count))


@pytest.fixture(scope="module")
async def variables(
    module_postgres_url: str, temporal: Client, temporal_address: str, session_folder: Path
) -> AsyncIterator[dict[str, str]]:
    """Those that name the served API, which the tests of this module share; enrolments are worked on beside it."""
    settings = Settings(database_url=module_postgres_url)
    database = Database(settings)
    at_work = Enrolments(
        database, Intake(database, load().rules), Pressure(database, settings), lambda: datetime.now(UTC)
    )
    work: dict[str, Any] = {
        "workflows": [BulkJobWorkflow],
        "activities": [at_work.as_activity],
        "workflow_runner": runner(),
    }
    with serving(module_postgres_url, session_folder, TEMPORAL_ADDRESS=temporal_address) as url:
        async with Worker(temporal, task_queue=MAINTENANCE_QUEUE, **work):
            yield {"JOURNEYS_URL": url}
    await database.close()


@pytest.fixture
async def casino(module_postgres_url: str, variables: dict[str, str], tmp_path: Path) -> Casino:
    brand, now = f"acme-{token_hex(4)}", datetime.now(UTC)
    database = Database(Settings(database_url=module_postgres_url))
    _, key = await create_key(database, brand, "crm", ["journeys:manage"], now)
    facts = []
    for n in range(PLAYERS):
        for kind in (DepositApproved, SessionLogin):
            given: dict[str, Any] = {**kind.example_data, "event_source": "/t", "event_id": f"{kind.type}-{n}"}
            facts.append((f"p-{n:03}", kind(**given, occurred_at=now - timedelta(days=20))))
    await Intake(database, load().rules).ingest(brand, facts, now, mode="history")
    await database.close()
    return Casino(brand, module_postgres_url, {**variables, "JOURNEYS_KEY": key}, tmp_path)


async def test_everybody_in_a_segment_is_enrolled_after_a_look_and_a_yes(casino: Casino) -> None:
    code, said = await casino.journeys("segments")
    assert (code, "absent 40 Deposited before and was not seen for 14 days." in said) == (0, True)
    code, said = await casino.journeys("enrol", "win_back", "--segment", "absent", typed="n\n")
    assert (code, casino.entered()) == (1, 0)
    assert "win_back for the 40 players in absent" in said
    assert "Nobody was enrolled." in said
    code, said = await casino.journeys("enrol", "win_back", "--segment", "absent", "--once", "spring", typed="y\n")
    assert (code, casino.entered()) == (0, PLAYERS), said
    code, said = await casino.journeys("enrol", "win_back", "--segment", "absent", "--once", "spring", "--yes")
    assert (code, "40 are in it already" in said) == (0, True), said
    assert casino.jobs() == 1
    code, said = await casino.journeys("enrolments")
    assert (code, "done 40 of 40 win_back absent" in said) == (0, True)


async def test_where_nobody_would_enter_nothing_is_asked_and_nothing_begun(casino: Casino) -> None:
    for words in ((), ("--yes",)):
        code, said = await casino.journeys("enrol", "win_back", "--segment", "high_roller", *words)
        assert (code, said) == (0, "Nobody is in high_roller. Nobody would enter."), said
    everybody = ("enrol", "win_back", "--segment", "absent", "--yes")
    assert (await casino.journeys(*everybody))[0] == 0
    code, said = await casino.journeys(*everybody)
    assert (code, "40 are in it already Nobody would enter." in said) == (0, True), said
    assert casino.jobs() == 1


async def test_a_database_away_is_told_at_once_and_waited_for(tmp_path: Path) -> None:
    with serving(NOWHERE, tmp_path) as url:
        away = Casino("acme", NOWHERE, {"JOURNEYS_URL": url, "JOURNEYS_KEY": WELL_FORMED}, tmp_path)
        async with away.running("segments") as process, within(60):
            assert process.stdout is not None
            said = (await process.stdout.readline()).decode()
            assert process.returncode is None
    assert said.startswith(f"The API at {url} or its database is away; trying again for up to 60 s. (Postgres does not")


async def test_ctrl_c_leaves_it_running_and_says_how_to_hold_it(casino: Casino) -> None:
    async with casino.running("enrol", "win_back", "--segment", "absent", "--per-second", "1", "--yes") as process:
        await eventually(casino.entered, within=60)
        process.send_signal(signal.SIGINT)
        said = (await process.communicate())[0].decode()
        assert process.returncode == 130
    found = re.search(r"journeys enrolments pause (\w+)", " ".join(said.split()))
    assert found, said
    code, said = await casino.journeys("enrolments", "pause", found[1])
    assert (code, f"Enrolment {found[1]} is paused after" in said) == (0, True)
    held = casino.entered()
    assert held < PLAYERS
    code, said = await casino.journeys("enrolments", "cancel", found[1])
    assert (code, "is cancelled" in said) == (0, True)
    code, said = await casino.journeys("enrolments", "watch", found[1])
    assert (code, casino.entered()) == (1, held)
    code, said = await casino.journeys("enrolments", "resume", found[1])
    assert (code, "The enrolment is cancelled; there is nothing to resume." in said) == (1, True)


async def test_what_goes_wrong_is_a_sentence(casino: Casino) -> None:
    code, said = await casino.journeys("enrol", "win_back", "--segment", "abstent", "--yes")
    assert (code, said) == (1, "There is no segment abstent. Did you mean absent?")
    code, said = await casino.journeys("enrol", "unheard_of", "--segment", "absent", "--yes")
    assert (code, said) == (1, "There is no journey unheard_of. GET /v1/journeys lists what is deployed.")
    code, said = await casino.journeys("segments", "--url", f"http://127.0.0.1:{free_port()}")
    assert (code, said.startswith("No API answers at http://127.0.0.1:")) == (1, True)
