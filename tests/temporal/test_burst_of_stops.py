"""Five hundred exclusions at once reach their runs about as fast under load as on a quiet day."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from temporalio.client import Client

from activities.database import Database
from activities.run_delivery.dispatcher import Dispatcher
from tests.support.engine import BRAND, NOON, Casino, connected
from tests.support.exactness import JOURNEYS as ALL
from tests.support.machine import eventually, within
from workflows import DepositApproved, ExclusionSet, SessionLogin
from workflows.source.journey_loading import Registry

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

#: One run a player.
JOURNEYS = {"exact_first": ALL["exact_first"]}
BURST, OTHERS = 500, 1_500
WITHIN = 3.0


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    async with connected(postgres_url) as database:
        yield database


async def enter(casino: Casino, names: list[str]) -> None:
    for start in range(0, len(names), 100):
        batch = [(name, casino.event(DepositApproved, payment_id=name)) for name in names[start : start + 100]]
        await casino.intake.ingest(BRAND, batch, NOON)


async def left(database: Database, condition: str) -> int:
    async with database.reading() as connection:
        return int((await connection.execute(text(f"SELECT count(*) FROM deliveries WHERE {condition}"))).scalar_one())


async def exclude(casino: Casino, names: list[str]) -> float:
    """Exclude them all at once; seconds until Temporal has every stop."""
    began = time.monotonic()
    for start in range(0, len(names), 50):
        batch = [(n, casino.event(ExclusionSet, kind="self_exclusion", until=None)) for n in names[start : start + 50]]
        await casino.intake.ingest(BRAND, batch, NOON)

    async def all_told() -> bool:
        return await left(casino.intake.database, "priority = 0") == 0

    await eventually(all_told)
    return time.monotonic() - began


async def test_a_burst_of_exclusions_is_not_slowed_down_by_what_waits(database: Database, temporal: Client) -> None:
    casino = Casino.of(database, JOURNEYS)
    quiet, loaded = ([casino.player(f"{kind}{n}") for n in range(BURST)] for kind in ("q", "l"))
    others = [casino.player(f"o{n}") for n in range(OTHERS)]
    stop = asyncio.Event()
    dispatchers = [Dispatcher(database, temporal, Registry(JOURNEYS, (), {})) for _ in range(2)]
    await enter(casino, [*quiet, *loaded, *others])
    tasks = [asyncio.create_task(one.run(stop)) for one in dispatchers]
    try:

        async def settled() -> bool:
            return await left(database, "true") == 0

        async with within(300):
            while not await settled():
                await asyncio.sleep(0.2)
        unloaded = await exclude(casino, quiet)
        for start in range(0, OTHERS, 100):
            batch = [(name, casino.event(SessionLogin)) for name in others[start : start + 100] for _ in range(2)]
            await casino.intake.ingest(BRAND, batch, NOON)
        waiting = await left(database, "priority > 0")
        under_load = await exclude(casino, loaded)
    finally:
        stop.set()
        await asyncio.gather(*tasks)
    told = f"{BURST} stops: {unloaded:.2f} s alone, {under_load:.2f} s with {waiting} deliveries before them"
    logging.getLogger(__name__).info(told)
    assert under_load <= WITHIN * unloaded, told
