"""Runs that move to another release beside live load: the reaction of others, and how fast they move.

    python bench/moves.py [--per-second N] [--share N] [--seconds N] [--rounds N] [--runs N]

In every round the same players are called, once while nobody moves and once while a migration tells so many runs a
second. Each run moves once, out of a worker that does not hold it: it is fetched and replayed first.
"""

import asyncio
from dataclasses import dataclass
from textwrap import dedent
from typing import Annotated

import httpx
import typer

from bench.harness import House, batches, house
from bench.measuring import Compared, Figures, alternate, leave, main, percentile, significant, slowness
from bench.reaction import Callees, calls_over_http, load_of, park, register
from bench.released import released
from bench.traffic import cloud_event, players

JOURNEY = "moved"
SOURCE = dedent(
    """
    from bench.journeys.signals import Called, Entered
    from workflows import Player, days, journey, on, once


    @journey(on(Entered), entry=once, ends_after=days(60))
    async def moved(player: Player, began: Entered) -> None:
        \"\"\"Wait, and answer with a message.\"\"\"
        if await player.event(Called, within=days(30)):
            await player.send("deposit-thanks", via=["in_app"])
    """
)
EDIT = ("days(30)", "days(20)")
#: More runs than are told while a round of calls lasts, so that the migration goes on to its end.
SPARE = 1.5
TOLD = """
    SELECT count(*) AS told, min(at) AS first, max(at) AS last FROM steps
    WHERE step LIKE 'migrate#%%' AND outcome = 'told' AND detail->>'job' = %s
"""
MOVED = "SELECT max(at) AS at FROM steps WHERE step LIKE 'move#%%' AND outcome = 'moved' AND at >= %s"


@dataclass(frozen=True)
class Migration:
    """What came of one migration: runs that were told, how many a second, and seconds until the last was there."""

    told: int
    per_second: float
    late: float


class Moves:
    """Calls, and migrations beside them; each takes up the runs that the one before has left."""

    def __init__(self, built: House, callees: Callees, rate: float, seconds: float, per_second: int) -> None:
        self.built = built
        self.callees = callees
        self.rate = rate
        self.seconds = seconds
        self.per_second = per_second
        self.migrations: list[Migration] = []

    async def alone(self) -> list[float]:
        """Milliseconds of each reaction while nobody moves."""
        await self.built.settle()
        return await self.callees.react(self.rate, self.seconds)

    async def beside(self) -> list[float]:
        """The same while runs move."""
        await self.built.settle()
        body = {"version": 1, "reason": "Measuring.", "per_second": self.per_second}
        job = (await self._ask(f"/v1/journeys/{JOURNEY}/migrate", body))["id"]

        async def begun() -> bool:
            return await self._told(job) > 0

        await self.built.until(begun, within=60, what="The first run that was told to move")
        reactions = await self.callees.react(self.rate, self.seconds)
        ended = await self._ask(f"/v1/migrations/{job}/cancel", {})
        assert ended["state"] == "cancelled", "The migration was over before the calls; take more runs."
        self.migrations.append(await self._arrived(str(job)))
        return reactions

    async def _arrived(self, job: str) -> Migration:
        async def arrived() -> bool:
            return await self.built.count("SELECT count(*) FROM runs WHERE moving_from IS NOT NULL") == 0

        await self.built.until(arrived, within=300, what="The arrival of every run that was told to move", every=0.2)
        (told,) = await self.built.rows(TOLD, job)
        (last,) = await self.built.rows(MOVED, told["first"])
        lasted = (told["last"] - told["first"]).total_seconds()
        return Migration(told["told"], told["told"] / max(lasted, 0.1), (last["at"] - told["last"]).total_seconds())

    async def _told(self, job: str) -> int:
        (row,) = await self.built.rows(TOLD, job)
        return int(row["told"])

    async def _ask(self, path: str, body: dict[str, object]) -> dict[str, str]:
        headers = {"Authorization": f"Bearer {self.built.keys['crm']}"}
        async with httpx.AsyncClient(base_url=self.built.api_url, headers=headers, timeout=60) as client:
            while True:
                answer = await client.post(path, json=body)
                if answer.status_code != 503:
                    break
                # It has changed nothing, so the same may be asked again.
                await asyncio.sleep(float(answer.headers["Retry-After"]))
        answer.raise_for_status()
        said: dict[str, str] = answer.json()
        return said


async def enter(built: House, runs: int) -> None:
    """Let players enter the journey whose runs move, and the worker forget their runs."""
    ids = players(runs, "moved-p")
    await register(built, ids)
    await built.post_all(batches([cloud_event("bench.entered", one, f"entered-{one}") for one in ids], 500), at_once=1)

    async def all_play() -> bool:
        return await built.count("SELECT count(*) FROM deliveries") == 0

    await built.until(all_play, within=600, what="The start of every run that is to move", every=0.5)
    await built.settle()
    await built.stop("worker")
    built.start("worker")
    await built.ready("worker")
    await built.sql.execute("VACUUM ANALYZE")


async def measure(per_second: int, share: float, seconds: float, rounds: int, runs: int) -> Figures:
    per_second = max(1, round(per_second / max(1.0, slowness())))
    with released("bench_of_moves", [SOURCE, SOURCE.replace(*EDIT)]) as variables:
        async with house(journeys=variables.pop("JOURNEYS"), extra=variables) as built:
            await enter(built, int(per_second * seconds * rounds * SPARE))
            ids = players(runs, "called-p")
            await register(built, ids)
            await park(built, ids)
            callees = calls_over_http(built, ids)
            rate, paces = await load_of({"ours": callees}, share)
            taken = Moves(built, callees, rate, seconds, per_second)
            reactions: dict[str, list[list[float]]] = {"beside": [], "alone": []}

            async def beside(_: int) -> float:
                reactions["beside"].append(await taken.beside())
                return percentile(reactions["beside"][-1], 0.5)

            async def alone(_: int) -> float:
                reactions["alone"].append(await taken.alone())
                return percentile(reactions["alone"][-1], 0.5)

            await alternate(rounds, beside, alone, what="Reaction beside runs that move", unit="ms")
    figures: Figures = {}
    for key, which in (("p50", 0.5), ("p99", 0.99)):
        values = ([percentile(one, which) for one in reactions[name]] for name in ("beside", "alone"))
        figures |= Compared(*values).figures(f"moves_reaction_{key}", f"moves_beside_{key}_ms", f"moves_alone_{key}_ms")
    slowest = min(taken.migrations, key=lambda one: one.per_second)
    return figures | {
        "moves_per_s": significant(slowest.per_second),
        "moves_asked_per_s": per_second,
        "moves_per_s_vs_asked": significant(slowest.per_second / per_second),
        "moves_told": sum(one.told for one in taken.migrations),
        "moves_late_s": significant(max(one.late for one in taken.migrations)),
        "moves_rate_per_s": significant(rate),
        "moves_fits_per_s": significant(paces["ours"]),
    }


def command(
    *,
    per_second: Annotated[int, typer.Option(help="runs told to move a second; fewer on a slower machine")] = 50,
    share: Annotated[float, typer.Option(help="calls, as a share of what fits while nobody moves")] = 0.2,
    seconds: Annotated[float, typer.Option(help="length of a round")] = 20,
    rounds: int = 3,
    runs: Annotated[int, typer.Option(help="parked runs that are called")] = 100,
) -> None:
    """Take the figures of runs that move."""
    leave(main(lambda: measure(per_second, share, seconds, rounds, runs)))


if __name__ == "__main__":
    typer.run(command)
