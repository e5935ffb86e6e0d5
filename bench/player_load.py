"""Calls of players' own browsers at a steady rate, and how long each took: what figures of the player's site share."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from bench.harness import House, batches
from bench.measuring import percentile
from bench.traffic import cloud_event, registration

#: How long a call may take before it counts as failed.
TIMEOUT_S = 10.0


async def tokens(built: House, ids: Sequence[str]) -> dict[str, str]:
    """A token for each player's browser."""
    site = {"Authorization": f"Bearer {built.keys['site']}", "Content-Type": "application/json"}

    async def one(player: str) -> tuple[str, str]:
        answer = await built.http.post("/v1/player-tokens", json={"player_id": player}, headers=site)
        answer.raise_for_status()
        return player, str(answer.json()["token"])

    return dict([await one(player) for player in ids])


async def have_points(built: House, ids: Sequence[str]) -> None:
    """Every player registers and plays one round that is worth ten thousand points."""
    now = datetime.now(UTC)
    told = [registration(one, now - timedelta(days=1)) for one in ids]
    told += [cloud_event("game.round_completed", one, f"g-{one}", **_ROUND, round_id=one) for one in ids]
    for body in batches(told, 500):
        await built.post(body)


_ROUND: dict[str, Any] = {
    "game_id": "g",
    "category": "slot",
    "stake_minor": 10_000_000,
    "win_minor": 0,
    "currency": "EUR",
}


async def steadily(
    rate: float, seconds: float, call: Callable[[httpx.AsyncClient, int], Awaitable[httpx.Response]], url: str
) -> list[float]:
    """Begin `rate` calls a second for so long, whether or not earlier ones are back; milliseconds of each.

    A call is measured from the moment it was due, so that a server which stands still is not asked less.
    """
    limits = httpx.Limits(max_connections=200, max_keepalive_connections=200)
    async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT_S, limits=limits) as client:
        began = time.perf_counter()

        async def one(number: int) -> float:
            due = began + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            answer = await call(client, number)
            assert answer.status_code < 400, answer.text
            return (time.perf_counter() - due) * 1_000

        return list(await asyncio.gather(*(one(number) for number in range(int(rate * seconds)))))


def told(name: str, took: Sequence[float]) -> dict[str, float]:
    """The figures of a load: its p99, and p50 beside it, in milliseconds."""
    return {name: round(percentile([*took], 0.99), 1), f"{name}_p50_ms": round(percentile([*took], 0.5), 1)}
