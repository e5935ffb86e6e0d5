"""Fifty thousand probes of what is not theirs: every operation, by keys of other brands with scopes of all kinds."""

import asyncio
import random
import secrets
from collections import Counter
from collections.abc import AsyncIterator

import httpx
import pytest

from activities.api_keys import SCOPES
from tests.postgres.test_api_access import ERASING, OPERATIONS, OWN, SHARED, TAKING, Operation, everything
from tests.support.api_client import Api, serving
from tests.support.api_seed import PLAYER, seeded

PROBES = 50_000
#: What a stranger would have to show to have seen something: the player's words, never an id that they asked with.
TELLING = ("Anna", "anna@example.com", "lucky_anna", "Called, she moves", "Hello Anna")
#: Shared, or their own: that they looked stands in the audit of their own brand.
HARMLESS = SHARED | OWN | TAKING | ERASING | {"list_audit"}


@pytest.fixture(scope="module")
async def served(module_postgres_url: str) -> AsyncIterator[Api]:
    settings = {"journeys": "tests.support.api_journeys", "catch_all_url": "http://127.0.0.1:9"}
    async with serving(module_postgres_url, **settings) as application:
        yield application


async def probed(client: httpx.AsyncClient, operation: Operation, ids: dict[str, str], scopes: set[str]) -> str:
    """What came of a probe by somebody of another brand; raises where it leaks."""
    answer = await operation.call(client, ids)
    where = f"{operation.id} with {sorted(scopes)}: {answer.status_code} {answer.text[:300]}"
    if operation.id not in SHARED:
        assert not any(word in answer.text for word in TELLING), where
    if operation.scopes and not scopes & {*operation.scopes, "admin"}:
        assert answer.status_code == 403, where
        return "refused"
    if operation.id in HARMLESS:
        return "shared"
    if "{" in operation.path or operation.method != "GET":
        assert answer.status_code in {403, 404}, where
        return "not there"
    assert answer.json()["items"] == [], where
    return "empty"


async def probe(api: Api, probes: int) -> Counter[str]:
    """Have keys of other brands try everything with the ids of this one."""
    ids, chance = await seeded(api), random.Random(probes)
    ids["player_id"] = PLAYER
    before = await everything(api)
    came: Counter[str] = Counter()
    admins = False
    safe = [one for one in OPERATIONS if one.id not in OWN | TAKING | ERASING]
    while came.total() < probes:
        # An admin is refused nothing for want of a scope, so every second key is none.
        some_scopes = [one for one in SCOPES if one != "admin" or admins]
        scopes, admins = set(chance.sample(some_scopes, chance.randint(1, len(some_scopes)))), not admins
        brand = f"stranger-{secrets.token_hex(3)}"
        client = await api.client(*sorted(scopes), brand=brand)
        for start in range(0, len(safe), 10):
            some = safe[start : start + 10]
            came.update(await asyncio.gather(*(probed(client, one, ids, scopes) for one in some)))
    assert await everything(api) == before, "Nobody of another brand changed anything here."
    return came


async def test_strangers_with_scopes_of_all_kinds_find_nothing(api: Api) -> None:
    came = await probe(api, 500)
    assert came["refused"]
    assert came["not there"]


@pytest.mark.slow  # fifty thousand requests take minutes
@pytest.mark.timeout(1_500)
async def test_of_fifty_thousand_probes_none_finds_anything(api: Api) -> None:
    came = await probe(api, PROBES)
    assert came.total() >= PROBES
    assert len(came) == 4
