"""How cost grows: events a second by batch size, by players and by active runs; reaction by load. For the plots.

    python bench/scaling_curves.py [--seconds N]

Each point is a short measurement of its own and has no floor; the figures with floors are taken elsewhere.
"""

import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from bench.harness import House, batches, house
from bench.intake import AT_ONCE, import_past
from bench.measuring import Figures, leave, main, percentile, say, significant
from bench.peers.bare_worker import READY
from bench.reaction import Callees, calls_over_http, load_of, park, park_bare, register
from bench.traffic import day, players

BATCHES = (1, 5, 20, 100, 500, 1_000)
PLAYERS = (100, 1_000, 5_000, 20_000, 50_000)
RUNS = (0, 1_000, 10_000, 100_000)
#: Of what the slower side can do.
LOADS = (0.1, 0.2, 0.4, 0.6, 0.8)
POOL = 5_000
TEMPLATE = "p0"
Point = dict[str, float]


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


class Marks:
    """Names for events, none used twice."""

    def __init__(self) -> None:
        self.given = 0

    def next(self) -> str:
        self.given += 1
        return f"g{self.given}"


async def rate(built: House, ids: list[str], batch: int, marks: Marks, seconds: float) -> float:
    """Events a second of these players, in batches of this size; the median of three short stretches."""
    rates: list[float] = []
    events = 2 * batch * AT_ONCE
    for _ in range(3):
        while True:
            bodies = batches(day(ids, events, marks.next(), datetime.now(UTC) - timedelta(minutes=1)), batch)
            await built.sql.execute("CHECKPOINT")
            began = time.perf_counter()
            await built.post_all(bodies, at_once=AT_ONCE)
            took = time.perf_counter() - began
            if took > seconds / 2 or events > 100_000:
                break
            events = int(events * min(8, 1.2 * seconds / took))
        rates.append(events / took)
    return sorted(rates)[1]


async def intake(seconds: float) -> dict[str, list[Point]]:
    """The three curves of intake, on one house that fills up as they are taken."""
    marks = Marks()
    found: dict[str, list[Point]] = {"by_batch": [], "by_players": [], "by_runs": []}
    async with house(journeys="bench.journeys") as built:
        ids = players(POOL)
        await import_past(built, ids)
        for batch in BATCHES:
            point = {"batch": batch, "events_per_s": await rate(built, ids, batch, marks, seconds)}
            say(f"Intake: {point}")
            found["by_batch"].append(point)
        everybody = ids + await clone_rows(built, max(PLAYERS) - POOL)
        await built.sql.execute("VACUUM ANALYZE")
        for count in PLAYERS:
            point = {"players": count, "events_per_s": await rate(built, everybody[:count], 500, marks, seconds)}
            say(f"Intake: {point}")
            found["by_players"].append(point)
    async with house(journeys="bench.journeys") as built:
        ids = players(POOL)
        await import_past(built, ids)
        for count in RUNS:
            if count:
                await park_rows(built, count)
            point = {"runs": count, "events_per_s": await rate(built, ids, 500, marks, seconds)}
            say(f"Intake: {point}")
            found["by_runs"].append(point)
    return found


async def park_rows(built: House, count: int) -> None:
    """Have `count` players in runs, as rows: first those who play, each listening, then others."""
    await built.sql.execute(
        """
        WITH parked AS (
          SELECT brand, id, 'parked:' || brand || ':' || id || ':1' AS run FROM players
          WHERE NOT state ? 'runs' ORDER BY length(id), id LIMIT %(count)s - (SELECT count(*) FROM runs)
        ), entered AS (
          INSERT INTO runs (id, brand, player_id, journey, arm, state, entered_at, ends_at)
          SELECT run, brand, id, 'parked', 'treated', 'active', now(), now() + interval '60 days' FROM parked
        )
        UPDATE players p SET state = p.state || jsonb_build_object('runs', jsonb_build_object(parked.run,
          jsonb_build_object('journey', 'parked', 'arm', 'treated', 'ends_at', now() + interval '60 days')))
        FROM parked WHERE p.brand = parked.brand AND p.id = parked.id
        """,
        {"count": count},
    )
    missing = count - await built.count("SELECT count(*) FROM runs")
    if missing > 0:
        await clone_rows(built, missing)
    await built.sql.execute("VACUUM ANALYZE")


async def reaction(seconds: float) -> list[Point]:
    """Both sides' reaction at growing shares of what fits."""
    found: list[Point] = []
    async with (
        house(journeys="bench.journeys") as built,
        built.beside("bare-worker", sys.executable, "-m", "bench.peers.bare_worker", said=READY),
    ):
        ids, theirs = players(200, "engine-p"), players(200, "bare-p")
        await register(built, [*ids, *theirs])
        await park(built, ids)
        sides: dict[str, Callees] = {"engine": calls_over_http(built, ids), "bare": await park_bare(built, theirs)}
        fits, _ = await load_of(sides, 1)
        for load in (significant(share * fits) for share in LOADS):
            point: Point = {"load": load}
            for name, side in sides.items():
                await built.settle()
                reactions = await side.react(load, seconds)
                point |= {f"{name}_p50_ms": percentile(reactions, 0.5), f"{name}_p99_ms": percentile(reactions, 0.99)}
            say(f"Reaction at {load}/s: {point}")
            found.append(point)
    return found


async def measure(seconds: float) -> Figures:
    curves: Figures = await intake(seconds)
    curves["reaction_by_load"] = await reaction(seconds * 4)
    return {"growth": curves}


def command(
    *,
    seconds: Annotated[float, typer.Option(help="length of a stretch; reactions take four times that")] = 1.5,
) -> None:
    """Take the curves."""
    leave(main(lambda: measure(seconds)))


if __name__ == "__main__":
    typer.run(command)
