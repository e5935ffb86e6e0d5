"""Milliseconds of a spin over HTTP while many spin one hot wheel, at a steady rate whatever the answers take.

python bench/spin.py [--rate N] [--seconds N] [--players N]
"""

import asyncio
import time
from datetime import UTC, datetime
from typing import Annotated

import httpx
import typer

from activities.api_keys import create_key
from activities.database import Database
from activities.settings import Settings
from bench.harness import BRAND, House, house
from bench.intake import import_past
from bench.measuring import Figures, leave, main, percentile, say, significant
from bench.traffic import players

#: Spins before it is measured, which fill caches and connections.
WARM = 200


async def tokens(built: House, ids: list[str]) -> list[str]:
    """A token for each player, as the casino's backend asks for it."""
    database = Database(Settings(database_url=built.environment()["DATABASE_URL"]))
    try:
        key = (await create_key(database, BRAND, "site", ["players:tokens"], datetime.now(UTC)))[1]
    finally:
        await database.close()
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=built.api_url, headers=headers, timeout=60) as backend:
        minted = [await backend.post("/v1/player-tokens", json={"player_id": one}) for one in ids]
    return [str(one.raise_for_status().json()["token"]) for one in minted]


async def measure(rate: int, seconds: float, ids: list[str]) -> Figures:
    async with house(journeys="bench.programs.hot_wheel") as built:
        await import_past(built, ids)
        bearers = await tokens(built, ids)
        limits = httpx.Limits(max_connections=200, max_keepalive_connections=200)
        async with httpx.AsyncClient(base_url=built.api_url, timeout=60, limits=limits) as site:

            async def spin(number: int, due: float) -> float:
                """Spin when it is due; the milliseconds from then to the answer."""
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                headers = {
                    "Authorization": f"Bearer {bearers[number % len(bearers)]}",
                    "Idempotency-Key": f"k-{number}",
                }
                answer = await site.post("/v1/me/wheels/hot/spins", headers=headers, json={"client_seed": "luck"})
                answer.raise_for_status()
                return (time.perf_counter() - due) * 1_000

            async def spins(first: int, count: int) -> list[float]:
                began = time.perf_counter() + 0.1
                return await asyncio.gather(*(spin(first + n, began + n / rate) for n in range(count)))

            await spins(0, WARM)
            await built.settle()
            took = await spins(WARM, int(rate * seconds))
        made = await built.count("SELECT count(*) FROM spins")
    assert made == WARM + len(took), f"{made} spins are written of {WARM + len(took)}."
    half, most = percentile(took, 0.5), percentile(took, 0.99)
    say(f"{len(took):,} spins at {rate} a second: p50 {half:.1f} ms, p99 {most:.1f} ms")
    return {"spin": significant(most), "spin_p50_ms": significant(half)}


def command(
    *,
    rate: int = 100,
    seconds: float = 30,
    players_: Annotated[int, typer.Option("--players")] = 2_000,
) -> None:
    """Take the figure of a spin."""
    leave(main(lambda: measure(rate, seconds, players(players_))))


if __name__ == "__main__":
    typer.run(command)
