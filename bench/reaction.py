"""From an event posted to its effect executed, beside a signal and its activity on the same server.

    python bench/reaction.py [--rate N] [--seconds N] [--runs N] [--rounds N]

Open loop: each event has its moment, and its reaction is counted from that moment even if it could only be sent late.
"""

import asyncio
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from bench.harness import BRAND, House, batches, house
from bench.measuring import Compared, Figures, leave, main, percentile, say, significant
from bench.peers.bare_worker import QUEUE, READY
from bench.peers.bare_workflows import Came
from bench.runs_vs_bare import each, enrol
from bench.traffic import cloud_event, players, registration

Call = Callable[[str, str], Coroutine[Any, Any, None]]
LEAD = timedelta(seconds=0.2)


@dataclass
class Callees:
    """Parked runs that answer calls, each in its turn; a run's n-th call is answered by its n-th message."""

    built: House
    journey: str
    ids: Sequence[str]
    call: Call
    called: int = 0
    due: dict[tuple[str, str], datetime] = field(default_factory=dict)

    async def react(self, rate: float, seconds: float) -> list[float]:
        """Milliseconds from each event's moment to its message, at `rate` events a second."""
        began, first = datetime.now(UTC) + LEAD, self.called
        count = int(rate * seconds)
        async with asyncio.TaskGroup() as group:
            for number in range(count):
                at = began + timedelta(seconds=number / rate)
                await asyncio.sleep((at - datetime.now(UTC)).total_seconds())
                player = self.ids[self.called % len(self.ids)]
                turn = self.called // len(self.ids) + 1
                self.called += 1
                self.due[f"{self.journey}:{BRAND}:{player}:1", f"send:deposit-thanks#{turn}"] = at
                group.create_task(self.call(player, f"call-{self.journey}-{self.called}"))
        query = "SELECT run_id, step, at FROM steps WHERE run_id LIKE %s AND outcome = 'sent' AND at >= %s"

        async def all_answered() -> bool:
            found = await self.built.rows(query, f"{self.journey}:%", began)
            return len(found) == count

        await self.built.until(all_answered, within=60, what="The answer to every call", every=0.2)
        found = await self.built.rows(query, f"{self.journey}:%", began)
        assert self.called - first == count
        return [(row["at"] - self.due[row["run_id"], row["step"]]).total_seconds() * 1_000 for row in found]


def calls_over_http(built: House, ids: Sequence[str]) -> Callees:
    """Players in runs of the engine's `parked`, called over HTTP."""

    async def call(player: str, identity: str) -> None:
        await built.post(batches([cloud_event("bench.called", player, identity)], 1)[0])

    return Callees(built, "parked", ids, call)


async def register(built: House, ids: Sequence[str]) -> None:
    """Make players known, as history."""
    now = datetime.now(UTC)
    await built.post_all(batches([registration(player, now) for player in ids], 500), at_once=1, mode="history")


async def park(built: House, ids: Sequence[str]) -> None:
    """Enter known players into `parked` and wait until each run waits in Temporal."""
    await built.post_all(batches([cloud_event("bench.parked", p, f"parked-{p}") for p in ids], 500), at_once=1)

    async def delivered() -> bool:
        return await built.count("SELECT count(*) FROM deliveries") == 0

    await built.until(delivered, within=300, what="The start of every parked run", every=0.2)


async def park_bare(built: House, ids: Sequence[str]) -> Callees:
    """Players in hand-written runs, which are signalled."""
    runs = await enrol(built, "bare_parked", ids)
    await each(lambda run: built.temporal.start_workflow("bare_parked", run, id=run.run_id, task_queue=QUEUE), runs)

    async def call(player: str, identity: str) -> None:
        handle = built.temporal.get_workflow_handle(f"bare_parked:{BRAND}:{player}:1")
        await handle.signal("event", Came(event_id=identity, kind="bench.called"))

    return Callees(built, "bare_parked", ids, call)


async def measure(rate: float, seconds: float, runs: int, rounds: int) -> Figures:
    async with (
        house(journeys="bench.journeys") as built,
        built.beside("bare-worker", sys.executable, "-m", "bench.peers.bare_worker", said=READY),
    ):
        ids, theirs = players(runs, "engine-p"), players(runs, "bare-p")
        await register(built, [*ids, *theirs])
        await park(built, ids)
        sides = {"ours": calls_over_http(built, ids), "theirs": await park_bare(built, theirs)}
        for side in sides.values():
            await side.react(rate, 3)
        found: dict[str, list[list[float]]] = {"ours": [], "theirs": []}
        for number in range(1, rounds + 1):
            for name in ("ours", "theirs") if number % 2 else ("theirs", "ours"):
                found[name].append(await sides[name].react(rate, seconds))
            told = [
                f"{name} p50 {percentile(rounds[-1], 0.5):.1f}, p99 {percentile(rounds[-1], 0.99):.1f} ms"
                for name, rounds in found.items()
            ]
            say(f"Reaction, round {number}: {'; '.join(told)}")
    figures: Figures = {}
    for key, share in (("p50", 0.5), ("p99", 0.99)):
        compared = Compared(*([percentile(one, share) for one in found[name]] for name in ("ours", "theirs")))
        figures |= compared.figures(f"reaction_vs_bare_{key}", f"reaction_{key}_ms", f"bare_reaction_{key}_ms")
    figures["reaction_rate_per_s"] = significant(rate)
    return figures


def command(
    *,
    rate: Annotated[float, typer.Option(help="matched events a second")] = 20,
    seconds: Annotated[float, typer.Option(help="length of a round on one side")] = 20,
    runs: Annotated[int, typer.Option(help="parked runs on each side")] = 100,
    rounds: int = 3,
) -> None:
    """Take the figures of reactions."""
    leave(main(lambda: measure(rate, seconds, runs, rounds)))


if __name__ == "__main__":
    typer.run(command)
