"""Folding events into days of players, noting rewards, what both cost intake, and reading the figures of two years.

python bench/figures.py [--events N] [--players N] [--ingested N] [--rounds N] [--reads N]
"""

import argparse
import asyncio
import multiprocessing
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from multiprocessing.synchronize import Event as Happening
from typing import Final

import psycopg
from sqlalchemy import text

from activities.database import Database, migrate
from activities.figures.figure_store import store
from activities.figures.followers import EventFollower, Follower, Followers, RewardFollower, catch_up
from activities.intake.intake import Intake
from activities.loops.figure_reports import read_report
from activities.settings import Settings
from bench.harness import BRAND, House, house
from bench.measuring import Figures, alternate, leave, main, percentile, say
from workflows import RewardClaimed, RoundCompleted
from workflows.events import Event
from workflows.figures.definitions import FIGURES, Taken, week_of
from workflows.rules.index import RuleIndex

BATCH: Final = 500
#: Seconds within which the followers' process begins, or ends.
BEGINS_WITHIN: Final = 60.0
TODAY: Final = datetime.now(UTC).date()
_FILL: Final = text(
    """
    INSERT INTO events (brand, source, id, seq, type, player_id, occurred_at, data)
    SELECT :brand, '/bench', 'f-' || n, nextval('event_ids_seq_seq'),
           CASE WHEN n % 20 = 0 THEN 'payment.deposit_approved' WHEN n % 20 = 1 THEN 'session.login'
                WHEN n % 500 = 2 THEN 'reward.claimed' ELSE 'game.round_completed' END,
           'p-' || (CAST(n AS bigint) * 7919) % :players, now() - (n % 3) * interval '1 day',
           CASE WHEN n % 20 = 0 THEN '{"amount_minor": 2000, "fee_minor": 20, "currency": "EUR"}'::jsonb
                WHEN n % 20 = 1 THEN '{}'
                WHEN n % 500 = 2 THEN jsonb_build_object('grant_id', 'g-' || (CAST(n AS bigint) * 7919) % :players)
                ELSE '{"stake_minor": 100, "win_minor": 90, "currency": "EUR"}' END
    FROM generate_series(1, :events) n
    """
)
#: A reward of every player, for what is told of rewards.
_GRANT: Final = (
    text(
        """
    INSERT INTO players (brand, id, state) SELECT :brand, 'p-' || n, '{}' FROM generate_series(0, :players - 1) n
    """
    ),
    text(
        """
    INSERT INTO grants (id, brand, player_id, run_id, step, journey, kind, reward, status, decision)
    SELECT 'g-' || n, :brand, 'p-' || n, 'r-' || n, 'give:x#1', 'bench', 'free_spins', '{}', 'confirmed', '{}'
    FROM generate_series(0, :players - 1) n
    """
    ),
)
#: Of so many events of live intake one tells of a reward.
ONE_REWARD_OF: Final = 500


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
    """Events a second that one follower folds, 18 of 20 rounds, and words about rewards that the other notes."""
    async with database.transaction() as connection:
        for grant in _GRANT:
            await connection.execute(grant, {"brand": BRAND, "players": given.players})
        await connection.execute(_FILL, {"brand": BRAND, "events": given.events, "players": given.players})
    seconds = await _counted(EventFollower(database))
    noting = await _counted(RewardFollower(database))
    async with database.reading() as connection:
        told = await connection.scalar(text("SELECT count(*) FROM events WHERE type = 'reward.claimed'"))
        rounds = await connection.scalar(text("SELECT sum(rounds + deposits + logins) FROM player_days"))
        noted = await connection.scalar(text("SELECT count(*) FROM grants WHERE claimed_at IS NOT NULL"))
    assert rounds == given.events - told, f"{rounds} of {given.events - told} are counted."
    assert noted, "No word about a reward was noted."
    say(f"{given.events:,} events of {given.players:,} players in {seconds:.1f} s, {told:,} words in {noting:.1f} s")
    folded = {"folded_events_per_s": round(given.events / seconds), "folded_events": given.events}
    return folded | {"noted_rewards_per_s": round(told / noting), "noted_rewards": told}


async def _counted(follower: Follower) -> float:
    """Seconds until a follower has nothing left to count."""
    began = time.perf_counter()
    while await follower.count_once() is not False:
        pass
    return time.perf_counter() - began


async def beside_intake(database: Database, given: argparse.Namespace) -> Figures:
    """Intake while followers count behind it in a process of their own, beside the same while nobody does."""
    intake, draw, told = Intake(database, RuleIndex({})), random.Random(3), 0

    def happened(now: datetime) -> tuple[str, Event]:
        nonlocal told
        told += 1
        number, event_id = draw.randrange(given.players), f"i-{told}"
        if told % ONE_REWARD_OF == 0:
            about = f"g-{number}"
            claimed = RewardClaimed(event_id=event_id, event_source="/bench", occurred_at=now, grant_id=about)
            return f"p-{number}", claimed
        played = RoundCompleted(
            event_id=event_id,
            event_source="/bench",
            occurred_at=now,
            round_id=f"r-{told}",
            game_id="g",
            category="slot",
            stake_minor=100,
            win_minor=0,
        )
        return f"p-{number}", played

    async def ingest(_: int) -> float:
        now = datetime.now(UTC)
        batches = [[happened(now) for _ in range(BATCH)] for _ in range(-(-given.ingested // BATCH))]
        began = time.perf_counter()
        for batch in batches:
            await intake.ingest(BRAND, batch, now)
        return float(len(batches) * BATCH) / (time.perf_counter() - began)

    async def followed(number: int) -> float:
        # What came while nobody followed is counted first: followers that are behind cost more than those beside.
        await catch_up(EventFollower(database), RewardFollower(database))
        async with following(database.url):
            return await ingest(number)

    await ingest(0)
    compared = await alternate(given.rounds, followed, ingest, what="Intake with followers", unit="events/s")
    return compared.figures("followed_intake", "followed_intake_per_s", "unfollowed_intake_per_s")


@asynccontextmanager
async def following(url: str) -> AsyncIterator[None]:
    """Every follower in a process of its own, as a worker is one beside the processes that take events in."""
    context = multiprocessing.get_context("spawn")
    ready, stopped = context.Event(), context.Event()
    process = context.Process(target=_follow, args=(url, ready, stopped), daemon=True)
    process.start()
    try:
        if not await asyncio.to_thread(ready.wait, BEGINS_WITHIN):
            raise RuntimeError("The followers did not begin.")
        yield
    finally:
        stopped.set()
        await asyncio.to_thread(process.join, BEGINS_WITHIN)
        if process.is_alive():
            process.kill()


def _follow(url: str, ready: Happening, stopped: Happening) -> None:
    """The work of that process."""

    async def follow() -> None:
        database, stop = Database(Settings(database_url=url)), asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(Followers(database).run(stop))
            ready.set()
            await asyncio.to_thread(stopped.wait)
            stop.set()
        await database.close()

    asyncio.run(follow())


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
