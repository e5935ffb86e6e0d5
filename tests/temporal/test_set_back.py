"""Postgres is set back while Temporal is ahead: nothing acknowledged afterwards is swallowed by a run."""

import json
from collections.abc import AsyncIterator

import pytest
from temporalio.client import Client

from activities.database import Database
from activities.delivery.dispatcher import Dispatcher
from activities.tables import dead_letters, deliveries, players
from tests.support.engine import BRAND, NOON, Casino, connected, execute, rows
from tests.support.exactness import JOURNEYS, heard_in_temporal
from workflows import DepositApproved, ExclusionSet, SessionLogin
from workflows.source.registry import Registry


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    async with connected(postgres_url) as database:
        yield database


@pytest.fixture
def casino(database: Database) -> Casino:
    return Casino.of(database, JOURNEYS)


async def deliver(database: Database, client: Client) -> None:
    dispatcher = Dispatcher(database, client, Registry(JOURNEYS, (), {}))
    while await rows(database, deliveries):
        await execute(database, "UPDATE deliveries SET due_at = now()")
        await dispatcher.run_once()


async def row_of(database: Database, player: str) -> str:
    (row,) = await rows(database, players, id=player)
    return json.dumps(row["state"])


async def test_what_comes_after_a_players_row_was_set_back_is_heard_and_a_stop_stops(
    casino: Casino, database: Database, temporal: Client
) -> None:
    player = casino.player()
    run_id = f"exact_first:{BRAND}:{player}:1"
    await casino.happens(player, DepositApproved, payment_id="d-1")
    before = await row_of(database, player)
    for _ in range(3):
        await casino.happens(player, SessionLogin)
    await deliver(database, temporal)
    assert (await heard_in_temporal(temporal, run_id)).last_seen == 3
    await execute(database, "UPDATE players SET state = CAST(:state AS jsonb) WHERE id = :id", state=before, id=player)
    await casino.happens(player, SessionLogin)
    await deliver(database, temporal)
    told = await heard_in_temporal(temporal, run_id)
    assert (len(told.events), told.last_seen) == (4, 3), "the fourth login came under the number of the first"
    await casino.happens(player, ExclusionSet, kind="self_exclusion", until=None)
    await deliver(database, temporal)
    assert (await heard_in_temporal(temporal, run_id)).exit == "self_excluded"
    assert await rows(database, dead_letters) == []


async def test_an_answer_that_was_given_after_the_loss_reaches_its_run(
    casino: Casino, database: Database, temporal: Client
) -> None:
    player = casino.player()
    run_id = f"exact_first:{BRAND}:{player}:1"
    await casino.happens(player, DepositApproved, payment_id="d-1")
    before = await row_of(database, player)
    await casino.happens(player, SessionLogin, SessionLogin)
    await deliver(database, temporal)
    await execute(database, "UPDATE players SET state = CAST(:state AS jsonb) WHERE id = :id", state=before, id=player)
    async with (
        database.transaction() as connection,
        casino.intake.locked(connection, BRAND, [player], NOON) as locked,
    ):
        assert locked.answer(player, run_id, "ask:Word#1", {"word": "yes"})
    await deliver(database, temporal)
    assert (await heard_in_temporal(temporal, run_id)).answers == {"ask:Word#1": {"word": "yes"}}
