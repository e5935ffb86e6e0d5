"""A brand that floods waits for itself: another one's run goes on in its turn, at the server and not only with us."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from temporalio.client import Client

from activities.engine import WorkerEngine, worker_engine
from activities.settings import settings_from
from activities.tables import steps
from activities.temporal_client import connect
from tests.support.bulkheads.journeys import Served
from tests.support.engine import SECRET, run_of
from tests.support.machine import eventually
from tests.support.temporal_engine import REACHABLE
from tests.support.workers import all_workers
from workflows import Event, PlayerRegistered

FLOOD = 30


@asynccontextmanager
async def engine(
    postgres_url: str, temporal_address: str, monkeypatch: pytest.MonkeyPatch, **settings: Any
) -> AsyncIterator[tuple[WorkerEngine, Client]]:
    """An engine and its client under a name of its own; nothing is played yet."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal_address)
    variables = {"DATABASE_URL": postgres_url, "JOURNEYS": "tests.support.bulkheads", "LINK_SECRETS": SECRET}
    variables |= {"DEPLOYMENT_NAME": f"t-{secrets.token_hex(4)}", "WEBHOOK_SECRET": SECRET}
    given = settings_from(variables).model_copy(update=settings)
    async with worker_engine(given) as built:
        yield built, await connect(given)


async def begins(built: WorkerEngine, client: Client, brand: str, players: int) -> None:
    """So many players of a brand enter `asked` and `rewarded`, and Temporal has their runs."""
    now = datetime.now(UTC)
    batch: list[tuple[str, Event]] = []
    for number in range(players):
        about: dict[str, Any] = {"event_source": "/test", "occurred_at": now}
        known: dict[str, Any] = REACHABLE | {"email": f"{number}@synthetic.example"}
        batch.append((f"p-{number}", PlayerRegistered(event_id=f"r-{number}", **about, **known)))
        batch.append((f"p-{number}", Served(event_id=f"s-{number}", **about)))
    await built.intake.ingest(brand, batch, now)
    dispatcher = built.dispatcher(client)
    while await dispatcher.run_once():
        pass


async def test_one_run_of_a_brand_does_not_wait_for_all_that_another_began_before_it(
    postgres_url: str, temporal_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with engine(postgres_url, temporal_address, monkeypatch) as (built, client):
        await begins(built, client, "acme", FLOOD)
        await begins(built, client, "luna", 1)

        async def opened() -> list[str]:
            """The brands whose tasks were opened, in that order, once all are."""
            query = sa.select(steps.c.brand).where(steps.c.outcome == "opened").order_by(steps.c.seq)
            async with built.database.reading() as connection:
                brands = list(await connection.scalars(query))
            return brands if len(brands) == FLOOD + 1 else []

        # As few slots as there may be, so that what is not taken waits at the server.
        async with all_workers(client, built, max_concurrent_activities=1, max_concurrent_workflow_tasks=2):
            order = await eventually(opened)
    assert order.index("luna") < FLOOD / 2, f"luna came as number {order.index('luna')} of {FLOOD + 1}"


async def test_a_heavier_brand_says_so_when_its_run_starts(
    postgres_url: str, temporal_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with engine(postgres_url, temporal_address, monkeypatch, brand_weights={"luna": 3}) as (built, client):
        await begins(built, client, "luna", 1)
        described = await client.get_workflow_handle(await run_of(built.database, "p-0", "asked")).describe()
        told = described.raw_description.workflow_execution_info.priority
        assert (told.fairness_key, told.fairness_weight) == ("luna", 3)
