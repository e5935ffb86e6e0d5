"""Transfers a second at which the journal of points is recomputed: `journeys ledger verify`, on a journal of its own.

python bench/ledger.py [--players N] [--transfers N] [--rounds N]
"""

import argparse
import time
from datetime import UTC, datetime
from statistics import median
from typing import Final

from sqlalchemy import text

from activities.database import Database
from activities.ledger_proof import prove_ledger
from activities.settings import Settings
from bench.harness import house
from bench.measuring import Figures, leave, main, say

#: As a busy player's journal is: postings of an hour, awards, purchases that are held and paid, and what expires.
_JOURNAL: Final = text(
    """
    INSERT INTO point_transfers
        (brand, player_id, number, at, currency, debit, credit, cause, ref, amount, slices, bucket, units)
    SELECT 'demo', 'p-' || p, n, :now, 'points',
           CASE WHEN n % 10 = 9 THEN 'available' WHEN n % 10 = 0 THEN 'held' ELSE 'issued:wager' END,
           CASE WHEN n % 10 = 9 THEN 'held' WHEN n % 10 = 0 THEN 'redeemed:shop' ELSE 'available' END,
           CASE WHEN n % 10 IN (9, 0) THEN 'shop' ELSE 'wager' END, 'ref', 5,
           CASE WHEN n % 10 = 0 THEN '{}'
                WHEN n % 10 = 9 THEN jsonb_build_object('casino@' || 1800000000 + n / 10 * 86400, 5)
                ELSE jsonb_build_object('casino@' || 1800000000 + n / 10 * 86400, 5) END,
           NULL, NULL
    FROM generate_series(1, :players) p, generate_series(1, :each) n
    """
)
_ROWS: Final = text(
    """
    INSERT INTO players (brand, id, state)
    SELECT 'demo', 'p-' || p, jsonb_build_object('loyalty', jsonb_build_object('transfers', :each, 'points',
           jsonb_build_object('points', jsonb_build_object('lots',
               (SELECT jsonb_object_agg('casino@' || 1800000000 + d * 86400, 5 * c)
                FROM (SELECT n / 10 AS d, sum(CASE WHEN n % 10 = 0 THEN 0 WHEN n % 10 = 9 THEN -1 ELSE 1 END) AS c
                      FROM generate_series(1, :each) n GROUP BY 1) s WHERE c > 0)))))
    FROM generate_series(1, :players) p
    """
)


async def measure(given: argparse.Namespace) -> Figures:
    async with house() as built:
        return await on(Database(Settings(database_url=built.environment()["DATABASE_URL"])), given)


async def on(database: Database, given: argparse.Namespace) -> Figures:
    """The rate on a journal of that size, the median of the rounds."""
    each = given.transfers // given.players // 10 * 10
    asked = {"players": given.players, "each": each, "now": datetime.now(UTC)}
    try:
        async with database.transaction() as connection:
            await connection.execute(_JOURNAL, asked)
            await connection.execute(_ROWS, asked)
        async with database.transaction() as connection:
            await connection.execute(text("ANALYZE point_transfers"))
            await connection.execute(text("ANALYZE players"))
        rates = []
        for number in range(given.rounds):
            began, transfers = time.perf_counter(), 0
            async for proved in prove_ledger(database):
                assert proved.faults == [], proved.faults[:3]
                transfers += proved.transfers
            assert transfers == each * given.players
            rates.append(transfers / (time.perf_counter() - began))
            say(f"Round {number + 1}: {rates[-1]:,.0f} transfers a second.")
    finally:
        await database.close()
    return {"ledger_verify": round(median(rates)), "ledger_verify_transfers": each * given.players}


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--players", type=int, default=20_000)
    options.add_argument("--transfers", type=int, default=1_000_000)
    options.add_argument("--rounds", type=int, default=3)
    given = options.parse_args()
    leave(main(lambda: measure(given)))
