"""What very many open workflows cost those who play: intake, reaction and memory, beside a house with 1,000.

    python bench/parked.py [--runs N] [--within N] [--few N] [--events N] [--share N] [--seconds N] [--rounds N]

Two houses stand side by side, each with its own Postgres, Temporal, API, worker and dispatcher, and are measured in
turn. Every parked run is a workflow that waits in Temporal for its player's event.
"""

import random
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from bench.harness import House, batches, house
from bench.intake import AT_ONCE, import_past
from bench.measuring import Compared, Figures, alternate, leave, main, percentile, say, significant
from bench.parked_runs import park_many
from bench.reaction import OURS, SERVERS, Callees, calls_over_http, load_of, park, register
from bench.traffic import day, players

MANY = 100_000
#: Players who are called, in each house.
CALLED = 200


@dataclass(frozen=True)
class Sizes:
    """How many runs, events and seconds a comparison takes."""

    runs: int
    within: float
    few: int
    events: int
    share: float
    seconds: float
    rounds: int


@dataclass(frozen=True)
class Filled:
    """A house and how many are parked in it; as many play in either."""

    built: House
    parked: int
    playing: list[str]
    callees: Callees


async def fill(built: House, ids: list[str], playing: int, within: float | None) -> Filled:
    """Park players; who of them plays and is called is drawn from all."""
    say(f"Registering {len(ids):,} players …")
    await register(built, ids)
    if within is None:
        await park(built, ids)
        parked = len(ids)
    else:
        parked = await park_many(built, ids, within)
    some = random.Random(1).sample(ids[:parked], min(playing, parked))
    await import_past(built, some)
    await built.sql.execute("VACUUM ANALYZE")
    return Filled(built, parked, some, calls_over_http(built, some[:CALLED]))


def extrapolated(ratio: float, parked: int, few: int) -> float:
    """The ratio at 100,000 runs if what so many more cost goes on in a straight line, which is the worst it can do."""
    return 1 + (ratio - 1) * (MANY - few) / (parked - few)


async def measure(given: Sizes) -> Figures:
    async with house(journeys="bench.journeys", extra={"BACKLOG_HIGH": "10000000"}) as big:
        many = await fill(big, players(given.runs), given.few, given.within)
        async with house(journeys="bench.journeys") as small:
            few = await fill(small, players(given.few), given.few, None)
            say(f"{many.parked:,} runs wait in one house, {few.parked:,} in the other")
            figures = await intake(many, few, given) | await reaction(many, few, given)
            return figures | memory(many, few) | {"parked_workflows_runs": many.parked, **straight(figures, many, few)}


async def intake(many: Filled, few: Filled, given: Sizes) -> Figures:
    """Events a second in either house, of as many players."""

    async def take(one: Filled, mark: str) -> float:
        bodies = batches(day(one.playing, given.events, mark, datetime.now(UTC) - timedelta(minutes=1)), 500)
        await one.built.settle()
        began = time.perf_counter()
        await one.built.post_all(bodies, at_once=AT_ONCE)
        return float(given.events / (time.perf_counter() - began))

    await take(many, "e0")
    await take(few, "e0")
    rates = await alternate(
        given.rounds,
        lambda number: take(many, f"e{number}"),
        lambda number: take(few, f"e{number}"),
        what="Intake beside parked runs",
        unit="events/s",
    )
    return rates.figures("parked_workflows_intake", "parked_many_events_per_s", "parked_few_events_per_s", 0)


async def reaction(many: Filled, few: Filled, given: Sizes) -> Figures:
    """Median reaction in either house, of as many runs, each called before: who waits in the worker is the same."""
    rate, _ = await load_of({"many": many.callees, "few": few.callees}, given.share)

    async def react(one: Filled) -> float:
        await one.built.settle()
        return percentile(await one.callees.react(rate, given.seconds), 0.5)

    compared: Compared = await alternate(
        given.rounds,
        lambda _: react(many),
        lambda _: react(few),
        what="Reaction beside parked runs",
        unit="ms",
    )
    figures = compared.figures("parked_workflows_reaction", "parked_many_p50_ms", "parked_few_p50_ms")
    return figures | {"parked_rate_per_s": significant(rate)}


def memory(many: Filled, few: Filled) -> Figures:
    """Megabytes of every part in either house, and the ratio of what is ours."""
    held = {name: one.built.memory_mb(*OURS, *SERVERS) for name, one in (("many", many), ("few", few))}
    ours = {name: sum(one[part] for part in OURS) for name, one in held.items()}
    return {
        "parked_workflows_memory": significant(ours["many"] / ours["few"]),
        "parked_many_mb": held["many"],
        "parked_few_mb": held["few"],
    }


def straight(figures: Figures, many: Filled, few: Filled) -> Figures:
    """What the ratios would be at 100,000 runs, where there were fewer."""
    if many.parked >= MANY:
        return {}
    return {
        f"{key}_extrapolated_to_100k": significant(extrapolated(figures[key], many.parked, few.parked))
        for key in ("parked_workflows_intake", "parked_workflows_reaction")
    }


def command(
    *,
    runs: Annotated[int, typer.Option(help="open workflows in the large house")] = MANY,
    within: Annotated[float, typer.Option(help="seconds to park them; what is parked then is what is measured")] = 420,
    few: Annotated[int, typer.Option(help="open workflows in the small house, and who plays in either")] = 1_000,
    events: int = 20_000,
    share: Annotated[float, typer.Option(help="calls, as a share of what the slower house can do")] = 0.4,
    seconds: Annotated[float, typer.Option(help="length of a round of reactions")] = 10,
    rounds: int = 3,
) -> None:
    """Take the figures of parked runs."""
    leave(main(lambda: measure(Sizes(runs, within, few, events, share, seconds, rounds))))


if __name__ == "__main__":
    typer.run(command)
