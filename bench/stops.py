"""From the answer to a self-exclusion until the player's run has ended, in the books and in Temporal, under load.

    python bench/stops.py [--runs N] [--share N] [--load N] [--seconds N]

First others' runs are called, and some players excluded, as fast as they are answered; calls and exclusions then come
at a share of that. Open loop: each exclusion has its moment, and only what follows its answer counts.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import httpx
import typer
from temporalio.client import WorkflowExecutionStatus

from bench.harness import BRAND, House, Row, house
from bench.measuring import Figures, leave, main, patience, percentile, progress, say, significant
from bench.reaction import CALLERS, LEAD, calls_over_http, load_of, park, register
from bench.traffic import players

JOURNEY: Final = "parked"
#: Players whose exclusion says what fits.
PROBE: Final = 150
#: Runs of others that are called meanwhile, each in its turn.
CALLED: Final = 100
#: Seconds for which others are called before the first exclusion.
BEFORE: Final = 5.0
ENDED: Final = "SELECT id, player_id, ended_at, outcome FROM runs WHERE brand = %s AND journey = %s AND state = 'ended'"
LEFT: Final = """
    SELECT count(*) FROM runs WHERE brand = %s AND journey = %s AND state <> 'ended' AND player_id = ANY(%s)
    """


@dataclass(frozen=True)
class Stopped:
    """Seconds from the answer to one exclusion; 0 where the run was over before the answer had come."""

    in_books: float
    in_temporal: float

    @classmethod
    def after(cls, answered: datetime, ended_at: datetime, closed_at: datetime) -> "Stopped":
        """What followed an answer, of a run that has ended and been closed."""
        return cls(*(max(0.0, (at - answered).total_seconds()) for at in (ended_at, closed_at)))


async def exclude(client: httpx.AsyncClient, player: str) -> datetime:
    """Exclude a player over HTTP, again as long as the API asks for it; when that was answered."""
    while True:
        answer = await client.post(f"/v1/players/{player}/exclusion", json={"kind": "self_exclusion"})
        if answer.status_code not in {429, 503}:
            break
        await asyncio.sleep(float(answer.headers["Retry-After"]))
    if answer.status_code not in {200, 202}:
        raise RuntimeError(f"The API answered {answer.status_code}: {answer.text[:300]}")
    return datetime.now(UTC)


class Exclusions:
    """Players in waiting runs, who are excluded."""

    def __init__(self, built: House, client: httpx.AsyncClient) -> None:
        self.built = built
        self.client = client

    async def fit(self, ids: Sequence[str]) -> float:
        """Exclusions a second whose runs end when they are asked for as fast as they are answered."""
        began, left = datetime.now(UTC), iter(ids)

        async def caller() -> None:
            for one in left:
                await exclude(self.client, one)

        async with asyncio.TaskGroup() as group:
            for _ in range(CALLERS):
                group.create_task(caller())
        last: datetime = max(row["ended_at"] for row in await self._ends(ids))
        return len(ids) / (last - began).total_seconds()

    async def at(self, rate: float, ids: Sequence[str]) -> list[Stopped]:
        """What each exclusion came to when `rate` a second are asked for."""
        began, done = datetime.now(UTC) + LEAD, progress("Excluded")
        answered: dict[str, datetime] = {}

        async def one(player: str) -> None:
            answered[player] = await exclude(self.client, player)

        async with asyncio.TaskGroup() as group:
            for number, player in enumerate(ids):
                due = began + timedelta(seconds=number / rate)
                await asyncio.sleep((due - datetime.now(UTC)).total_seconds())
                group.create_task(one(player))
                done(number + 1, len(ids))
        ends = await self._ends(ids)
        closed = await self._closed([row["id"] for row in ends])
        return [
            Stopped.after(answered[row["player_id"]], row["ended_at"], close)
            for row, close in zip(ends, closed, strict=True)
        ]

    async def _ends(self, ids: Sequence[str]) -> list[Row]:
        """The end of each player's run in the books; waits for the last."""

        async def all_ended() -> bool:
            return await self.built.count(LEFT, BRAND, JOURNEY, [*ids]) == 0

        await self.built.until(all_ended, within=120, what="The end of every excluded player's run", every=0.2)
        asked = {*ids}
        ends = [row for row in await self.built.rows(ENDED, BRAND, JOURNEY) if row["player_id"] in asked]
        others = {row["outcome"] for row in ends} - {"self_excluded"}
        assert len(ends) == len(asked), f"{len(ends)} runs of {len(asked)} players ended."
        assert not others, f"Runs ended otherwise than by an exclusion: {others}"
        return ends

    async def _closed(self, run_ids: Sequence[str]) -> list[datetime]:
        """When each workflow was closed in Temporal, by its own clock; waits for the last."""
        found: dict[str, datetime] = {}
        told = progress("Asked Temporal for the end of each run")

        async def all_closed() -> bool:
            for run_id in run_ids:
                if run_id not in found:
                    is_ = await self.built.temporal.get_workflow_handle(run_id).describe()
                    if is_.close_time is None:
                        return False
                    assert is_.status is WorkflowExecutionStatus.COMPLETED, f"{run_id} is {is_.status} in Temporal."
                    found[run_id] = is_.close_time
                    told(len(found), len(run_ids))
            return True

        await self.built.until(all_closed, within=120, what="The close of every workflow", every=0.2)
        return [found[run_id] for run_id in run_ids]


