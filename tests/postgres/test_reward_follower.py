"""What is told of rewards is noted behind intake, once, with few players locked and none for long."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import text

from activities.database import Database
from activities.figures.followers import EventFollower, RewardFollower, catch_up
from activities.figures.journey_days import take_turn
from activities.figures.journey_reading import CountQuery, day_counts
from activities.player_rows import LOCK_PLAYERS
from activities.tables import grants
from tests.support.engine import BRAND, NOON, Casino, begin_run, connected, execute, rows
from tests.support.machine import within
from workflows import RewardClaimed, RewardCompleted, SessionLogin, days
from workflows.figures.journey_figures import arms_of

DAY = days(1)


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    async with connected(postgres_url) as database:
        yield database


@pytest.fixture
def casino(database: Database) -> Casino:
    return Casino.of(database, {})


class TestNoting:
    async def test_a_grant_has_its_life_and_its_cost_stands_where_it_was_granted(
        self, database: Database, casino: Casino
    ) -> None:
        player = casino.player()
        run_id = f"giving:{BRAND}:{player}:1"
        await begin_run(database, run_id)
        await execute(database, GRANT, id=f"{run_id}/grant:spins#1", player=player, run=run_id)
        told: dict[str, Any] = {"grant_id": "ref-1", "currency": "EUR"}
        await casino.happens(player, RewardClaimed, **told)
        await catch_up(RewardFollower(database))
        casino.clock.later(DAY)
        for _ in range(2):
            await casino.happens(player, RewardCompleted, **told, cost_minor=700, converted_minor=700)
            await catch_up(RewardFollower(database))
        (row,) = await rows(database, grants, run_id=run_id)
        assert (row["claimed_at"], row["ended_at"], row["ended_as"]) == (NOON, NOON + DAY, "completed")
        assert (row["cost_minor"], row["cost_currency"]) == (700, "EUR")
        async with database.reading() as connection:
            arm = arms_of(await day_counts(connection, BRAND, CountQuery("giving")))["treated"]
        assert (arm.claimed, arm.cost) == (1, {"EUR": 700})

    @pytest.mark.parametrize("order", [[1, 2], [2, 1]])
    async def test_whoever_writes_grants_of_the_same_players_is_waited_for_before_any_is_touched(
        self, database: Database, casino: Casino, order: list[int]
    ) -> None:
        named = {number: casino.player(f"p{number}") for number in (1, 2)}
        for player in named.values():
            run_id = f"giving:{BRAND}:{player}:1"
            await begin_run(database, run_id)
            await execute(database, GRANT, id=f"{run_id}/grant:spins#1", player=player, run=run_id)
            await casino.happens(player, RewardClaimed, grant_id="ref-1")
        async with database.transaction() as connection:
            await connection.execute(LOCK_PLAYERS, {"brand": BRAND, "ids": [*named.values()]})
            first, second = (
                text("UPDATE grants SET stage = 'active' WHERE player_id = :player").bindparams(player=named[one])
                for one in order
            )
            await connection.execute(first)
            counting = asyncio.create_task(RewardFollower(database).count_once())
            await somebody_waits(database)
            await connection.execute(second)
        assert await counting is True
        assert {row["claimed_at"] for row in await rows(database, grants)} == {NOON}

    async def test_intake_of_whose_rewards_are_noted_is_not_held_while_the_rest_is_caught_up_with(
        self, database: Database, casino: Casino
    ) -> None:
        first, second = casino.player("p1"), casino.player("p2")
        for player in (first, second):
            await rewarded(database, casino, player)
        async with database.transaction() as connection:
            await connection.execute(LOCK_PLAYERS, {"brand": BRAND, "ids": [second]})
            counting = asyncio.create_task(catch_up(EventFollower(database), RewardFollower(database, at_once=1)))
            await somebody_waits(database)
            async with within(20):
                await casino.happens(first, SessionLogin)
        await counting
        assert {row["claimed_at"] for row in await rows(database, grants)} == {NOON}

    async def test_nobody_is_locked_while_another_follower_counts(self, database: Database, casino: Casino) -> None:
        player = casino.player()
        await rewarded(database, casino, player)
        async with database.transaction() as connection:
            await take_turn(connection)
            counting = asyncio.create_task(RewardFollower(database).count_once())
            await somebody_waits(database)
            async with within(20):
                await casino.happens(player, SessionLogin)
        assert await counting is True
        (row,) = await rows(database, grants)
        assert row["claimed_at"] == NOON

    async def test_a_word_about_a_reward_that_is_committed_late_is_not_passed_by(
        self, database: Database, casino: Casino
    ) -> None:
        late, early = casino.player("late"), casino.player("early")
        for player in (late, early):
            await rewarded(database, casino, player, told=player == early)
        follower = RewardFollower(database)
        async with connected(database.url.replace("+psycopg", "")) as other, other.transaction() as connection:
            await connection.execute(text(CLAIMED), {"player": late})
            await casino.happens(early, SessionLogin)
            for _ in range(3):
                assert await follower.count_once() is None
        await catch_up(follower)
        assert all(row["claimed_at"] is not None for row in await rows(database, grants))

    async def test_where_many_other_events_lie_between_each_word_is_noted(
        self, database: Database, casino: Casino, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("activities.figures.followers.EVENTS_AT_ONCE", 3)
        for number in range(4):
            await rewarded(database, casino, casino.player(f"p{number}"))
            for _ in range(4):
                await casino.happens(casino.player(), SessionLogin)
        await catch_up(RewardFollower(database, at_once=2))
        assert [row["claimed_at"] for row in await rows(database, grants)] == [NOON] * 4


async def rewarded(database: Database, casino: Casino, player: str, *, told: bool = True) -> None:
    """Give a player a reward, and have them claim it."""
    run_id = f"giving:{BRAND}:{player}:1"
    await begin_run(database, run_id)
    await execute(database, GRANT, id=f"{run_id}/grant:spins#1", player=player, run=run_id)
    if told:
        await casino.happens(player, RewardClaimed, grant_id="ref-1")


_WAITS = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


async def somebody_waits(database: Database) -> None:
    """Until somebody waits for a lock."""
    async with within(20):
        while True:
            async with database.transaction() as connection:
                waits = text(_WAITS)
                if await connection.scalar(waits):
                    return
            await asyncio.sleep(0.02)


GRANT = """
    INSERT INTO grants (id, brand, player_id, run_id, step, journey, kind, reward, status, decision, provider_ref)
    VALUES (:id, 'acme', :player, :run, 'grant:spins#1', 'giving', 'free_spins', '{}', 'confirmed', '{}', 'ref-1')
"""
CLAIMED = """
    INSERT INTO events (brand, source, id, seq, type, player_id, occurred_at, data)
    VALUES ('acme', '/late', 'claimed', nextval('event_ids_seq_seq'), 'reward.claimed', :player, now(),
            '{"grant_id": "ref-1"}')
"""
