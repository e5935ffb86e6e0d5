"""The inbox of a site shows no offer to whom none may be made now, whatever was allowed when it was sent."""

import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from sqlalchemy import insert

from activities.tables import messages
from tests.support.api_client import BACKEND, Api, serving
from workflows import ConsentChanged, ExclusionEnded, ExclusionSet, HarmSignal, PlayerRegistered, StatusChanged
from workflows.events import Event, parse_event

NOW = datetime.now(UTC)
MARKETING, SERVICE, HELP = "marketing", "service", "rg"


@pytest.fixture(scope="module")
async def served(module_postgres_url: str) -> AsyncIterator[Api]:
    async with serving(module_postgres_url, self_exclusion_minimum=timedelta(0)) as application:
        yield application


@pytest.fixture
async def site(api: Api) -> httpx.AsyncClient:
    await happens(api, PlayerRegistered, timezone="UTC", opted_in=["in_app", "email"])
    for number, message_class in enumerate((MARKETING, SERVICE, HELP, "survey")):
        await lies_there(api, f"m-{number}", message_class)
    return await api.client(*BACKEND, "inbox:read", "players:read")


async def happens(api: Api, kind: type[Event], /, **data: Any) -> None:
    event_id = f"{api.brand}-{secrets.token_hex(4)}"
    event = parse_event(kind.wire_type, data, event_id=event_id, event_source="/test", occurred_at=datetime.now(UTC))
    await api.engine.intake.ingest(api.brand, [("p-1", event)], datetime.now(UTC))


async def lies_there(api: Api, name: str, message_class: str, body: str = "", **seen: Any) -> None:
    row = {"brand": api.brand, "player_id": "p-1", "run_id": "r", "step": name, "journey": "j", "template": "t"}
    row |= {"id": f"{api.brand}/{name}", "channel": "in_app", "message_class": message_class, "status": "sent"}
    decision = {"rule": None, "seen": seen or {"product": "casino"}}
    async with api.engine.database.transaction() as connection:
        text = {"body": body or message_class, "decision": decision, "created_at": NOW}
        await connection.execute(insert(messages).values(**row, **text))


async def shown(site: httpx.AsyncClient) -> set[str]:
    answer = await site.get("/v1/players/p-1/inbox")
    assert answer.status_code == 200
    return {item["body"] for item in answer.json()["items"]}


async def test_a_player_who_may_be_offered_anything_sees_all(site: httpx.AsyncClient) -> None:
    assert await shown(site) == {MARKETING, SERVICE, HELP, "survey"}


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (ExclusionSet, {"kind": "self_exclusion"}),
        (ExclusionSet, {"kind": "time_out", "until": (NOW + timedelta(days=1)).isoformat()}),
        (StatusChanged, {"to": "suspended"}),
        (HarmSignal, {"indicator": "chasing", "strength": "strong"}),
        (ConsentChanged, {"channel": "in_app", "opted_in": False}),
        (ConsentChanged, {"channel": "in_app", "product": "casino", "opted_in": False}),
        (ConsentChanged, {"channel": "profiling", "opted_in": False}),
    ],
)
async def test_offers_are_left_out_while_none_may_be_made(
    api: Api, site: httpx.AsyncClient, kind: type[Event], data: dict[str, Any]
) -> None:
    await happens(api, kind, **data)
    assert await shown(site) == {SERVICE, HELP}
    path = quote(f"{api.brand}/m-0", safe="")
    assert (await site.post(f"/v1/messages/{path}/read")).status_code == 404
    assert (await site.get(f"/v1/messages/{path}")).json()["read_at"] is None
    help_ = quote(f"{api.brand}/m-2", safe="")
    assert (await site.post(f"/v1/messages/{help_}/read")).status_code == 200


async def test_what_is_allowed_again_is_shown_again(api: Api, site: httpx.AsyncClient) -> None:
    await happens(api, ExclusionSet, kind="self_exclusion")
    await happens(api, ExclusionEnded, kind="self_exclusion")
    assert MARKETING in await shown(site)


async def test_an_offer_is_shown_until_its_designers_moment(api: Api, site: httpx.AsyncClient) -> None:
    await lies_there(api, "past", MARKETING, body="past", product="casino", by=(NOW - timedelta(hours=1)).isoformat())
    await lies_there(api, "soon", MARKETING, body="soon", product="casino", by=(NOW + timedelta(hours=1)).isoformat())
    assert {"past", "soon"} & await shown(site) == {"soon"}
