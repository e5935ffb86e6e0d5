"""The reaction of one brand while another floods, beside the same brand alone.

python bench/flood.py [--seconds N] [--runs N] [--rounds N] [--share N] [--times N]

Brand B calls parked runs at a steady rate; brand A sends events that begin runs, `times` as many as were seen to fit.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Annotated

import httpx
import typer

from bench.harness import EVENTS, House, batches, house
from bench.measuring import Compared, Figures, leave, main, percentile, say, significant
from bench.reaction import LEAD
from bench.traffic import cloud_event, players, registration

FLOODING, OTHER = "flooding", "other"
#: Events in one of A's requests, and how many of its requests may be under way.
BATCH, CALLERS = 20, 64
UNBEGUN = """
    SELECT count(*) FROM runs r
    WHERE brand = %s AND NOT EXISTS (SELECT FROM steps s WHERE s.run_id = r.id)
    """
#: Requests whose pace says what fits.
PROBE = 20


class Sender:
    """A brand's backend."""

    def __init__(self, built: House, key: str) -> None:
        headers = {"Authorization": f"Bearer {key}", "Content-Type": EVENTS}
        self.http = httpx.AsyncClient(base_url=built.api_url, headers=headers, timeout=60)
        self.answers: Counter[int] = Counter()

    async def post(self, body: bytes, mode: str = "live") -> int:
        """Send once; what the API says is counted."""
        answer = await self.http.post("/v1/events", content=body, params={"mode": mode})
        self.answers[answer.status_code] += 1
        if answer.status_code not in {202, 429}:
            raise RuntimeError(f"The API answered {answer.status_code}: {answer.text[:300]}")
        return answer.status_code

    async def registers(self, ids: Sequence[str]) -> None:
        """Make players known, as history."""
        now = datetime.now(UTC)
        for body in batches([registration(player, now) for player in ids], 500):
            assert await self.post(body, "history") == 202


class Flood:
    """Brand A: events that begin runs, each of another player."""

    def __init__(self, sender: Sender) -> None:
        self.sender = sender
        self._numbers = count()

    def body(self) -> bytes:
        """A request nobody has sent before."""
        number = next(self._numbers)
        ids = players(BATCH, f"flood-{number}-")
        return batches([cloud_event("bench.begun", player, f"begun-{player}") for player in ids], BATCH)[0]

    async def fits(self, built: House) -> float:
        """Requests a second that are taken in and begun."""
        began = time.perf_counter()
        for _ in range(PROBE):
            await self.sender.post(self.body())
        await self.begun(built)
        return PROBE / (time.perf_counter() - began)

    async def begun(self, built: House) -> None:
        """Wait until every run that was taken in has come to its first effect."""

        async def idle() -> bool:
            return await built.count("SELECT count(*) FROM deliveries") + await built.count(UNBEGUN, FLOODING) == 0

        await built.until(idle, within=300, what="The first effect of every run", every=0.1)

    async def run(self, rate: float) -> None:
        """So many requests a second, until cancelled; a caller that is told to come again drops it and goes on."""
        free = asyncio.Semaphore(CALLERS)

        async def send() -> None:
            async with free:
                await self.sender.post(self.body())

        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in count():
                await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
                if not free.locked():
                    group.create_task(send())


async def reactions(
    built: House, sender: Sender, ids: Sequence[str], turns: Iterator[int], rate: float, seconds: float
) -> list[float]:
    """Milliseconds from each call's moment to its message."""
    began, due = datetime.now(UTC) + LEAD, dict[tuple[str, str], datetime]()
    async with asyncio.TaskGroup() as group:
        for number in range(int(rate * seconds)):
            at = began + timedelta(seconds=number / rate)
            await asyncio.sleep((at - datetime.now(UTC)).total_seconds())
            turn = next(turns)
            player = ids[turn % len(ids)]
            due[player, f"send:deposit-thanks#{turn // len(ids) + 1}"] = at
            group.create_task(sender.post(batches([cloud_event("bench.called", player, f"call-{turn}")], 1)[0]))
    query = "SELECT player_id, step, at FROM steps WHERE brand = %s AND outcome = 'sent' AND at >= %s"

    async def all_answered() -> bool:
        return len(await built.rows(query, OTHER, began)) >= len(due) - sender.answers[429]

    await built.until(all_answered, within=300, what="The answer to every call", every=0.2)
    found = await built.rows(query, OTHER, began)
    return [
        (row["at"] - due[row["player_id"], row["step"]]).total_seconds() * 1_000
        for row in found
        if (row["player_id"], row["step"]) in due
    ]


async def measure(seconds: float, runs: int, rounds: int, share: float, times: float) -> Figures:
    async with house(journeys="bench.journeys", extra={"BACKLOG_HIGH": "2000", "BACKLOG_LOW": "1000"}) as built:
        ours, theirs = Sender(built, await built.key(OTHER)), Sender(built, await built.key(FLOODING))
        flood, turns, ids = Flood(theirs), count(), players(runs, "b-")
        await ours.registers(ids)
        for body in batches([cloud_event("bench.parked", p, f"parked-{p}") for p in ids], 500):
            assert await ours.post(body) == 202
        fits = await flood.fits(built)
        rate = max(1.0, share * fits * BATCH)
        say(f"{fits * BATCH:.0f} begun runs a second fit; A sends {times:g} times that, B calls {rate:.1f} a second")
        await reactions(built, ours, ids, turns, rate, 3)
        found: dict[str, list[list[float]]] = {"alone": [], "flooded": []}
        for number in range(1, rounds + 1):
            await flood.begun(built)
            await built.settle()
            found["alone"].append(await reactions(built, ours, ids, turns, rate, seconds))
            flooding = asyncio.create_task(flood.run(times * fits))
            await asyncio.sleep(seconds / 3)
            found["flooded"].append(await reactions(built, ours, ids, turns, rate, seconds))
            flooding.cancel()
            with suppress(asyncio.CancelledError):
                await flooding
            p99 = {name: percentile(taken[-1], 0.99) for name, taken in found.items()}
            say(f"Reaction of B, round {number}: p99 alone {p99['alone']:.0f}, flooded {p99['flooded']:.0f} ms")
        say(f"A was answered {dict(theirs.answers)}, B {dict(ours.answers)}")
    compared = Compared(*([percentile(one, 0.99) for one in found[name]] for name in ("flooded", "alone")))
    return {
        **compared.figures("flood_other_brand", "flood_other_brand_ms", "flood_alone_ms"),
        "flood_other_brand_429": ours.answers[429],
        "flood_429_of_flood": theirs.answers[429],
        "flood_rate_per_s": significant(rate),
        "flood_events_per_s": significant(times * fits * BATCH),
    }


def command(
    *,
    seconds: Annotated[float, typer.Option(help="length of a round on one side")] = 15,
    runs: Annotated[int, typer.Option(help="B's parked runs")] = 100,
    rounds: int = 3,
    share: Annotated[float, typer.Option(help="B's calls, as a share of A's events that fit")] = 0.05,
    times: Annotated[float, typer.Option(help="how many times what fits A sends")] = 5,
) -> None:
    """Take the figure of a brand that floods."""
    leave(main(lambda: measure(seconds, runs, rounds, share, times)))


if __name__ == "__main__":
    typer.run(command)
