"""What was refused for good, until somebody mends the cause: explained, tried again one by one or all at once."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from activities.processes import Knowledge
from activities.run_delivery.dispatcher import Dispatcher
from activities.tables import dead_letters, deliveries
from api import dead_letters as letters_api
from local.ports import free_port
from local.temporal import TemporalServer
from tests.support.api_client import Api, serving
from tests.support.engine import execute, rows, run_of
from tests.support.exactness import heard_in_temporal
from tests.support.servers import running
from workflows import DepositApproved, Event, SessionLogin
from workflows.source.journey_loading import Registry

RUNS = 7


@dataclass
class Office:
    """An API, a dispatcher of a release that lacks every journey, and the person who looks at what it refused."""

    api: Api
    client: Client
    crm: httpx.AsyncClient

    async def dispatch(self, registry: Registry | None = None) -> None:
        database = self.api.engine.database
        while await rows(database, deliveries, brand=self.api.brand):
            await execute(database, "UPDATE deliveries SET due_at = now()")
            await Dispatcher(database, self.client, registry or self.api.engine.registry).run_once()

    async def refused(self) -> list[str]:
        """Players make deposits and log in, and nothing of it can be delivered for a release; their runs."""
        now, names = datetime.now(UTC), [f"p{number}" for number in range(RUNS)]
        for name in names:
            happened: list[Event] = [DepositApproved.example(), SessionLogin.example(), SessionLogin.example()]
            for number, example in enumerate(happened):
                event = example.model_copy(update={"event_id": f"{name}-{number}", "occurred_at": now})
                await self.api.engine.intake.ingest(self.api.brand, [(name, event)], now)
        await execute(self.api.engine.database, "UPDATE deliveries SET created_at = now() - interval '1 hour'")
        await self.dispatch(Registry({}, (), {}))
        return [await run_of(self.api.engine.database, name, "exact_first") for name in names]

    async def letters(self, **query: str) -> list[dict[str, object]]:
        answer = await self.crm.get("/v1/dead-letters", params={"page_size": 200, **query})
        items: list[dict[str, object]] = answer.raise_for_status().json()["items"]
        return items

    async def retry(self, **chosen: str) -> dict[str, int]:
        answer = await self.crm.post("/v1/dead-letters/retry", json=chosen or None)
        assert answer.status_code == 202
        told: dict[str, int] = answer.json()
        return told

    async def heard(self, run_id: str) -> list[str]:
        return [str(event["id"]) for event in (await heard_in_temporal(self.client, run_id)).events]


@pytest.fixture(scope="module")
async def client(session_folder: Path) -> AsyncIterator[Client]:
    own = TemporalServer(port=free_port(), ui_port=None, database=None)
    async with running(own.service(), session_folder):
        yield await Client.connect(own.address, data_converter=pydantic_data_converter)


@pytest.fixture
async def office(postgres_url: str, client: Client) -> AsyncIterator[Office]:
    async with serving(postgres_url, journeys="tests.support.exact_journeys") as api:
        # While any process knows a journey its starts are put off; the last one that does is gone.
        api.engine.processes.knows = Knowledge()
        await api.engine.processes.leave()
        await api.engine.processes.beat()
        yield Office(api, client, await api.client("journeys:manage", name="crm"))


async def test_every_letter_says_what_to_do_and_together_they_begin_their_runs_in_order(office: Office) -> None:
    played = await office.refused()
    letters = await office.letters(retried="false")
    assert len(letters) == len(await rows(office.api.engine.database, dead_letters))
    told = {str(letter["reason"]) for letter in letters}
    assert {
        f"No journey exact_{name} is deployed here; deploy it again and retry." for name in ("first", "each")
    } <= told
    assert await office.retry() == {"retried": len(letters), "left": 0}
    assert await office.retry() == {"retried": 0, "left": 0}
    await office.dispatch()
    for run_id in played:
        name = run_id.split(":")[2]
        assert await office.heard(run_id) == [f"{name}-1", f"{name}-2"]
    assert await office.letters(retried="false") == []


async def test_some_are_chosen_by_their_reason_or_their_run(office: Office) -> None:
    played = await office.refused()
    counted = Counter(str(letter["reason"]) for letter in await office.letters())
    reason = next(reason for reason in counted if "exact_first" in reason)
    first = await office.retry(run=played[0])
    assert first == {"retried": counted[reason] // RUNS, "left": 0}
    assert await office.retry(reason=reason) == {"retried": counted[reason] - first["retried"], "left": 0}
    await office.dispatch()
    assert {str(letter["reason"]) for letter in await office.letters(retried="false")} == {*counted} - {reason}


async def test_many_take_several_calls_and_calls_side_by_side_try_each_once(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    played = await office.refused()
    total = len(await office.letters())
    monkeypatch.setattr(letters_api, "AT_ONCE", 5)
    retried = 0
    while retried < total:
        told = await asyncio.gather(*(office.retry() for _ in range(3)))
        retried += sum(one["retried"] for one in told)
    assert retried == total
    assert await office.retry() == {"retried": 0, "left": 0}
    await office.dispatch()
    for run_id in played:
        assert len(await office.heard(run_id)) == 2


async def test_what_is_tried_again_late_is_heard_after_what_the_run_has_heard_meanwhile(office: Office) -> None:
    run_id = (await office.refused())[0]
    name = run_id.split(":")[2]
    start = next(letter for letter in await office.letters(run=run_id) if letter["kind"] == "start")
    assert (await office.crm.post(f"/v1/dead-letters/{start['id']}/retry")).status_code == 202
    now = datetime.now(UTC)
    login = SessionLogin.example().model_copy(update={"event_id": f"{name}-late", "occurred_at": now})
    await office.api.engine.intake.ingest(office.api.brand, [(name, login)], now)
    await office.dispatch()
    assert await office.heard(run_id) == [f"{name}-late"]
    await office.retry()
    await office.dispatch()
    assert await office.heard(run_id) == [f"{name}-late", f"{name}-1", f"{name}-2"]
