"""The end of a real log, played by the engine and by one entity workflow a player that is signalled every event.

python bench/log_vs_entity.py [LOG] [--deposits N] [--rounds N]
"""

import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from bench.harness import House, house
from bench.log import ABSENT, LOG, Tail, by_player, enrol, import_past, new_brand, play, read_tail
from bench.measuring import Figures, alternate, leave, main, say
from bench.peers.bare_worker import QUEUE, READY
from bench.peers.player_entity import Fact, Life
from bench.runs_vs_bare import CALLS, each
from bench.traffic import CloudEvent


def fact(event: CloudEvent) -> Fact:
    """A CloudEvent as the entity hears of it."""
    kind = event["type"].removeprefix("igaming.").removesuffix(".v1")
    return Fact(event_id=event["id"], kind=kind, amount_minor=event["data"].get("amount_minor", 0))


async def entities(built: House, tail: Tail, brand: str) -> float:
    """Seconds until one entity workflow a player has heard of everything and everything due has happened."""
    await new_brand(built, brand)
    now = datetime.now(UTC)
    events = tail.events(brand, now)
    await tail.register_newcomers(built, brand, now)
    work = tail.work(brand)
    await enrol(built, work, brand)
    lives = {player: Life(brand=brand, player_id=player, deposits=tail.before[player]) for player in tail.players}
    for _, player, journey in work.runs:
        lives[player].treated.append(journey)

    async def begin(player: str) -> None:
        await built.temporal.start_workflow(
            "player_entity", lives[player], id=f"player:{brand}:{player}", task_queue=QUEUE
        )

    async def tell(theirs: list[CloudEvent]) -> None:
        player = theirs[0]["subject"]
        for event in theirs:
            await built.temporal.start_workflow(
                "player_entity",
                lives[player],
                id=f"player:{brand}:{player}",
                task_queue=QUEUE,
                start_signal="event",
                start_signal_args=[fact(event)],
            )

    # Whoever has a past has an entity already.
    await each(begin, [player for player in tail.players if player in tail.before])
    await built.settle()
    began = time.perf_counter()
    await each(tell, by_player(events), CALLS)
    await work.wait(built)
    seconds = time.perf_counter() - began
    await heard(built, tail, brand)
    return seconds


async def heard(built: House, tail: Tail, brand: str) -> None:
    """Make sure that every entity has counted every deposit."""
    counts: dict[str, int] = {}

    async def ask(player: str) -> None:
        counts[player] = await built.temporal.get_workflow_handle(f"player:{brand}:{player}").query("deposits")

    await each(ask, tail.players, 16)
    assert counts == {player: tail.counts[player] for player in tail.players}, (
        "An entity has not counted what it was told."
    )


async def measure(log: Path, deposits: int, rounds: int) -> Figures:
    tail = read_tail(log, deposits)
    async with (
        house() as built,
        built.beside("bare-worker", sys.executable, "-m", "bench.peers.bare_worker", said=READY),
    ):
        await import_past(built, tail)
        small = replace(tail, deposits=tail.deposits[:100])

        async def engine(number: int, what: Tail = tail) -> float:
            return len(what.deposits) / await play(built, what, f"engine-{number}")

        async def entity(number: int, what: Tail = tail) -> float:
            return len(what.deposits) / await entities(built, what, f"entity-{number}")

        await engine(0, small)
        await entity(0, small)
        compared = await alternate(rounds, engine, entity, what="Log", unit="deposits/s")
    return compared.figures("log_vs_entity", "log_deposits_per_s", "entity_deposits_per_s")


def command(
    *,
    log: Annotated[Path, typer.Argument()] = LOG,
    deposits: int = 2_000,
    rounds: int = 3,
) -> None:
    """Replay the end of a log on the engine and on one workflow a player."""
    if not log.is_file():
        say(ABSENT)
        print("{}")
        leave(0)
    leave(main(lambda: measure(log, deposits, rounds)))


if __name__ == "__main__":
    typer.run(command)
