"""From the answer of `hold` to the last effect that slipped through, while a thousand runs fire.

    python bench/hold.py [--runs N] [--seconds N] [--rounds N]

Every run is called at once and answers with a message; in the middle of it the journey is held, and later resumed.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import httpx
import typer

from bench.harness import BRAND, House, batches, house
from bench.measuring import Figures, leave, main, say, significant
from bench.reaction import park, register
from bench.traffic import cloud_event, players

JOURNEY = "parked"
SENT = "SELECT at FROM steps WHERE step = %s AND outcome = 'sent' AND run_id LIKE %s ORDER BY at"
WAITING = "SELECT count(*) FROM held_runs WHERE journey = %s"
#: So many of the runs have answered when they are held.
BEFORE = 0.1


@dataclass(frozen=True)
class Round:
    """One hold."""

    #: From its answer to the last effect after it.
    seconds: float
    #: Effects after its answer, and runs that waited.
    slipped: int
    held: int
    #: What the runs that were held would have taken, at the pace before.
    firing: float
    #: Until all that were held had answered.
    resumed: float


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


class Runs:
    """Runs that are all called, held and resumed, round after round."""

    def __init__(self, built: House, ids: Sequence[str]) -> None:
        self.built = built
        self.ids = ids

    async def sent(self, number: int) -> list[datetime]:
        """When each run has answered its call of this round."""
        found = await self.built.rows(SENT, f"send:deposit-thanks#{number}", f"{JOURNEY}:{BRAND}:%")
        return [row["at"] for row in found]

    async def hold(self, number: int, seconds: float) -> Round:
        """Call all, hold them in the middle of it, look for `seconds` what still happens, and let them go on."""
        built, runs = self.built, len(self.ids)
        await built.settle()
        calls = [cloud_event("bench.called", one, f"call-{number}-{one}") for one in self.ids]
        began = datetime.now(UTC)
        calling = asyncio.create_task(built.post_all(batches(calls, 100), at_once=4))

        async def fire() -> bool:
            return len(await self.sent(number)) >= runs * BEFORE

        await built.until(fire, within=60, what="The first answers")
        answered = await decide(built, "hold")
        await calling

        async def all_met_it() -> bool:
            return len(await self.sent(number)) + await built.count(WAITING, JOURNEY) >= runs

        await built.until(all_met_it, within=180, what="The hold, for every run", every=0.2)
        await asyncio.sleep(seconds)
        before = await self.sent(number)
        held = runs - len(before)
        assert held, "Nothing was held: every run had answered before; take more runs."
        resumed = await self.resume(number)
        in_time = sum(at <= answered for at in before)
        pace = max(1, in_time) / (answered - began).total_seconds()
        return Round(slipped(answered, before), len(before) - in_time, held, held / pace, resumed)

    async def resume(self, number: int) -> float:
        """Seconds until all that were held have answered."""
        began = time.monotonic()
        await decide(self.built, "resume")

        async def all_answered() -> bool:
            return len(await self.sent(number)) == len(self.ids)

        await self.built.until(all_answered, within=240, what="The answer of every run", every=0.2)
        return time.monotonic() - began


async def measure(runs: int, seconds: float, rounds: int) -> Figures:
    async with house(journeys="bench.journeys") as built:
        ids = players(runs, "hold-p")
        await register(built, ids)
        await park(built, ids)
        say(f"{runs:,} runs wait to be called")
        fired, taken = Runs(built, ids), list[Round]()
        for number in range(1, rounds + 1):
            taken.append(await fired.hold(number, seconds))
            one = taken[-1]
            say(
                f"Hold {number}: {one.slipped} of {runs:,} runs slipped through, the last {one.seconds * 1_000:.0f} ms "
                f"after the answer; {one.held:,} were held and had answered {one.resumed:.1f} s after the end of it"
            )
    worst = max(taken, key=lambda one: one.seconds)
    return {
        "hold_s": round(worst.seconds, 3),
        "hold_s_rounds": [round(one.seconds, 3) for one in taken],
        "hold_slipped": worst.slipped,
        "hold_held": worst.held,
        "hold_vs_firing": significant(worst.seconds / worst.firing),
        "hold_resume_s": significant(max(one.resumed for one in taken)),
    }


def command(
    *,
    runs: Annotated[int, typer.Option(help="runs that fire at once")] = 1_000,
    seconds: Annotated[float, typer.Option(help="for how long to look for what slips through once all runs wait")] = 3,
    rounds: int = 2,
) -> None:
    """Take the figure of a hold; the worst of its rounds counts."""
    leave(main(lambda: measure(runs, seconds, rounds)))


if __name__ == "__main__":
    typer.run(command)
