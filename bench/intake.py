"""Events a second over HTTP, the whole intake step, beside a bare multi-row insert of the same rows by psycopg.

python bench/intake.py [--events N] [--players N] [--batch N] [--rounds N]
"""

import argparse
import asyncio
import time
from datetime import UTC, datetime, timedelta
from statistics import median

from bench.harness import BRAND, House, batches, house
from bench.measuring import Compared, Figures, alternate, leave, main, say, significant
from bench.peers.bare_insert import BareInsert, Way, row
from bench.traffic import day, past, players

AT_ONCE = 4


async def import_past(built: House, ids: list[str]) -> None:
    """The players' past, which starts nothing."""
    say(f"Importing the past of {len(ids):,} players …")
    events = list(past(ids, datetime.now(UTC)))
    await built.post_all(batches(events, 500), at_once=AT_ONCE, mode="history")
    await built.sql.execute("VACUUM ANALYZE players, events")


async def measure(given: argparse.Namespace) -> Figures:
    ids = players(given.players)
    async with house() as built:
        await import_past(built, ids)
        bare = await asyncio.to_thread(BareInsert, built.postgres_url, given.batch)
        others: dict[Way, list[float]] = {"executemany": [], "copy": []}

        async def engine(number: int) -> float:
            events = day(ids, given.events, f"e{number}", datetime.now(UTC) - timedelta(minutes=1))
            bodies = batches(events, given.batch)
            await built.settle()
            began = time.perf_counter()
            await built.post_all(bodies, at_once=AT_ONCE)
            seconds = time.perf_counter() - began
            kept = await built.count("SELECT count(*) FROM events WHERE id LIKE %s", f"e{number}-%")
            assert kept == given.events, f"{kept} events of {given.events} were kept."
            return float(given.events / seconds)

        async def insert_by(way: Way, number: int) -> float:
            events = day(ids, given.events, f"{way}{number}", datetime.now(UTC) - timedelta(minutes=1))
            rows = [row(BRAND, event) for event in events]
            await built.settle()
            began = time.perf_counter()
            await asyncio.to_thread(bare.insert, rows, way)
            return float(given.events / (time.perf_counter() - began))

        async def insert(number: int) -> float:
            rate = await insert_by("values", number)
            for way, rates in others.items():
                rates.append(await insert_by(way, number))
            return rate

        await engine(0)
        await insert(0)
        await asyncio.to_thread(bare.empty)
        for rates in others.values():
            rates.clear()
        compared = await alternate(given.rounds, engine, insert, what="Intake", unit="events/s")
        started = await built.count("SELECT count(*) FROM runs")
        bare.close()
    assert started == 0, "Nobody should have entered a journey."
    figures = compared.figures("intake_vs_insert", "intake_events_per_s", "insert_rows_per_s", 0)
    for way, rates in others.items():
        other = Compared(compared.ours, rates)
        figures |= {f"intake_vs_{way}": significant(other.ratio), f"{way}_rows_per_s": round(median(rates))}
    return figures


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--events", type=int, default=30_000)
    options.add_argument("--players", type=int, default=5_000)
    options.add_argument("--batch", type=int, default=500)
    options.add_argument("--rounds", type=int, default=3)
    given = options.parse_args()
    leave(main(lambda: measure(given)))
