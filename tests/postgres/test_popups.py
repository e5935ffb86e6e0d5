"""Pop-ups open at once or never: each is shown until it is seen, too old, or not to be shown any more."""

import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from sqlalchemy import insert

from activities.tables import messages
from tests.support.api_client import Api, serving
from tests.support.engine import HeldTimer, rows
from workflows import ConsentChanged, ExclusionSet, PlayerRegistered
from workflows.channels import CHANNELS
from workflows.events import Event, parse_event

LIFE = CHANNELS["popup"].shown_for or timedelta(0)


@pytest.fixture(scope="module")
async def served(module_postgres_url: str) -> AsyncIterator[Api]:
    async with serving(module_postgres_url) as application:
        yield application


@pytest.fixture
async def page(api: Api) -> httpx.AsyncClient:
    """A player's own browser."""
    await happens(api, PlayerRegistered, timezone="UTC", opted_in=["in_app"])
    return await api.client_with(api.engine.player_tokens.token(api.brand, "p-1", api.engine.clock()))


async def happens(api: Api, kind: type[Event], /, **data: Any) -> None:
    event_id = f"{api.brand}-{secrets.token_hex(4)}"
    event = parse_event(kind.wire_type, data, event_id=event_id, event_source="/test", occurred_at=datetime.now(UTC))
    await api.engine.intake.ingest(api.brand, [("p-1", event)], datetime.now(UTC))


async def opens(
    api: Api, name: str, *, ago: timedelta = timedelta(0), player: str = "p-1", kind: str = "marketing", **more: Any
) -> str:
    """A pop-up that a journey has sent; its id."""
    message_id = f"{api.brand}/{name}#1/popup"
    row = {"brand": api.brand, "player_id": player, "run_id": "r", "step": name, "journey": "j", "template": name}
    row |= {"id": message_id, "channel": "popup", "message_class": kind, "status": "sent", "subject": "Well"}
    seen = {"product": "casino"} | more
    async with api.engine.database.transaction() as connection:
        at = {"created_at": datetime.now(UTC) - ago, "body": name, "decision": {"rule": None, "seen": seen}}
        await connection.execute(insert(messages).values(**row, **at))
    return message_id


async def shown(page: httpx.AsyncClient, path: str = "/v1/me/popups") -> list[str]:
    answer = await page.get(path)
    assert answer.status_code == 200
    return [item["body"] for item in answer.json()["items"]]


async def test_what_was_sent_just_now_is_shown_and_what_is_too_old_never(api: Api, page: httpx.AsyncClient) -> None:
    await opens(api, "old", ago=LIFE + timedelta(seconds=1))
    await opens(api, "before", ago=LIFE / 2)
    await opens(api, "now")
    await opens(api, "of-another", player="p-2")
    assert await shown(page) == ["now", "before"]
    site = await api.client("inbox:read")
    assert await shown(site, "/v1/players/p-1/popups") == ["now", "before"]
    assert (await site.get("/v1/players/p-1/inbox")).json()["items"] == []


async def test_one_that_its_designer_ends_sooner_is_gone_then(api: Api, page: httpx.AsyncClient) -> None:
    now = datetime.now(UTC)
    await opens(api, "over", by=(now - timedelta(seconds=1)).isoformat())
    await opens(api, "soon", by=(now + timedelta(minutes=1)).isoformat())
    (item,) = (await page.get("/v1/me/popups")).json()["items"]
    assert (item["body"], datetime.fromisoformat(item["until"])) == ("soon", now + timedelta(minutes=1))


@pytest.mark.parametrize(("what", "delivery"), [("seen", "opened"), ("clicked", "clicked")])
async def test_one_that_was_seen_is_shown_no_more_and_the_message_says_so(
    api: Api, page: httpx.AsyncClient, what: str, delivery: str
) -> None:
    message_id = await opens(api, "once")
    for _ in range(2):
        assert (await page.post(f"/v1/me/popups/{quote(message_id, safe='')}/{what}")).status_code == 204
    assert await shown(page) == []
    (row,) = await rows(api.engine.database, messages, id=message_id)
    assert row["delivery"] == delivery


async def test_nobody_tells_of_anothers(api: Api, page: httpx.AsyncClient) -> None:
    message_id = await opens(api, "theirs", player="p-2")
    assert (await page.post(f"/v1/me/popups/{quote(message_id, safe='')}/seen")).status_code == 404
    (row,) = await rows(api.engine.database, messages, id=message_id)
    assert row["delivery"] is None


async def test_who_tells_as_a_machine_does_is_told_when_to_come_back(
    api: Api, page: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api.engine.presses, "_timer", HeldTimer())
    answers = [await page.post("/v1/me/popups/none/seen") for _ in range(40)]
    assert {one.status_code for one in answers[:30]} == {404}
    assert (answers[-1].status_code, answers[-1].headers["Retry-After"]) == (429, "1")


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (ExclusionSet, {"kind": "self_exclusion"}),
        (ConsentChanged, {"channel": "in_app", "opted_in": False}),
        (ConsentChanged, {"channel": "popup", "opted_in": False}),
    ],
)
async def test_an_offer_is_not_shown_to_whom_none_may_be_made(
    api: Api, page: httpx.AsyncClient, kind: type[Event], data: dict[str, Any]
) -> None:
    await opens(api, "offer")
    await opens(api, "limits", kind="rg")
    assert await shown(page) == ["limits", "offer"]
    await happens(api, kind, **data)
    assert await shown(page) == ["limits"]
