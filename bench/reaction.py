"""From an event posted to its effect executed, beside a signal and its activity on the same server.

    python bench/reaction.py [--share N] [--seconds N] [--runs N] [--rounds N]

First both sides are called as fast as they answer; the load is a share of what the slower of them could do. Open loop:
each event has its moment, and its reaction is counted from that moment even if it could only be sent late.
"""

import asyncio
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from bench.harness import BRAND, House, Row, batches, cpu_seconds, house
from bench.measuring import Compared, Figures, leave, main, percentile, say, significant
from bench.peers.bare_worker import QUEUE, READY
from bench.peers.bare_workflows import Came
from bench.runs_vs_bare import each, enrol
from bench.traffic import cloud_event, players, registration

Call = Callable[[str, str], Coroutine[Any, Any, None]]
LEAD = timedelta(seconds=0.2)
#: Callers who take turns when as many calls are made as are taken.
CALLERS = 32
#: Whose CPU a reaction of the engine is; that of the servers is counted on both sides, that of who calls on neither.
OURS, SERVERS = ("api", "worker", "dispatcher"), ("temporal", "postgres")


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
        began, count = datetime.now(UTC) + LEAD, max(1, int(rate * seconds))
        async with asyncio.TaskGroup() as group:
            for number in range(count):
                at = began + timedelta(seconds=number / rate)
                await asyncio.sleep((at - datetime.now(UTC)).total_seconds())
                group.create_task(self.call(*self._next(at)))
        return [milliseconds for _, milliseconds in await self._answers(began, count)]

    async def pace(self, calls: int) -> float:
        """Calls a second that are answered when they are made as fast as they are taken."""
        began, left = datetime.now(UTC), iter(range(calls))

        async def caller() -> None:
            for _ in left:
                await self.call(*self._next(datetime.now(UTC)))

        async with asyncio.TaskGroup() as group:
            for _ in range(CALLERS):
                group.create_task(caller())
        last = max(at for at, _ in await self._answers(began, calls))
        return calls / (last - began).total_seconds()

    def _next(self, at: datetime) -> tuple[str, str]:
        """Whom to call at that moment, and what to call the event."""
        player = self.ids[self.called % len(self.ids)]
        turn = self.called // len(self.ids) + 1
        self.called += 1
        self.due[player, f"send:deposit-thanks#{turn}"] = at
        return player, f"call-{self.journey}-{self.called}"

    async def _answers(self, began: datetime, count: int) -> list[tuple[datetime, float]]:
        """When each call since then was answered, and how many milliseconds after its moment; waits for the last."""
        query = "SELECT player_id, step, at FROM steps WHERE run_id LIKE %s AND outcome = 'sent' AND at >= %s"
        found: list[Row] = []

        async def all_answered() -> bool:
            found[:] = await self.built.rows(query, f"{self.journey}:%", began)
            return len(found) == count

        await self.built.until(all_answered, within=120, what="The answer to every call", every=0.2)
        return [
            (row["at"], (row["at"] - self.due[row["player_id"], row["step"]]).total_seconds() * 1_000) for row in found
        ]


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


async def load_of(sides: Mapping[str, Callees], share: float) -> tuple[float, dict[str, float]]:
    """A share of what the slower side can do, and what each can do, in calls a second."""
    paces: dict[str, float] = {}
    for name, side in sides.items():
        await side.pace(len(side.ids))  # whoever is called for the first time is slow
        paces[name] = await side.pace(2 * len(side.ids))
    rate = max(1.0, share * min(paces.values()))
    fits = ", ".join(f"{name} {pace:.0f}" for name, pace in paces.items())
    say(f"Calls a second that fit: {fits}; the load is {rate:.1f}")
    return rate, paces


class Rounds:
    """What every round of both sides came to."""

    def __init__(self) -> None:
        self.reactions: dict[str, list[list[float]]] = {"ours": [], "theirs": []}
        self.cpu_ms: dict[str, list[float]] = {"ours": [], "theirs": []}

    async def take(self, name: str, side: Callees, pids: Sequence[int], rate: float, seconds: float) -> None:
        """One round of one side, with what its processes used."""
        await side.built.settle()
        before = cpu_seconds(pids)
        reactions = await side.react(rate, seconds)
        self.cpu_ms[name].append(1_000 * (cpu_seconds(pids) - before) / len(reactions))
        self.reactions[name].append(reactions)

    def tell(self, number: int) -> None:
        """Tell how the last round was."""
        told = [
            f"{name} p50 {percentile(rounds[-1], 0.5):.1f}, p99 {percentile(rounds[-1], 0.99):.1f} ms, "
            f"{self.cpu_ms[name][-1]:.1f} ms of CPU"
            for name, rounds in self.reactions.items()
        ]
        say(f"Reaction, round {number}: {'; '.join(told)}")

    def figures(self) -> Figures:
        """Ratios of both percentiles and of the CPU."""
        figures: Figures = {}
        for key, share in (("p50", 0.5), ("p99", 0.99)):
            values = ([percentile(one, share) for one in self.reactions[name]] for name in ("ours", "theirs"))
            figures |= Compared(*values).figures(
                f"reaction_vs_bare_{key}", f"reaction_{key}_ms", f"bare_reaction_{key}_ms"
            )
        cpu = Compared(self.cpu_ms["ours"], self.cpu_ms["theirs"])
        return figures | cpu.figures("reaction_cpu_vs_bare", "reaction_cpu_ms", "bare_reaction_cpu_ms")


async def measure(share: float, seconds: float, runs: int, rounds: int) -> Figures:
    async with (
        house(journeys="bench.journeys") as built,
        built.beside("bare-worker", sys.executable, "-m", "bench.peers.bare_worker", said=READY) as bare,
    ):
        ids, theirs = players(runs, "engine-p"), players(runs, "bare-p")
        await register(built, [*ids, *theirs])
        await park(built, ids)
        sides = {"ours": calls_over_http(built, ids), "theirs": await park_bare(built, theirs)}
        rate, paces = await load_of(sides, share)
        assert bare.identity is not None
        pids = {"ours": built.pids(*OURS, *SERVERS), "theirs": [bare.identity.pid, *built.pids(*SERVERS)]}
        taken = Rounds()
        for number in range(1, rounds + 1):
            for name in ("ours", "theirs") if number % 2 else ("theirs", "ours"):
                await taken.take(name, sides[name], pids[name], rate, seconds)
            taken.tell(number)
    return taken.figures() | {
        "reaction_rate_per_s": significant(rate),
        "reaction_fits_per_s": significant(paces["ours"]),
        "bare_reaction_fits_per_s": significant(paces["theirs"]),
    }


def command(
    *,
    share: Annotated[float, typer.Option(help="load, as a share of what the slower side can do")] = 0.4,
    seconds: Annotated[float, typer.Option(help="length of a round on one side")] = 20,
    runs: Annotated[int, typer.Option(help="parked runs on each side")] = 100,
    rounds: int = 3,
) -> None:
    """Take the figures of reactions."""
    leave(main(lambda: measure(share, seconds, runs, rounds)))


if __name__ == "__main__":
    typer.run(command)
