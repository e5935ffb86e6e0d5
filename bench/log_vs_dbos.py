"""The end of a real log, played by the engine and by the same journeys on DBOS, on the same Postgres.

python bench/log_vs_dbos.py [LOG] [--deposits N] [--rounds N]
"""

import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import orjson
import typer

from bench.harness import House, house
from bench.log import ABSENT, LOG, Tail, by_player, enrol, import_past, new_brand, play, read_tail
from bench.measuring import Figures, alternate, leave, main, say
from bench.peers.dbos_app import READY, TABLES, TAKEN
from bench.traffic import CloudEvent
from local.supervisor import dying_with_parent

#: One process a core, as DBOS is scaled; each with its share of the players, so many of them under way at a time.
PROCESSES, AT_ONCE = 2, 8


@asynccontextmanager
async def app(built: House, brand: str, events: list[CloudEvent]) -> AsyncIterator[list[Process]]:
    """The DBOS application, ready; its system database is its own, so that it takes up no earlier round's journeys."""
    system = await built.postgres.create_database(f"dbos_{brand.replace('-', '_')}")
    shares: list[list[CloudEvent]] = [[] for _ in range(PROCESSES)]
    for number, theirs in enumerate(by_player(events)):
        shares[number % PROCESSES] += theirs
    started: list[Process] = []
    try:
        for number, share in enumerate(shares):
            file = built.folder / f"{brand}-{number}.json"
            file.write_bytes(orjson.dumps(share))
            process = await asyncio.create_subprocess_exec(
                *dying_with_parent(signal.SIGKILL),
                *(sys.executable, "-m", "bench.peers.dbos_app", str(file), brand, str(AT_ONCE)),
                env=os.environ | built.environment() | {"DBOS_SYSTEM_DATABASE_URL": system},
                stdin=PIPE,
                stdout=PIPE,
            )
            started.append(process)
            await said(process, READY)
        yield started
    finally:
        for process in started:
            if process.returncode is None:
                process.kill()
            await process.wait()
        await built.postgres.drop_database(system.rpartition("/")[2])


async def said(process: Process, word: str) -> None:
    """Wait until the application says something."""
    assert process.stdout is not None
    async with asyncio.timeout(180):
        async for line in process.stdout:
            if line.decode().strip() == word:
                return
    raise RuntimeError("The DBOS application ended by itself; what it said stands above.")


async def on_dbos(built: House, tail: Tail, brand: str) -> float:
    """Seconds until every event is taken and everything due has happened."""
    await new_brand(built, brand)
    now = datetime.now(UTC)
    await tail.register_newcomers(built, brand, now)
    work = tail.work(brand)
    await enrol(built, work, brand)
    treated = {player: [j for _, p, j in work.runs if p == player] for player in tail.players}
    async with built.sql.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO dbos_players (brand, player_id, deposits, treated) VALUES (%s, %s, %s, %s)",
            [(brand, player, tail.before[player], journeys) for player, journeys in treated.items()],
        )
    async with app(built, brand, tail.events(brand, now)) as processes:
        await built.settle()
        began = time.perf_counter()
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(b"go\n")
        await asyncio.gather(*(said(process, TAKEN) for process in processes))
        await work.wait(built)
        seconds = time.perf_counter() - began
    found = await built.rows("SELECT player_id, deposits FROM dbos_players WHERE brand = %s", brand)
    counts = {row["player_id"]: row["deposits"] for row in found}
    assert counts == {player: tail.counts[player] for player in tail.players}, "DBOS has not counted every deposit."
    return seconds


async def measure(log: Path, deposits: int, rounds: int) -> Figures:
    tail = read_tail(log, deposits)
    async with house() as built:
        await import_past(built, tail)
        await built.sql.execute(TABLES.encode())
        small = replace(tail, deposits=tail.deposits[:100])

        async def engine(number: int, what: Tail = tail) -> float:
            return len(what.deposits) / await play(built, what, f"engine-{number}")

        async def dbos(number: int, what: Tail = tail) -> float:
            return len(what.deposits) / await on_dbos(built, what, f"dbos-{number}")

        await engine(0, small)
        await dbos(0, small)
        compared = await alternate(rounds, engine, dbos, what="Log", unit="deposits/s")
    return compared.figures("log_vs_dbos", "log_deposits_per_s", "dbos_deposits_per_s")


def command(
    *,
    log: Annotated[Path, typer.Argument()] = LOG,
    deposits: int = 2_000,
    rounds: int = 3,
) -> None:
    """Replay the end of a log on the engine and on DBOS."""
    if not log.is_file():
        say(ABSENT)
        print("{}")
        leave(0)
    leave(main(lambda: measure(log, deposits, rounds)))


if __name__ == "__main__":
    typer.run(command)
