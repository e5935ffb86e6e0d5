"""Players whose moment has come, on a real Postgres: each ticked once, the longest waiting first, never too many."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from prometheus_client import REGISTRY

from activities.database import Database
from activities.intake.backpressure import Pressure
from activities.loops.sweeper import PLAYERS_AT_ONCE, PUT_OFF, REST, Sweeper
from activities.settings import Settings
from activities.tables import deliveries, players, runs
from tests.support.engine import BRAND, NOON, Casino, connected, declared, execute, rows
from tests.support.machine import within
from workflows import DepositApproved, Inactive, Player, SessionLogin, always, days, inactive, journey

AWAY = days(14)


@journey(inactive(SessionLogin, AWAY), entry=always, ends_after=days(30))
async def missed(player: Player, gone: Inactive) -> None:
    """Begins each time a player has stayed away for a fortnight."""


JOURNEYS = declared(missed, listens=[DepositApproved])


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    async with connected(postgres_url, pool_size=20) as database:
        yield database


@pytest.fixture
def casino(database: Database) -> Casino:
    return Casino.of(database, JOURNEYS)


def sweeping(database: Database, casino: Casino, **how: Any) -> Sweeper:
    return Sweeper(database, casino.intake, casino.clock, **how)


async def away(casino: Casino, count: int, *, every: timedelta = timedelta(seconds=1)) -> list[str]:
    """So many players log in one after the other, and then a fortnight passes. The last came first by name."""
    names = [casino.player(f"p{count - n:05}") for n in range(count)]
    logins = [(name, casino.event(SessionLogin, occurred_at=NOON + n * every)) for n, name in enumerate(names)]
    await casino.intake.ingest(BRAND, logins, NOON)
    casino.clock.now = NOON + AWAY + count * every
    return names


async def entered(database: Database) -> Counter[str]:
    """How often each player entered."""
    return Counter(row["player_id"] for row in await rows(database, runs))


class TestOnce:
    async def test_two_sweepers_side_by_side_tick_each_player_exactly_once(
        self, database: Database, casino: Casino
    ) -> None:
        names = await away(casino, 450)
        served = [0, 0]

        async def sweep(mine: int) -> None:
            sweeper = sweeping(database, casino)
            while found := await sweeper.run_once():
                served[mine] += found

        await asyncio.gather(sweep(0), sweep(1))
        assert await entered(database) == Counter(names)
        assert sum(served) == len(names)
        assert min(served) > 0
        assert len(await rows(database, deliveries)) == len(names)
        assert all(row["next_moment"] is None for row in await rows(database, players))

    async def test_sweepers_and_intake_about_the_same_players_never_wait_for_each_other_in_a_circle(
        self, database: Database, casino: Casino
    ) -> None:
        names = await away(casino, 300)
        chance = random.Random(7)
        batches = [[(name, casino.event(DepositApproved)) for name in chance.sample(names, 150)] for _ in range(12)]

        async def sweep() -> None:
            for _ in range(6):
                await sweeping(database, casino).run_once()

        taking = (casino.intake.ingest(BRAND, batch, casino.clock.now) for batch in batches)
        # A deadlock would be raised by whichever of them Postgres chose.
        await asyncio.gather(sweep(), sweep(), *taking)
        while await sweeping(database, casino).run_once():
            pass
        assert await entered(database) == Counter(names)

    async def test_a_sweeper_that_dies_has_ticked_nobody(self, database: Database, casino: Casino) -> None:
        names = await away(casino, 5)
        async with database.engine.connect() as dying:
            # It has claimed them, and its process is gone before it commits.
            await dying.execute(sa.select(players).with_for_update())
            assert await sweeping(database, casino).run_once() == 0
        assert await sweeping(database, casino).run_once() == 5
        assert await entered(database) == Counter(names)

    async def test_a_player_the_rules_cannot_tick_is_put_off_and_costs_nobody_else(
        self, database: Database, casino: Casino
    ) -> None:
        names = await away(casino, 6)
        await execute(database, """UPDATE players SET state = '{"moments": "nonsense"}' WHERE id = :id""", id=names[0])
        before = REGISTRY.get_sample_value("journeys_sweep_failures_total") or 0
        assert await sweeping(database, casino).run_once() == 6
        assert await entered(database) == Counter(names[1:])
        (broken,) = await rows(database, players, id=names[0])
        assert broken["next_moment"] == casino.clock.now + PUT_OFF
        assert REGISTRY.get_sample_value("journeys_sweep_failures_total") == before + 1
        assert await sweeping(database, casino).run_once() == 0


class TestCatchingUp:
    async def test_the_longest_waiting_come_first(self, database: Database, casino: Casino) -> None:
        names = await away(casino, 60)
        sweeper = sweeping(database, casino, rate=20)
        for ticked in (20, 40, 60):
            assert await sweeper.run_once() == 20
            assert await entered(database) == Counter(names[:ticked])

    async def test_what_gathered_while_nobody_swept_is_spread_at_the_rate(
        self, database: Database, casino: Casino
    ) -> None:
        count, rate = 330, 50
        await away(casino, count)
        stop = asyncio.Event()
        seen: list[tuple[float, int]] = [(0.0, 0)]

        async def pause(_: asyncio.Event, seconds: float) -> None:
            ticked = sum((await entered(database)).values())
            seen.append((seen[-1][0] + seconds, ticked))
            if ticked == count:
                stop.set()

        async with within(60):
            await sweeping(database, casino, rate=rate, pause=pause).run(stop)
        for earlier, before in seen:
            for later, after in seen:
                # Time goes on after each batch: at any moment one batch may be ahead of it.
                assert after - before <= rate * max(later - earlier, 0) + min(PLAYERS_AT_ONCE, rate)
        assert seen[-1][0] <= count / rate + REST

    async def test_while_deliveries_pile_up_nobody_is_ticked(self, database: Database, casino: Casino) -> None:
        names = await away(casino, 10)
        await execute(
            database,
            "INSERT INTO deliveries (run_id, seq, brand, kind, payload) "
            "SELECT 'r' || n, 0, 'acme', 'event', '{}' FROM generate_series(1, 20) n",
        )
        seconds = iter(range(100))
        pressure = Pressure(
            database, Settings(database_url=database.url, backlog_high=20, backlog_low=20), timer=seconds.__next__
        )
        stop = asyncio.Event()
        found: list[Counter[str]] = []

        async def pause(_: asyncio.Event, seconds: float) -> None:
            assert seconds == REST
            found.append(await entered(database))
            if len(found) == 2:
                await execute(database, "DELETE FROM deliveries WHERE run_id LIKE 'r%'")
            elif len(found) == 3:
                stop.set()

        async with within(30):
            await sweeping(database, casino, pressure=pressure, pause=pause).run(stop)
        assert found == [Counter(), Counter(), Counter(names)]

    async def test_what_is_due_and_how_late_can_be_watched(self, database: Database, casino: Casino) -> None:
        await away(casino, 10, every=timedelta(minutes=1))
        stop = asyncio.Event()

        async def pause(*_: object) -> None:
            stop.set()

        await sweeping(database, casino, pause=pause).run(stop)
        assert REGISTRY.get_sample_value("journeys_sweep_due_players") == 10
        assert REGISTRY.get_sample_value("journeys_sweep_lateness_seconds") == 600

    async def test_finding_the_longest_waiting_reads_no_more_rows_than_it_takes(
        self, database: Database, casino: Casino
    ) -> None:
        await execute(
            database,
            "INSERT INTO players (brand, id, next_moment) SELECT 'acme', 'p' || n, now() - n * interval '1 second' "
            "FROM generate_series(1, 20000) n",
        )
        await execute(database, "ANALYZE players")
        plans: list[str] = []

        def explain(connection: sa.Connection, _cursor: Any, statement: str, given: Any, *_: Any) -> None:
            if "SKIP LOCKED" in statement and "EXPLAIN" not in statement:
                told = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, TIMING OFF) {statement}", given)
                plans.extend(told.scalars())

        sa.event.listen(database.engine.sync_engine, "before_cursor_execute", explain)
        casino.clock.now = NOON + days(30)
        assert await sweeping(database, casino).run_once() == PLAYERS_AT_ONCE
        plan = "\n".join(plans)
        assert "Index Scan using ix_players_next_moment" in plan
        assert "Sort" not in plan
        assert f"rows={PLAYERS_AT_ONCE}.00" in next(line for line in plans if "Index Scan" in line)
