"""Audiences for ad networks: who agreed and is free is in the seed, who must be left alone on the list."""

import csv
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import httpx
import pytest

from activities.audience_links import LASTS, AudienceLinks
from activities.audiences import Audience
from activities.erasures import ErasureRequest, request_erasure
from activities.tables import audit_entries
from tests.support.api_client import LINK_SECRET, Api, serving
from tests.support.api_seed import SEGMENT
from tests.support.engine import rows
from workflows import ConsentChanged, DepositApproved, ExclusionSet, PlayerMerged, PlayerRegistered
from workflows.events import Event, parse_event

SEED, LIST = f"/v1/audiences/seed/{SEGMENT}", f"/v1/audiences/suppression/{SEGMENT}"


@pytest.fixture(scope="module")
async def served(module_postgres_url: str) -> AsyncIterator[Api]:
    settings: dict[str, Any] = {"journeys": "tests.support.api_journeys", "public_url": "http://api"}
    async with serving(module_postgres_url, **settings) as application:
        yield application


async def happens(api: Api, player: str, kind: type[Event], /, **data: Any) -> None:
    event_id = f"{api.brand}-{secrets.token_hex(6)}"
    event = parse_event(
        kind.wire_type,
        dict(kind.example_data) | data,
        event_id=event_id,
        event_source="/test",
        occurred_at=datetime.now(UTC),
    )
    await api.engine.intake.ingest(api.brand, [(player, event)], datetime.now(UTC))


async def joins(api: Api, player: str, *, member: bool = True, opted_in: tuple[str, ...] = ("ads",)) -> None:
    about = {"email": f"{player}@example.com", "phone": None, "opted_in": [*opted_in], "is_test": False}
    await happens(api, player, PlayerRegistered, **about)
    if member:
        await happens(api, player, DepositApproved, payment_id=f"{api.brand}-{player}")


async def people(client: httpx.AsyncClient, path: str, *known: str) -> set[str]:
    """Whom of those known a file holds, by their hashes; and nothing else is in it."""
    answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    header, *lines = csv.reader(answer.text.splitlines())
    assert header == ["Email", "Phone"]
    hashes = {sha256(f"{player}@example.com".encode()).hexdigest(): player for player in known}
    return {hashes[email] for email, _ in lines}


@pytest.fixture
async def network(api: Api) -> httpx.AsyncClient:
    return await api.client("audiences:read")


async def test_a_seed_holds_members_who_agreed_and_nobody_whom_something_protects(
    api: Api, network: httpx.AsyncClient
) -> None:
    everybody = ("agreed", "silent", "stranger", "excluded")
    await joins(api, "agreed")
    await joins(api, "silent", opted_in=("email",))
    await joins(api, "stranger", member=False)
    await joins(api, "excluded")
    assert await people(network, SEED, *everybody) == {"agreed", "excluded"}
    await happens(api, "excluded", ExclusionSet, kind="self_exclusion", until=None)
    assert await people(network, SEED, *everybody) == {"agreed"}
    await happens(api, "agreed", ConsentChanged, channel="ads", product="all", opted_in=False)
    assert await people(network, SEED, *everybody) == set()


async def test_a_suppression_list_holds_members_and_whoever_is_left_alone(api: Api, network: httpx.AsyncClient) -> None:
    everybody = ("member", "objects", "stranger", "excluded")
    await joins(api, "member", opted_in=())
    await joins(api, "objects")
    await joins(api, "stranger", member=False)
    await joins(api, "excluded", member=False)
    await happens(api, "objects", ConsentChanged, channel="ads", product="all", opted_in=False)
    assert await people(network, LIST, *everybody) == {"member"}
    await happens(api, "excluded", ExclusionSet, kind="self_exclusion", until=None)
    assert await people(network, LIST, *everybody) == {"member", "excluded"}


async def test_an_account_that_was_merged_away_is_judged_as_the_one_that_stayed(
    api: Api, network: httpx.AsyncClient
) -> None:
    for player in ("stays", "goes"):
        await joins(api, player, member=False)
    await happens(api, "goes", PlayerMerged, survivor_id="stays", absorbed_id="goes")
    assert await people(network, LIST, "stays", "goes") == set()
    await happens(api, "stays", ExclusionSet, kind="self_exclusion", until=None)
    assert await people(network, LIST, "stays", "goes") == {"stays", "goes"}


async def test_who_was_erased_is_in_no_file(api: Api, network: httpx.AsyncClient) -> None:
    await joins(api, "gone")
    asked = ErasureRequest(api.brand, "gone", "consent_withdrawn", "T-1", "tester")
    async with api.engine.database.transaction() as connection:
        await request_erasure(connection, api.engine.intake, asked, datetime.now(UTC))
    assert await people(network, SEED, "gone") == set()
    assert await people(network, LIST, "gone") == set()


async def test_a_link_needs_no_key_and_is_over_in_an_hour(api: Api, network: httpx.AsyncClient) -> None:
    await joins(api, "agreed")
    made = await network.post(f"{SEED}/links", json={"network": "google"})
    assert made.status_code == 201
    assert await people(api.anonymous, made.json()["url"], "agreed") == {"agreed"}
    asked = Audience(api.brand, "seed", SEGMENT, "google", "casino")
    old = AudienceLinks([LINK_SECRET]).token(asked, datetime.now(UTC) - LASTS - timedelta(seconds=1))
    assert (await api.anonymous.get(f"/v1/audience-files/{old}")).status_code == 404
    assert (await api.anonymous.get("/v1/audience-files/made-up")).status_code == 404


async def test_the_trail_has_who_read_a_list_and_who_made_a_link_to_one(api: Api, network: httpx.AsyncClient) -> None:
    await joins(api, "agreed")
    made = await network.post(f"{SEED}/links", json={"network": "google"})
    assert made.status_code == 201
    assert (await network.get(LIST)).status_code == 200
    trail = await rows(api.engine.database, audit_entries, brand=api.brand)
    assert {
        ("change", "link_audience", f"seed/{SEGMENT}"),
        ("read", "get_audience", f"suppression/{SEGMENT}"),
    } <= {(one["kind"], one["action"], one["object"]) for one in trail}


async def test_a_key_without_the_scope_and_a_segment_that_is_none_are_refused(api: Api) -> None:
    reader = await api.client("players:read")
    assert (await reader.get(SEED)).status_code == 403
    allowed = await api.client("audiences:read")
    assert (await allowed.get("/v1/audiences/seed/nobody")).status_code == 404
