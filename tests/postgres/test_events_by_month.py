"""Events are kept by month, known by their identity, and moved there by a migration that loses none."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from prometheus_client import REGISTRY

from activities.database import MIGRATIONS, Database, migrate
from activities.month_partitions import (
    AHEAD,
    AT_ONCE,
    count_ahead,
    default_of,
    drop,
    make_ahead,
    month_after,
    month_of,
    move_back,
    partitions,
)
from activities.tables import event_ids, events
from local.postgres import Postgres
from tests.support.engine import BRAND, Casino, connected, execute, rows
from workflows import DepositApproved, SessionLogin

NOW = datetime.now(UTC)
#: As the release before wrote events: it names no `seq`.
AS_BEFORE = """
    INSERT INTO events (brand, source, id, type, player_id, occurred_at, data, unique_value, history)
    SELECT 'acme', '/test', 'e-' || n, 'payment.deposit_approved', 'p' || n % 7, now(), '{}', 'pay-' || n, false
    FROM generate_series(CAST(:first AS int), CAST(:last AS int)) n
    ON CONFLICT DO NOTHING RETURNING id
"""


pytestmark = pytest.mark.owner


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    async with connected(postgres_url) as database:
        yield database


def downgrade(url: str, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["url"] = url
    command.downgrade(config, revision)


async def names(database: Database) -> list[str]:
    async with database.reading() as connection:
        return [partition.name for partition in await partitions(connection)]


async def partition_of(database: Database, event_id: str) -> str:
    async with database.reading() as connection:
        query = sa.text("SELECT CAST(tableoid AS regclass)::text FROM events WHERE id = :id")
        found: str = (await connection.execute(query, {"id": event_id})).scalar_one()
        return found


class TestPartitions:
    async def test_the_months_to_come_are_made_once_however_many_make_them(self, database: Database) -> None:
        async def make(now: datetime) -> list[str]:
            async with database.transaction() as connection:
                return await make_ahead(connection, now)

        later = NOW + timedelta(days=400)
        made = await asyncio.gather(*(make(later) for _ in range(3)))
        assert sorted(map(bool, made)) == [False, False, True]
        last = month_of(later)
        for _ in range(AHEAD):
            last = month_after(last)
        assert (await names(database))[-1] == f"events_{last:%Y_%m}"
        async with database.reading() as connection:
            found = await partitions(connection)
        assert [one.since for one in found[1:]] == [one.until for one in found[:-1]], "There is a gap."

    async def test_how_many_months_are_ahead_is_told(self, database: Database) -> None:
        async with database.transaction() as connection:
            await make_ahead(connection, NOW)
            ahead = [partition.until for partition in await partitions(connection)]
            await count_ahead(connection, NOW)
            assert (REGISTRY.get_sample_value("journeys_event_months_ahead") or 0) >= AHEAD
            await count_ahead(connection, ahead[-1])
            assert REGISTRY.get_sample_value("journeys_event_months_ahead") == 0

    async def test_intake_goes_on_when_nobody_made_the_month_and_the_month_gets_what_came(
        self, database: Database
    ) -> None:
        async with database.transaction() as connection:
            for partition in await partitions(connection):
                await drop(connection, partition)
        casino = Casino.of(database, {})
        assert await casino.happens(casino.player(), SessionLogin) == ["accepted"]
        assert await partition_of(database, "e-1") == default_of("events")
        async with database.transaction() as connection:
            await make_ahead(connection, NOW)
        assert await partition_of(database, "e-1") == f"events_{NOW:%Y_%m}"
        assert await casino.happens(casino.player(), SessionLogin) == ["accepted"]

    async def test_what_came_to_no_month_moves_in_pieces_while_more_of_it_comes(self, database: Database) -> None:
        async with database.transaction() as connection:
            for partition in await partitions(connection):
                await drop(connection, partition)
            many = sa.text(AS_BEFORE.replace("ON CONFLICT DO NOTHING RETURNING id", ""))
            await connection.execute(many, {"first": 101, "last": AT_ONCE + 110})
        async with database.transaction() as connection:
            await make_ahead(connection, NOW)
        async with database.reading() as connection:
            assert await connection.scalar(sa.text("SELECT count(*) FROM events_displaced")) == 10
        casino = Casino.of(database, {})
        assert await casino.happens(casino.player(), SessionLogin) == ["accepted"]
        for more in (True, False, False):
            async with database.transaction() as connection:
                assert await move_back(connection, "events") is more
        found = await rows(database, events)
        assert len(found) == AT_ONCE + 11
        assert await partition_of(database, f"e-{AT_ONCE + 110}") == f"events_{NOW:%Y_%m}"

    async def test_reading_a_player_reads_an_index_of_each_partition_and_an_identity_only_one(
        self, database: Database
    ) -> None:
        async with database.reading() as connection:
            await connection.execute(sa.text("SET LOCAL enable_seqscan = off"))
            plan = await connection.scalars(
                sa.text("EXPLAIN SELECT * FROM events WHERE brand = 'a' AND player_id = 'p' AND occurred_at > now()")
            )
            assert "Seq Scan" not in "\n".join(plan)
            plan = await connection.scalars(
                sa.text("EXPLAIN SELECT * FROM events WHERE received_at = '2020-01-01 00:00+00' AND seq = 7")
            )
            assert "\n".join(plan).count("events_") == 2, "The name of its index and its own."


class TestOldWriters:
    """While the release rolls, the API of the one before writes as it did."""

    async def test_what_is_new_gets_an_identity_and_what_is_known_is_left_out(self, database: Database) -> None:
        async with database.transaction() as connection:
            first = (await connection.scalars(sa.text(AS_BEFORE), {"first": 1, "last": 10})).all()
            again = (await connection.scalars(sa.text(AS_BEFORE), {"first": 5, "last": 12})).all()
        assert (len(first), sorted(again)) == (10, ["e-11", "e-12"])
        known = {(row["seq"], row["received_at"]) for row in await rows(database, event_ids)}
        assert known == {(row["seq"], row["received_at"]) for row in await rows(database, events)}

    async def test_both_releases_know_what_the_other_one_kept(self, database: Database) -> None:
        await execute(database, AS_BEFORE, first=1, last=3)
        casino = Casino.of(database, {})
        casino.events = 1
        event = casino.event(DepositApproved, payment_id="pay-2")
        event = event.model_copy(update={"event_id": "e-2"})
        (known,) = await casino.intake.ingest(BRAND, [("p2", event)], NOW, first_counts=[("/test", "e-2")])
        assert known == "duplicate"
        await casino.intake.ingest(
            BRAND, [("p2", casino.event(DepositApproved).model_copy(update={"event_id": "e-9"}))], NOW
        )
        async with database.transaction() as connection:
            written = (await connection.scalars(sa.text(AS_BEFORE), {"first": 8, "last": 10})).all()
        assert sorted(written) == ["e-10", "e-8"]


# The table with the columns that the release before knew.
AS_IT_WAS = sa.Table(
    "events",
    sa.MetaData(),
    *(sa.Column(one.name, one.type, primary_key=one.primary_key) for one in events.columns if one.name != "key_id"),
)


class TestUpgrade:
    @pytest.fixture
    async def before(self, postgres: Postgres) -> AsyncIterator[Database]:
        """A database as the release before left it, with events in it."""
        url = await postgres.create_database("before_months")
        await asyncio.to_thread(migrate, url, "0013")
        async with connected(url) as database:
            await execute(database, AS_BEFORE, first=1, last=500)
            await execute(database, "UPDATE events SET unique_value = NULL WHERE id IN ('e-1', 'e-2')")
            yield database
        await postgres.drop_database("before_months")

    async def test_what_was_kept_is_kept_and_known_and_what_comes_meanwhile_too(self, before: Database) -> None:
        kept = {row["id"]: row for row in await rows(before, AS_IT_WAS)}
        migrating = asyncio.create_task(asyncio.to_thread(migrate, before.url))
        number = 500
        while not migrating.done():
            number += 1
            await execute(before, AS_BEFORE, first=number, last=number)
            await asyncio.sleep(0)
        await migrating
        await execute(before, AS_BEFORE, first=number + 1, last=number + 1)
        after = {row["id"]: row for row in await rows(before, AS_IT_WAS)}
        assert {name: after[name] for name in kept} == kept
        assert len(after) == number + 1
        known = {(row["seq"], row["received_at"]) for row in await rows(before, event_ids)}
        assert known == {(row["seq"], row["received_at"]) for row in after.values()}
        async with before.transaction() as connection:
            again = (await connection.scalars(sa.text(AS_BEFORE), {"first": 1, "last": number + 1})).all()
        assert again == [], "Something that was kept was taken in once more."

    async def test_it_can_be_begun_again_and_taken_back(self, before: Database) -> None:
        kept = {row["id"]: row for row in await rows(before, AS_IT_WAS)}
        await execute(before, "CREATE TABLE events_default ()")
        with pytest.raises(sa.exc.ProgrammingError, match="events_default"):
            await asyncio.to_thread(migrate, before.url)
        await execute(before, "DROP TABLE events_default")
        await asyncio.to_thread(migrate, before.url)
        await asyncio.to_thread(downgrade, before.url, "0013")
        assert {row["id"]: row for row in await rows(before, AS_IT_WAS)} == kept
        async with before.transaction() as connection:
            new = (await connection.scalars(sa.text(AS_BEFORE), {"first": 499, "last": 502})).all()
        assert sorted(new) == ["e-501", "e-502"]
        await asyncio.to_thread(migrate, before.url)
        assert len(await rows(before, AS_IT_WAS)) == 502
