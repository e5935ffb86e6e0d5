"""Events a second over HTTP with ten earn rules, forty missions and three boards that every round counts in.

python bench/loyalty_intake.py [--events N] [--players N] [--batch N] [--rounds N]
"""

import time
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from bench.harness import House, batches, house
from bench.intake import AT_ONCE, import_past
from bench.measuring import Figures, alternate, leave, main
from bench.traffic import day, players

BOARDS = 3


async def measure(events: int, ids: list[str], batch: int, rounds: int) -> Figures:
    async with house(journeys="bench.programs.busy") as busy, house() as bare:

        async def posted(built: House, name: str, number: int) -> float:
            told = day(ids, events, f"{name}{number}", datetime.now(UTC) - timedelta(minutes=1))
            bodies = batches(told, batch)
            await built.settle()
            began = time.perf_counter()
            await built.post_all(bodies, at_once=AT_ONCE)
            seconds = time.perf_counter() - began
            kept = await built.count("SELECT count(*) FROM events WHERE id LIKE %s", f"{name}{number}-%")
            assert kept == events, f"{kept} events of {events} were kept."
            return float(events / seconds)

        for built in (busy, bare):
            await import_past(built, ids)
            await posted(built, "warm", 0)
        compared = await alternate(
            rounds,
            lambda number: posted(busy, "p", number),
            lambda number: posted(bare, "n", number),
            what="Intake with a program",
            unit="events/s",
        )
        earned = await busy.count("SELECT count(*) FROM players WHERE state -> 'loyalty' IS NOT NULL")
        boards = await busy.count("SELECT count(DISTINCT board) FROM standings")
    assert earned, "Nobody has earned anything."
    assert boards >= BOARDS, f"Scores stand on {boards} boards."
    return compared.figures("loyalty_intake", "loyalty_intake_per_s", "loyalty_intake_without_per_s", 0)


def command(
    *,
    events: int = 30_000,
    players_: Annotated[int, typer.Option("--players")] = 5_000,
    batch: int = 500,
    rounds: int = 3,
) -> None:
    """Take the figure of intake with a loyalty program."""
    leave(main(lambda: measure(events, players(players_), batch, rounds)))


if __name__ == "__main__":
    typer.run(command)
