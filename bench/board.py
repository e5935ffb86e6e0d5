"""Reading a board of a million, and what scores cost intake: p99 of the first hundred with a player's own place, and
events a second beside the same without a board.

python bench/board.py [--entries N] [--reads N] [--events N] [--rounds N]
"""

import argparse
import random
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import text

from activities.database import Database
from activities.intake.intake import Intake
from activities.leaderboards import BoardRulers, place_of, top_of
from activities.settings import Settings
from bench.harness import BRAND, house
from bench.measuring import Figures, alternate, leave, main, percentile, say
from workflows import RoundCompleted, count, month, tournament
from workflows.loyalty.program import LoyaltyProgram
from workflows.loyalty.tournaments import board_of
from workflows.rules.index import RuleIndex

BOARD: Final = tournament("bench", count(RoundCompleted), every=month, timezone="UTC")
#: Events of one call of intake.
BATCH: Final = 500
_FILL: Final = text(
    """
    INSERT INTO standings (brand, player_id, board, neg_score, reached_at, rounds, draw, named)
    SELECT :brand, 'p-' || n, :board, -(1 + (n * 7919) % 1000), CAST(:at AS timestamptz) - n * interval '1 ms', 1, n,
           true
    FROM generate_series(1, :entries) n
    """
)


async def measure(given: argparse.Namespace) -> Figures:
    async with house() as built:
        database = Database(Settings(database_url=built.environment()["DATABASE_URL"]))
        try:
            return await on(database, given)
        finally:
            await database.close()


async def on(database: Database, given: argparse.Namespace) -> Figures:
    """Both figures on one board."""
    now = datetime.now(UTC)
    board = board_of(BRAND, BOARD.newest(now).id)
    async with database.transaction() as connection:
        await connection.execute(_FILL, {"brand": BRAND, "board": board, "entries": given.entries, "at": now})
    async with database.engine.connect() as connection:
        await (await connection.execution_options(isolation_level="AUTOCOMMIT")).execute(
            text("VACUUM ANALYZE standings")
        )
    say(f"A board of {given.entries:,} entries.")
    times = await _reads(database, board, given)
    figures: Figures = {
        "board_1m": round(percentile(times, 0.99), 2),
        "board_1m_p50": round(percentile(times, 0.5), 2),
        "board_1m_entries": given.entries,
    }
    return figures | await _updates(database, given)


async def _reads(database: Database, board: int, given: argparse.Namespace) -> list[float]:
    """Milliseconds of each reading, of players anywhere on the board."""
    rulers, draw, times = BoardRulers(database), random.Random(7), list[float]()
    for number in range(given.reads + 20):
        player = f"p-{draw.randint(1, given.entries)}"
        began = time.perf_counter()
        async with database.reading() as connection:
            top = await top_of(connection, board, final=False)
            place = await place_of(connection, rulers, BRAND, player, board, final=False)
        if number >= 20:  # the ruler and the caches are warm then
            times.append((time.perf_counter() - began) * 1_000)
        assert place is not None
        assert len(top) == min(100, given.entries)
    return times


async def _updates(database: Database, given: argparse.Namespace) -> Figures:
    """Intake of rounds whose every one moves its player on the board, beside the same without a board."""
    now = datetime.now(UTC)
    plain, ranking = (Intake(database, RuleIndex({}, {}, LoyaltyProgram.of(some))) for some in ((), (BOARD,)))
    draw, told = random.Random(11), 0

    async def ingest(intake: Intake) -> float:
        nonlocal told
        batches: list[Sequence[tuple[str, RoundCompleted]]] = []
        for _ in range(-(-given.events // BATCH)):
            batch = []
            for _ in range(BATCH):
                told += 1
                at = now + timedelta(microseconds=told)
                event = RoundCompleted(
                    event_id=f"e-{told}",
                    event_source="/bench",
                    occurred_at=at,
                    round_id=f"r-{told}",
                    game_id="g",
                    category="slot",
                    stake_minor=100,
                    win_minor=0,
                )
                batch.append((f"p-{draw.randint(1, min(given.entries, 20_000))}", event))
            batches.append(batch)
        began = time.perf_counter()
        for one in batches:
            await intake.ingest(BRAND, one, datetime.now(UTC))
        return len(batches) * BATCH / (time.perf_counter() - began)

    for warm in (plain, ranking):
        await ingest(warm)
    compared = await alternate(
        given.rounds,
        lambda _: ingest(ranking),
        lambda _: ingest(plain),
        what="Events that score",
        unit="events/s",
    )
    return compared.figures("board_updates", "board_updates_per_s", "board_none_per_s", 0)


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--entries", type=int, default=1_000_000)
    options.add_argument("--reads", type=int, default=1_000)
    options.add_argument("--events", type=int, default=10_000, help="events of a round on one side")
    options.add_argument("--rounds", type=int, default=3)
    given = options.parse_args()
    leave(main(lambda: measure(given)))
