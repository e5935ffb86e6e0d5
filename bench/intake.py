"""Events a second over HTTP, the whole intake step, beside a bare multi-row insert of the same rows by psycopg.

python bench/intake.py [--events N] [--players N] [--batch N] [--rounds N]
"""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Annotated

import typer

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


async def measure(events: int, ids: list[str], batch: int, rounds: int) -> Figures:
    async with house() as built:
        await import_past(built, ids)
        bare = await asyncio.to_thread(BareInsert, built.postgres_url, batch)
        others: dict[Way, list[float]] = {"executemany": [], "copy": []}

        async def engine(number: int) -> float:
            told = day(ids, events, f"e{number}", datetime.now(UTC) - timedelta(minutes=1))
            bodies = batches(told, batch)
            await built.settle()
            began = time.perf_counter()
            await built.post_all(bodies, at_once=AT_ONCE)
            seconds = time.perf_counter() - began
            kept = await built.count("SELECT count(*) FROM events WHERE id LIKE %s", f"e{number}-%")
            assert kept == events, f"{kept} events of {events} were kept."
            return float(events / seconds)

        async def insert_by(way: Way, number: int) -> float:
            told = day(ids, events, f"{way}{number}", datetime.now(UTC) - timedelta(minutes=1))
            rows = [row(BRAND, event) for event in told]
            await built.settle()
            began = time.perf_counter()
            await asyncio.to_thread(bare.insert, rows, way)
            return float(events / (time.perf_counter() - began))

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
        compared = await alternate(rounds, engine, insert, what="Intake", unit="events/s")
        started = await built.count("SELECT count(*) FROM runs")
        bare.close()
    assert started == 0, "Nobody should have entered a journey."
    figures = compared.figures("intake_vs_insert", "intake_events_per_s", "insert_rows_per_s", 0)
    for way, rates in others.items():
        other = Compared(compared.ours, rates)
        figures |= {f"intake_vs_{way}": significant(other.ratio), f"{way}_rows_per_s": round(median(rates))}
    return figures


def command(
    *,
    events: int = 30_000,
    players_: Annotated[int, typer.Option("--players")] = 5_000,
    batch: int = 500,
    rounds: int = 3,
) -> None:
    """Take the figures of intake."""
    leave(main(lambda: measure(events, players(players_), batch, rounds)))


if __name__ == "__main__":
    typer.run(command)
