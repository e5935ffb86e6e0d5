"""From the answer of `hold` to the last effect that slipped through, while a thousand runs fire.

    python bench/hold.py [--runs N]

Every run is called at once and answers with a message; in the middle of it the journey is held, and later resumed.
"""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import httpx
import typer

from bench.harness import BRAND, House, batches, house
from bench.measuring import Figures, leave, main, say, significant
from bench.reaction import park, register
from bench.traffic import cloud_event, players

JOURNEY = "parked"
SENT = "SELECT at FROM steps WHERE step = 'send:deposit-thanks#1' AND outcome = 'sent' AND run_id LIKE %s"
WAITING = "SELECT count(*) FROM held_runs WHERE journey = %s"


def slipped(answered: datetime, effects: Sequence[datetime]) -> float:
    """Seconds from the answer of a hold to the last effect after it; 0 when there was none."""
    return max((at - answered).total_seconds() for at in [answered, *effects])


async def decide(built: House, action: str) -> datetime:
    """Hold or resume the journey; when that was answered."""
    headers = {"Authorization": f"Bearer {built.keys['crm']}"}
    async with httpx.AsyncClient(base_url=built.api_url, headers=headers) as client:
        answer = await client.post(f"/v1/journeys/{JOURNEY}/{action}", json={"reason": "Measuring."})
    answer.raise_for_status()
    return datetime.now(UTC)


async def measure(runs: int) -> Figures:
    async with house(journeys="bench.journeys") as built:
        ids = players(runs, "hold-p")
        await register(built, ids)
        await park(built, ids)
        mine = f"{JOURNEY}:{BRAND}:%"

        async def sent() -> list[datetime]:
            return [row["at"] for row in await built.rows(SENT, mine)]

        async def fire() -> bool:
            return len(await sent()) >= runs / 10

        await built.post_all(batches([cloud_event("bench.called", one, f"call-{one}") for one in ids], 100), at_once=4)
        await built.until(fire, within=60, what="A tenth of the answers")
        answered = await decide(built, "hold")

        async def all_met_it() -> bool:
            return len(await sent()) + await built.count(WAITING, JOURNEY) >= runs

        await built.until(all_met_it, within=120, what="The hold, for every run", every=0.2)
        await asyncio.sleep(2)
        before = await sent()
        seconds = slipped(answered, before)
        say(f"{len(before):,} of {runs:,} had answered; the last {seconds * 1_000:.0f} ms after the hold was answered")
        began = time.monotonic()
        await decide(built, "resume")

        async def all_answered() -> bool:
            return len(await sent()) == runs

        await built.until(all_answered, within=180, what="The answer of every run", every=0.1)
        took = time.monotonic() - began
        say(f"{runs - len(before):,} held runs have answered {took:.1f} s after they were resumed")
    assert len(before) < runs, "Nothing was held: every run had answered before; take more runs."
    return {
        "hold_s": round(seconds, 3),
        "hold_runs": runs,
        "held_runs": runs - len(before),
        "resume_s": significant(took),
    }


def command(*, runs: Annotated[int, typer.Option(help="runs that fire at once")] = 1_000) -> None:
    """Take the figure of a hold."""
    leave(main(lambda: measure(runs)))


if __name__ == "__main__":
    typer.run(command)