def figures_of(stopped: Sequence[Stopped]) -> Figures:
    """Both percentiles of each end; the later of the two ends of a run counts."""
    sides = {
        "stops": [max(one.in_books, one.in_temporal) for one in stopped],
        "stops_in_books": [one.in_books for one in stopped],
        "stops_in_temporal": [one.in_temporal for one in stopped],
    }
    figures: Figures = {"stops_s": significant(percentile(sides["stops"], 0.99))}
    for name, seconds in sides.items():
        figures[f"{name}_p50_s"] = significant(percentile(seconds, 0.5))
        figures[f"{name}_p99_s"] = significant(percentile(seconds, 0.99))
    return figures | {"stops_most_s": significant(max(sides["stops"])), "stops_runs": len(stopped)}


async def measure(runs: int, share: float, load: float, seconds: float) -> Figures:
    async with house(journeys="bench.journeys") as built:
        ids, probed, others = players(runs, "stop-p"), players(PROBE, "probe-p"), players(CALLED, "called-p")
        await register(built, [*ids, *probed, *others])
        await park(built, [*ids, *probed, *others])
        say(f"{runs:,} runs wait, as many players are to be excluded")
        callees = calls_over_http(built, others)
        rate, paces = await load_of({"ours": callees}, load)
        headers = {"Authorization": f"Bearer {built.keys['backend']}"}
        async with httpx.AsyncClient(base_url=built.api_url, headers=headers, timeout=60) as client:
            exclusions = Exclusions(built, client)
            fits = await exclusions.fit(probed)
            stops = share * fits
            # A slow machine stops fewer, at the same share of what it can do, and is not measured for ever.
            chosen = ids[: max(1, int(stops * patience(seconds)))]
            say(f"Exclusions a second that fit: {fits:.1f}; {len(chosen):,} come, {stops:.1f} a second")
            await built.settle()
            async with asyncio.TaskGroup() as group:
                calling = group.create_task(callees.react(rate, BEFORE + len(chosen) / stops))
                await asyncio.sleep(BEFORE)
                stopped = await exclusions.at(stops, chosen)
    figures = figures_of(stopped)
    for side in ("books", "temporal"):
        p50, p99 = (figures[f"stops_in_{side}_{key}_s"] for key in ("p50", "p99"))
        say(f"From the answer to the end in {side}: p50 {p50 * 1_000:.0f}, p99 {p99 * 1_000:.0f} ms")
    return figures | {
        "stops_rate_per_s": significant(stops),
        "stops_fits_per_s": significant(fits),
        "stops_calls_per_s": significant(rate),
        "stops_calls_fit_per_s": significant(paces["ours"]),
        "stops_reaction_p99_ms": significant(percentile(calling.result(), 0.99)),
    }


def command(
    *,
    runs: Annotated[int, typer.Option(help="waiting runs, of as many players, all excluded")] = 1_000,
    share: Annotated[float, typer.Option(help="exclusions, as a share of those that fit")] = 0.3,
    load: Annotated[float, typer.Option(help="calls of others' runs meanwhile, as a share of those that fit")] = 0.3,
    seconds: Annotated[float, typer.Option(help="for how long players are excluded at most")] = 120,
) -> None:
    """Take the figure of runs that exclusions stop."""
    leave(main(lambda: measure(runs, share, load, seconds)))


if __name__ == "__main__":
    typer.run(command)
