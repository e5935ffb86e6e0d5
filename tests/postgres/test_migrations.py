"""The migrations and the tables say the same."""

import asyncio
import json
import os
import sys

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text

from activities.database import migrate
from activities.month_partitions import is_partition
from activities.settings import Settings
from activities.tables import metadata
from local.postgres import Postgres


def url_of(database: str) -> str:
    """The address as SQLAlchemy wants it."""
    return Settings(database_url=database).sqlalchemy_url


async def test_migrations_build_exactly_the_tables_the_code_declares(postgres_url: str) -> None:
    engine = create_engine(url_of(postgres_url))
    with engine.connect() as connection:
        opts = {
            "compare_type": True,
            "compare_server_default": True,
            "include_name": lambda name, kind, _: kind != "table" or not is_partition(name),
        }
        context = MigrationContext.configure(connection, opts=opts)
        assert compare_metadata(context, metadata) == []
    engine.dispose()


async def test_two_processes_that_migrate_at_once_take_turns(postgres: Postgres) -> None:
    database = url_of(await postgres.create_database("at_once"))
    command = (sys.executable, "-m", "cli", "migrate")
    environment = os.environ | {"DATABASE_URL": database}
    processes = [await asyncio.create_subprocess_exec(*command, env=environment) for _ in range(2)]
    assert await asyncio.gather(*(process.wait() for process in processes)) == [0, 0]
    engine = create_engine(database)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM alembic_version")).scalar_one() == 1
    engine.dispose()
    await postgres.drop_database("at_once")


async def test_0040_is_begun_again_where_it_was_cut_off_before_its_index(postgres: Postgres) -> None:
    database = url_of(await postgres.create_database("cut_off"))
    await asyncio.to_thread(migrate, database, "0040")
    engine = create_engine(database)
    with engine.begin() as connection:
        connection.execute(text("DROP INDEX ix_spins_given"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0039'"))
    await asyncio.to_thread(migrate, database, "0040")
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "0040"
        assert connection.scalar(text("SELECT to_regclass('ix_spins_given')")) is not None
    engine.dispose()
    await postgres.drop_database("cut_off")


async def test_0055_gives_a_device_that_players_share_to_who_registered_it_last(postgres: Postgres) -> None:
    database = url_of(await postgres.create_database("shared"))
    await asyncio.to_thread(migrate, database, "0054")
    engine = create_engine(database)
    put = text(
        "INSERT INTO players (brand, id, state, profile) VALUES ('acme', :id, CAST(:state AS jsonb), "
        '\'{"email": "a@b.c", "push/abc": "a-token"}\')'
    )
    with engine.begin() as connection:
        for player, told in (("anna", 7_000_000), ("oleh", 9_000_000), ("ivan", -8_000_000)):
            connection.execute(put, {"id": player, "state": json.dumps({"told": {"push/abc": told}})})
    await asyncio.to_thread(migrate, database, "0055")
    with engine.connect() as connection:
        (owner,) = connection.execute(text("SELECT player_id, extract(epoch FROM since) FROM device_owners"))
        left = connection.execute(text("SELECT id FROM players WHERE profile ? 'push/abc'")).scalars().all()
        mails = connection.scalar(text("SELECT count(*) FROM players WHERE profile ? 'email'"))
    assert (owner.player_id, float(owner[1]), left, mails) == ("oleh", 9.0, ["oleh"], 3)
    engine.dispose()
    await postgres.drop_database("shared")


async def test_0062_is_begun_again_where_it_was_cut_off_between_two_months(postgres: Postgres) -> None:
    database = url_of(await postgres.create_database("cut_off_months"))
    await asyncio.to_thread(migrate, database, "0062")
    engine = create_engine(database)
    with engine.begin() as connection:
        connection.execute(text("DROP INDEX ix_events_scored"))
        on = "(brand, player_id, occurred_at) WHERE type IN ('payment.deposit_approved', 'score.changed')"
        connection.execute(text(f"CREATE INDEX ix_events_scored ON ONLY events {on}"))
        months = [*connection.scalars(text(MONTHS))]
        for month in months[:2]:
            connection.execute(text(f"CREATE INDEX {month}_scored ON {month} {on}"))
        connection.execute(text(f"ALTER INDEX ix_events_scored ATTACH PARTITION {months[0]}_scored"))
        connection.execute(text("UPDATE alembic_version SET version_num = :before"), {"before": BEFORE_0062})
    await asyncio.to_thread(migrate, database, "0062")
    with engine.connect() as connection:
        assert len(months) > 1
        assert connection.scalar(
            text("SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix_events_scored'::regclass")
        )
        of_months = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'ix_events_scored'::regclass"
        assert connection.scalar(text(of_months)) == len(months)
    engine.dispose()
    await postgres.drop_database("cut_off_months")


MONTHS = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'events'::regclass ORDER BY 1"
BEFORE_0062 = "0060"
