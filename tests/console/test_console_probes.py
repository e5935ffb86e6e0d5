"""Thousands of probes of the console: every door, by people of all kinds, in their own brand and in another.

What keys of other brands find through the API is probed in `tests/postgres/test_access_probes.py`.
"""

import random
import secrets
from collections import Counter

import httpx
import pytest

from activities.roles import ROLES, scopes_of
from tests.console.test_console_access import DOORS, SCOPES, Door
from tests.postgres.test_access_probes import TELLING
from tests.postgres.test_api_access import everything
from tests.support.api_seed import PLAYER, seeded
from tests.support.console import Console, Desk

PROBES = 5_000
#: What a colleague has typed and not sent: nobody else's, whatever they may see otherwise.
DRAFT = "Called, she moves"


async def knock(client: httpx.AsyncClient, desk: Desk, door: Door, brand: str, ids: dict[str, str]) -> httpx.Response:
    address = door.address(brand, ids)
    if door.method == "GET":
        return await client.get(address)
    return await client.post(address, data={"csrf": desk.csrf} | door.fields)


async def probe(console: Console, probes: int) -> Counter[str]:
    """Have people of all kinds try every door with the ids of this brand: what came of it, and how often."""
    ids, chance, brand = await seeded(console.api), random.Random(probes), console.api.brand
    ids["player_id"] = PLAYER
    before = await everything(console.api)
    came: Counter[str] = Counter()
    while came.total() < probes:
        roles = chance.sample([*ROLES], chance.randint(1, len(ROLES)))
        mine, other = scopes_of(frozenset(roles)), f"other-{secrets.token_hex(3)}"
        colleague, stranger = await console.desk(*roles), await console.desk(*roles, brand=other)
        async with colleague.client() as inside, stranger.client() as outside:
            for door in DOORS:
                where = f"{door.method} {door.path} by {sorted(roles)}"
                may = bool(mine & SCOPES[door.path])
                if not may or door.method == "GET":
                    answer = await knock(inside, colleague, door, brand, ids)
                    assert (answer.status_code == 404) != may, f"{where}: {answer.status_code}"
                    assert may or not any(word in answer.text for word in TELLING), where
                    assert DRAFT not in answer.text, where
                    came["colleague sees" if may else "colleague is refused"] += 1
                answer = await knock(outside, stranger, door, brand, ids)
                assert answer.status_code == 404, f"{where} of another brand: {answer.status_code}"
                assert not any(word in answer.text for word in TELLING), where
                came["stranger is refused"] += 1
                answer = await knock(outside, stranger, door, other, ids)
                assert answer.status_code < 500, f"{where} at home: {answer.status_code}"
                assert not any(word in answer.text for word in TELLING), where
                came["stranger finds nothing at home"] += 1
    after = await everything(console.api)
    # Who was made to knock here, and that colleagues looked at a player, was written by this test.
    for own in ("person_grants", "audit_entries", "audit_heads"):
        before.pop(own, None), after.pop(own, None)
    assert after == before, "Nobody changed anything here."
    return came


async def test_people_of_all_kinds_find_nothing_that_is_not_theirs(console: Console) -> None:
    came = await probe(console, 100)
    assert len(came) == 4


@pytest.mark.slow  # five thousand pages take minutes
@pytest.mark.timeout(900)
async def test_of_five_thousand_probes_of_the_console_none_finds_anything(console: Console) -> None:
    came = await probe(console, PROBES)
    assert came.total() >= PROBES
