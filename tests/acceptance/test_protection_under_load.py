"""What protects a player is taken at once, whatever else presses on an API process."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import orjson
import pytest

from local.slowness import slowness
from tests.support.hostile_load import (
    Pressed,
    api_process,
    batches,
    event,
    http,
    paced,
    pressing,
    row_held,
    stranger,
)
from tests.support.machine import promised

HELD = "held"


@asynccontextmanager
async def everything_at_once(on: Pressed, database_url: str, strangers: int, floods: int) -> AsyncIterator[None]:
    """A player's row that hangs and who asks for it, strangers with well-formed keys, and more than can be taken in."""
    flood = batches(on.key, 200)
    login = lambda: http("POST", "/v1/events", on.key, orjson.dumps(event("session.login", HELD)))  # noqa: E731
    async with AsyncExitStack() as load:
        await load.enter_async_context(row_held(database_url, HELD))
        await load.enter_async_context(pressing(on, "held", 12, login))
        await load.enter_async_context(
            pressing(on, "strangers", strangers, lambda: http("GET", "/v1/limits", stranger()))
        )
        await load.enter_async_context(pressing(on, "flood", floods, lambda: next(flood)))
        yield


async def exclusions(on: Pressed, count: int, a_second: float) -> list[float]:
    """Exclude so many players, each by event or by route; how long each took, the longest last. All must be taken."""
    took: list[float] = []
    refused: list[str] = []
    async with httpx.AsyncClient(base_url=on.url, headers=on.headers, timeout=30) as client:

        async def exclude(number: int) -> None:
            began = time.perf_counter()
            if number % 2:
                told = await client.post(f"/v1/players/e-{number}/exclusion", json={"kind": "self_exclusion"})
                taken = told.status_code == 202 and told.json()["protected"]["reason"] == "self_excluded"
            else:
                told = await client.post(
                    "/v1/events", json=event("compliance.exclusion_set", f"e-{number}", kind="self_exclusion")
                )
                taken = told.status_code == 202 and told.json()["accepted"] == 1
            took.append(time.perf_counter() - began)
            if not taken:
                refused.append(f"{took[-1]:.2f} s: {told.text}")

        await paced(count, a_second, exclude)
    assert refused == []
    return sorted(took)


@pytest.fixture
async def api(postgres_url: str, session_folder: Path) -> AsyncIterator[Pressed]:
    async with api_process(postgres_url, session_folder) as process:
        async with httpx.AsyncClient(base_url=process.url, headers=process.headers) as client:
            assert (await client.post("/v1/events", json=event("session.login", HELD))).status_code == 202
        yield process


async def pressed(api: Pressed, database_url: str, strangers: int, floods: int, count: int, a_second: float) -> float:
    """The time within which 99 of 100 exclusions were taken; all of them were, and the others were told the truth."""
    async with everything_at_once(api, database_url, strangers, floods):
        took = await exclusions(api, count, a_second)
    assert len(took) == count
    assert set(api.answers.get("strangers", ())) <= {401}
    assert set(api.answers.get("held", ())) <= {503}
    assert set(api.answers.get("flood", ())) <= {202, 429, 503}
    return took[int(count * 0.99) - 1]


async def test_exclusions_are_taken_while_a_row_hangs_strangers_knock_and_a_flood_comes_in(
    api: Pressed, postgres_url: str
) -> None:
    # How fast says more of the machine's other work than of ours in so short a time; the minute below judges it.
    await pressed(api, postgres_url, strangers=30, floods=4, count=30, a_second=15 / slowness())


@pytest.mark.slow  # a minute of what the test above does for two seconds
async def test_five_hundred_exclusions_a_minute_are_all_taken_within_a_second(api: Pressed, postgres_url: str) -> None:
    p99 = await pressed(api, postgres_url, strangers=200, floods=16, count=500, a_second=500 / 60)
    assert p99 <= promised(1)
