"""Folding events into days of players, what that costs intake, and reading the figures of two years.

python bench/figures.py [--events N] [--players N] [--ingested N] [--rounds N] [--reads N]
"""

import argparse
import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Final

import psycopg
from sqlalchemy import text

from activities.database import Database, migrate
from activities.figures.figure_store import store
from activities.figures.followers import EventFollower, Followers
from activities.intake.intake import Intake
from activities.loops.figure_reports import read_report
from activities.settings import Settings
from bench.harness import BRAND, House, house
from bench.measuring import Figures, alternate, leave, main, percentile, say
from workflows import RoundCompleted
from workflows.figures.definitions import FIGURES, Taken, week_of
from workflows.rules.index import RuleIndex

BATCH: Final = 500
TODAY: Final = datetime.now(UTC).date()
_FILL: Final = text(
    """
    INSERT INTO events (brand, source, id, seq, type, player_id, occurred_at, data)
    SELECT :brand, '/bench', 'f-' || n, nextval('event_ids_seq_seq'),
           CASE n % 20 WHEN 0 THEN 'payment.deposit_approved' WHEN 1 THEN 'session.login'
                ELSE 'game.round_completed' END,
           'p-' || (CAST(n AS bigint) * 7919) % :players, now() - (n % 3) * interval '1 day',
           CASE n % 20 WHEN 0 THEN '{"amount_minor": 2000, "fee_minor": 20, "currency": "EUR"}' WHEN 1 THEN '{}'
                ELSE '{"stake_minor": 100, "win_minor": 90, "currency": "EUR"}' END::jsonb
    FROM generate_series(1, :events) n
    """
)


async def measure(given: argparse.Namespace) -> Figures:
    async with house() as built, apart(built) as database:
        figures = await folding(database, given)
        figures |= await beside_intake(database, given)
        return figures | await reading(database, given)


@asynccontextmanager
async def apart(built: House) -> AsyncIterator[Database]:
    """A database of its own on the same Postgres, in which nobody else follows."""
    async with await psycopg.AsyncConnection.connect(built.postgres_url, autocommit=True) as connection:
        await connection.execute("CREATE DATABASE figures_apart")
    url = built.environment()["DATABASE_URL"].rpartition("/")[0] + "/figures_apart"
    await asyncio.to_thread(migrate, Settings(database_url=url).sqlalchemy_url)
    database = Database(Settings(database_url=url))
    try:
        yield database
    finally:
        await database.close()


async def folding(database: Database, given: argparse.Namespace) -> Figures:
    """Events a second that one follower folds; 18 of 20 are rounds."""
    async with database.transaction() as connection:
        await connection.execute(_FILL, {"brand": BRAND, "events": given.events, "players": given.players})
    follower = EventFollower(database)
    began = time.perf_counter()
    while await follower.count_once() is not False:
        pass
    seconds = time.perf_counter() - began
    async with database.reading() as connection:
        rounds = await connection.scalar(text("SELECT sum(rounds + deposits + logins) FROM player_days"))
    assert rounds == given.events, f"{rounds} of {given.events} are counted."
    say(f"{given.events:,} events of {given.players:,} players in {seconds:.1f} s")
    return {"folded_events_per_s": round(given.events / seconds), "folded_events": given.events}


async def beside_intake(database: Database, given: argparse.Namespace) -> Figures:
    """Intake while a follower counts behind it, beside the same while nobody does."""
    intake, draw, told = Intake(database, RuleIndex({})), random.Random(3), 0

    async def ingest(_: int) -> float:
        nonlocal told
        now, batches = datetime.now(UTC), []
        for _ in range(-(-given.ingested // BATCH)):
            batch = []
            for _ in range(BATCH):
                told += 1
                event = RoundCompleted(
                    event_id=f"i-{told}",
                    event_source="/bench",
                    occurred_at=now,
                    round_id=f"r-{told}",
                    game_id="g",
                    category="slot",
                    stake_minor=100,
                    win_minor=0,
                )
                batch.append((f"p-{draw.randrange(given.players)}", event))
            batches.append(batch)
        began = time.perf_counter()
        for batch in batches:
            await intake.ingest(BRAND, batch, now)
        return float(given.ingested) / (time.perf_counter() - began)

    async def followed(number: int) -> float:
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(Followers(database).run(stop))
            try:
                return await ingest(number)
            finally:
                stop.set()

    await ingest(0)
    compared = await alternate(given.rounds, followed, ingest, what="Intake with a follower", unit="events/s")
    return compared.figures("followed_intake", "followed_intake_per_s", "unfollowed_intake_per_s")


async def reading(database: Database, given: argparse.Namespace) -> Figures:
    """Milliseconds until everything that the page of figures shows is read, of two years of nights."""
    segments = [f"segment-{number}" for number in range(20)]
    for night in range(730):
        day = TODAY - timedelta(days=730 - night)
        async with database.transaction() as connection:
            await store(connection, BRAND, day, _taken(day, segments))
    times, report = list[float](), None
    for number in range(given.reads + 5):
        began = time.perf_counter()
        report = await read_report(database, BRAND, ())
        if number >= 5:
            times.append((time.perf_counter() - began) * 1_000)
    assert report is not None
    return {
        "figures_read_p95": round(percentile(times, 0.95), 1),
        "figures_read_p50": round(percentile(times, 0.5), 1),
        "figures_read_rows": len(report.taken),
    }


def _taken(day: date, segments: list[str]) -> list[Taken]:
    week = week_of(day)
    whole = [Taken(name, "week", week, 1_000_000, 0.4, 0.39, 0.41) for name in FIGURES]
    parts = [
        Taken(name, "week", week, 50_000, 0.4, 0.39, 0.41, split_by="segment", part=segment)
        for name in ("registered", "deposited", "ngr", "churn_30", "harm_signals")
        for segment in segments
    ]
    return whole + parts


def command() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--players", type=int, default=50_000)
    parser.add_argument("--ingested", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--reads", type=int, default=100)
    given = parser.parse_args()
    leave(main(lambda: measure(given)))


if __name__ == "__main__":
    command()
