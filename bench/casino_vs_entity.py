"""A day of a casino, mostly rounds, beside one entity workflow a player that is signalled every event.

    python bench/casino_vs_entity.py [--players N] [--events N] [--entity-events N] [--rounds N]

Nobody enters a journey: what is compared is the cost of hearing. The entities get fewer events of the same mix, because
they take far longer; both sides are told as rates.
"""

import sys
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from bench.harness import BRAND, House, batches, house
from bench.intake import AT_ONCE, import_past
from bench.log import by_player
from bench.log_vs_entity import fact
from bench.measuring import Figures, alternate, leave, main, progress
from bench.peers.bare_worker import QUEUE, READY
from bench.peers.player_entity import DEPOSITED, Life
from bench.runs_vs_bare import CALLS, each
from bench.traffic import CloudEvent, day, players

#: Deposits of each player before the day, as `bench.traffic.past` makes them.
BEFORE = 3
DEPOSITS = "SELECT id, (state #>> '{counts,payment.deposit_approved}')::int AS deposits FROM players WHERE brand = %s"


class Entities:
    """One workflow a player, and what each must have counted by now."""

    def __init__(self, built: House, ids: Sequence[str]) -> None:
        self.built = built
        self.ids = ids
        self.counts = Counter(dict.fromkeys(ids, BEFORE))
        self._begun = 0

    async def begin(self) -> None:
        """Start all of them; none begins while the clock runs."""
        done = progress("Entities", every=5)

        async def one(player: str) -> None:
            life = Life(brand=BRAND, player_id=player, deposits=BEFORE)
            await self.built.temporal.start_workflow("player_entity", life, id=_id(player), task_queue=QUEUE)
            self._begun += 1
            done(self._begun, len(self.ids))

        await each(one, self.ids)
        await self._ask()

    async def hear(self, events: Sequence[CloudEvent]) -> float:
        """Seconds until every entity has heard of its events and worked them off.

        That it has is asked by a query, which is answered after everything that came before it. What the same questions
        take once nothing is left to do is taken off.
        """
        self.counts.update(event["subject"] for event in events if DEPOSITED in event["type"])

        async def tell(theirs: list[CloudEvent]) -> None:
            handle = self.built.temporal.get_workflow_handle(_id(theirs[0]["subject"]))
            for event in theirs:
                await handle.signal("event", fact(event))

        await self.built.settle()
        began = time.perf_counter()
        await each(tell, by_player(events), CALLS)
        await self._ask()
        told = time.perf_counter()
        await self._ask()
        return (told - began) - (time.perf_counter() - told)

    async def _ask(self) -> None:
        """Ask everybody what they have counted, and make sure that it is right."""
        found: dict[str, int] = {}

        async def one(player: str) -> None:
            found[player] = await self.built.temporal.get_workflow_handle(_id(player)).query("deposits")

        await each(one, self.ids)
        assert found == self.counts, "An entity has not counted what it was told."


def _id(player: str) -> str:
    return f"player:{BRAND}:{player}"


async def measure(ids: list[str], events: int, entity_events: int, rounds: int) -> Figures:
    async with (
        house() as built,
        built.beside("bare-worker", sys.executable, "-m", "bench.peers.bare_worker", said=READY),
    ):
        await import_past(built, ids)
        entities, counts = Entities(built, ids), Counter(dict.fromkeys(ids, BEFORE))
        await entities.begin()

        def told(count: int, mark: str) -> list[CloudEvent]:
            return day(ids, count, mark, datetime.now(UTC) - timedelta(minutes=1))

        async def engine(number: int, count: int = events) -> float:
            new = told(count, f"engine{number}")
            counts.update(event["subject"] for event in new if DEPOSITED in event["type"])
            bodies = batches(new, 500)
            await built.settle()
            began = time.perf_counter()
            await built.post_all(bodies, at_once=AT_ONCE)
            seconds = time.perf_counter() - began
            known = {row["id"]: row["deposits"] for row in await built.rows(DEPOSITS, BRAND)}
            assert known == counts, "The engine has not counted what it was told."
            return count / seconds

        async def entity(number: int, count: int = entity_events) -> float:
            return count / await entities.hear(told(count, f"entity{number}"))

        await engine(0, 1_000)
        await entity(0, 200)
        compared = await alternate(rounds, engine, entity, what="A casino's day", unit="events/s")
        started = await built.count("SELECT count(*) FROM runs")
    assert started == 0, "Nobody should have entered a journey."
    return compared.figures("casino_vs_entity", "casino_events_per_s", "entity_events_per_s")


def command(
    *,
    players_: Annotated[int, typer.Option("--players")] = 2_000,
    events: Annotated[int, typer.Option(help="of a round of the engine")] = 20_000,
    entity_events: Annotated[int, typer.Option(help="of a round of the entities")] = 3_000,
    rounds: int = 3,
) -> None:
    """Take the figure of a casino's day."""
    leave(main(lambda: measure(players(players_), events, entity_events, rounds)))


if __name__ == "__main__":
    typer.run(command)
