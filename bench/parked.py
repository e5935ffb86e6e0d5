"""What 100,000 players parked in runs cost those who play: intake and reaction, beside a house with 1,000.

    python bench/parked.py [--many N] [--live N] [--few N] [--events N] [--seconds N] [--rounds N]

Two houses stand side by side, each with its own Postgres, Temporal, API, worker and dispatcher, and are measured in
turn. `live` of the many are really waiting workflows; the rest are the same rows in Postgres without one.
"""

import asyncio
import random
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import typer

from bench.harness import House, batches, house
from bench.intake import AT_ONCE, import_past
from bench.measuring import Compared, Figures, alternate, leave, main, percentile, say
from bench.reaction import Callees, calls_over_http, park
from bench.traffic import day, players

TEMPLATE = "p0"


async def clone_rows(built: House, count: int) -> list[str]:
    """More players parked like the first one, as rows alone: their past, their state, their run."""
    begin = await built.count("SELECT count(*) + 1 FROM players WHERE id LIKE 'row-%%'")
    names = f"FROM generate_series({begin}, {begin} + %s - 1) AS n"
    await built.sql.execute(
        f"""
        INSERT INTO players (brand, id, state, profile, next_moment)
        SELECT brand, 'row-' || n, replace(state::text, ':{TEMPLATE}:', ':row-' || n || ':')::jsonb, profile,
               next_moment
        {names} JOIN players ON id = '{TEMPLATE}'
        """.encode(),
        (count,),
    )
    await built.sql.execute(
        f"""
        INSERT INTO runs (id, brand, player_id, journey, arm, state, entered_at, ends_at, trigger)
        SELECT replace(id, ':{TEMPLATE}:', ':row-' || n || ':'), brand, 'row-' || n, journey, arm, state, entered_at,
               ends_at, trigger
        {names} JOIN runs ON player_id = '{TEMPLATE}'
        """.encode(),
        (count,),
    )
    await built.sql.execute(
        f"""
        INSERT INTO events (brand, source, id, type, player_id, occurred_at, history, data)
        SELECT brand, source, id || '-row-' || n, type, 'row-' || n, occurred_at, history, data
        {names} JOIN events ON player_id = '{TEMPLATE}'
        """.encode(),
        (count,),
    )
    return [f"row-{number}" for number in range(begin, begin + count)]


async def fill(built: House, live: int, rows: int, playing: int) -> tuple[list[str], Callees]:
    """Park players; who of them plays during the measurement, spread over all, and who is called."""
    ids = players(live)
    await import_past(built, ids)
    await park(built, ids)
    everybody = ids + (await clone_rows(built, rows) if rows else [])
    await built.sql.execute("VACUUM ANALYZE")
    draw = random.Random(1)
    return draw.sample(everybody, playing), calls_over_http(built, draw.sample(ids, len(ids)))


@dataclass(frozen=True)
class Sizes:
    """How many players, events and seconds a comparison takes; `live` of `many` have a workflow."""

    many: int
    live: int
    few: int
    events: int
    rate: float
    seconds: float
    rounds: int


async def measure(given: Sizes) -> Figures:
    async with house(journeys="bench.journeys") as big, house(journeys="bench.journeys") as small:
        say(f"Parking {given.many:,} players, {given.live:,} of them live, and {given.few:,} elsewhere …")
        (some_of_many, many), (some_of_few, few) = await asyncio.gather(
            fill(big, given.live, given.many - given.live, given.few), fill(small, given.few, 0, given.few)
        )

        async def intake(built: House, ids: list[str], mark: str) -> float:
            bodies = batches(day(ids, given.events, mark, datetime.now(UTC) - timedelta(minutes=1)), 500)
            await built.settle()
            began = time.perf_counter()
            await built.post_all(bodies, at_once=AT_ONCE)
            return float(given.events / (time.perf_counter() - began))

        await intake(big, some_of_many, "e0")
        await intake(small, some_of_few, "e0")
        rates = await alternate(
            given.rounds,
            lambda number: intake(big, some_of_many, f"e{number}"),
            lambda number: intake(small, some_of_few, f"e{number}"),
            what="Intake beside parked players",
            unit="events/s",
        )

        async def reaction(callees: Callees, _: int) -> float:
            return percentile(await callees.react(given.rate, given.seconds), 0.5)

        await many.react(given.rate, 3)
        await few.react(given.rate, 3)
        reactions: Compared = await alternate(
            given.rounds,
            lambda number: reaction(many, number),
            lambda number: reaction(few, number),
            what="Reaction beside parked players",
            unit="ms",
        )
    return rates.figures("parked_100k_intake", "parked_100k_events_per_s", "parked_1k_events_per_s", 0) | (
        reactions.figures("parked_100k_reaction", "parked_100k_p50_ms", "parked_1k_p50_ms")
    )


def command(
    *,
    many: int = 100_000,
    live: int = 5_000,
    few: int = 1_000,
    events: int = 20_000,
    rate: float = 20,
    seconds: float = 10,
    rounds: int = 3,
) -> None:
    """Take the figures of parked players."""
    leave(main(lambda: measure(Sizes(many, live, few, events, rate, seconds, rounds))))


if __name__ == "__main__":
    typer.run(command)
