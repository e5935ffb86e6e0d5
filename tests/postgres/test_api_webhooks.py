"""Webhooks over HTTP: made, changed, tried and told again, by whoever may and for their own brand."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from activities.outgoing.outbox import announce
from activities.outgoing.webhook_dispatcher import WebhookDispatcher
from activities.tables import webhook_subscriptions
from tests.support.api_client import Api, serving
from tests.support.engine import rows
from tests.support.webhook_receiver import receiving
from workflows.outgoing_events import OUTGOING_TYPES, OutgoingEvent

LOOPBACK = "127.0.0.0/8"


@pytest.fixture(scope="module")
async def served(module_postgres_url: str) -> AsyncIterator[Api]:
    async with serving(module_postgres_url, webhook_networks=LOOPBACK) as application:
        yield application


@pytest.fixture
async def client(api: Api) -> httpx.AsyncClient:
    return await api.client("webhooks:manage")


def dispatcher(api: Api) -> WebhookDispatcher:
    return WebhookDispatcher(api.engine.database, api.engine.webhook_secrets, networks=(LOOPBACK,))


async def happens(api: Api, player: str = "p") -> None:
    event = OutgoingEvent(api.brand, player, "run.ended", datetime.now(UTC), {"run_id": "r"})
    async with api.engine.database.transaction() as connection:
        announce(connection, event)


async def test_a_subscription_hears_what_is_committed_after_its_answer_and_can_verify_it(
    api: Api, client: httpx.AsyncClient
) -> None:
    async with receiving() as receiver:
        await happens(api, "before")
        made = await client.post("/v1/webhooks", json={"url": receiver.url, "types": ["run.*"]})
        assert made.status_code == 201, made.text
        await happens(api, "after")
        await dispatcher(api).serve_once()

        (told,) = receiver.told
        assert told.player == "after"
        told.verify(made.json()["secret"])
        shown = (await client.get(f"/v1/webhooks/{made.json()['id']}")).json()
        assert "secret" not in shown
        assert shown | {"secret": made.json()["secret"]} == made.json()


async def test_what_is_stored_signs_nothing(api: Api, client: httpx.AsyncClient) -> None:
    made = (await client.post("/v1/webhooks", json={"url": "http://127.0.0.1:1/", "types": ["*"]})).json()
    stored = str(await rows(api.engine.database, webhook_subscriptions, id=made["id"]))
    assert made["secret"].removeprefix("whsec_") not in stored


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"url": "http://169.254.169.254/latest/meta-data", "types": ["*"]}, "/url"),
        ({"url": "https://10.0.0.1/", "types": ["*"]}, "/url"),
        ({"url": "file:///etc/passwd", "types": ["*"]}, "/url"),
        ({"url": "http://127.0.0.1/", "types": ["task.opend"]}, "/types"),
        ({"url": "http://127.0.0.1/", "types": []}, "/types"),
    ],
)
async def test_what_could_tell_nobody_anything_is_refused_with_its_place(
    api: Api, client: httpx.AsyncClient, body: dict[str, object], pointer: str
) -> None:
    answer = await client.post("/v1/webhooks", json=body)
    assert answer.status_code == 422
    assert [one["pointer"] for one in answer.json()["errors"]] == [pointer]
    assert await rows(api.engine.database, webhook_subscriptions, brand=api.brand) == []


async def test_a_trial_goes_to_its_subscription_alone_and_stands_among_the_deliveries(
    api: Api, client: httpx.AsyncClient
) -> None:
    async with receiving() as mine, receiving() as other:
        first = (await client.post("/v1/webhooks", json={"url": mine.url, "types": ["task.*"]})).json()["id"]
        await client.post("/v1/webhooks", json={"url": other.url, "types": ["*"]})
        tried = await client.post(f"/v1/webhooks/{first}/test")
        await dispatcher(api).serve_once()

        assert [one.type for one in mine.told] == ["webhook.test"]
        assert other.told == []
        (delivery,) = (await client.get(f"/v1/webhooks/{first}/deliveries")).json()["items"]
        assert delivery["event_id"] == tried.json()["event_id"] == mine.told[0].id
        assert (delivery["state"], delivery["last_status"]) == ("delivered", 204)


async def test_what_was_told_is_told_again_with_its_id(api: Api, client: httpx.AsyncClient) -> None:
    async with receiving() as receiver:
        made = (await client.post("/v1/webhooks", json={"url": receiver.url, "types": ["run.*"]})).json()["id"]
        await happens(api)
        await dispatcher(api).serve_once()
        now = datetime.now(UTC)
        times = {"since": (now - timedelta(hours=1)).isoformat(), "until": now.isoformat()}

        failed = await client.post(f"/v1/webhooks/{made}/redeliver", json=times)
        everything = await client.post(f"/v1/webhooks/{made}/redeliver", json=times | {"delivered_too": True})
        await dispatcher(api).serve_once()
        named = {"event_ids": [receiver.told[0].id], "delivered_too": True}
        by_id = await client.post(f"/v1/webhooks/{made}/redeliver", json=named)
        await dispatcher(api).serve_once()

        assert [answer.json()["events"] for answer in (failed, everything, by_id)] == [0, 1, 1]
        assert len(receiver.told) == 3
        assert len({one.id for one in receiver.told}) == 1
        assert (await client.post(f"/v1/webhooks/{made}/redeliver", json={})).status_code == 422


async def test_a_secret_is_rotated_with_an_overlap(api: Api, client: httpx.AsyncClient) -> None:
    async with receiving() as receiver:
        made = (await client.post("/v1/webhooks", json={"url": receiver.url, "types": ["*"]})).json()
        new = (await client.post(f"/v1/webhooks/{made['id']}/rotate")).json()["secret"]
        await happens(api)
        await dispatcher(api).serve_once()
        newest = (await client.post(f"/v1/webhooks/{made['id']}/rotate", json={"overlap_hours": 0})).json()["secret"]
        await happens(api)
        await dispatcher(api).serve_once()

        overlap, after = receiver.told
        overlap.verify(made["secret"])
        overlap.verify(new)
        after.verify(newest)
        assert len(after.headers["webhook-signature"].split()) == 1


async def test_one_that_is_stopped_hears_nothing_and_begins_again_with_what_it_had_not_heard(
    api: Api, client: httpx.AsyncClient
) -> None:
    async with receiving() as receiver:
        made = (await client.post("/v1/webhooks", json={"url": receiver.url, "types": ["*"]})).json()["id"]
        await happens(api, "before")
        stopped = await client.patch(f"/v1/webhooks/{made}", json={"active": False})
        await dispatcher(api).serve_once()
        assert (stopped.json()["state"], stopped.json()["reason"], receiver.told) == ("disabled", "by_hand", [])

        begun = await client.patch(f"/v1/webhooks/{made}", json={"active": True, "types": ["run.*"]})
        await happens(api, "after")
        await dispatcher(api).serve_once()
        assert (begun.json()["state"], begun.json()["types"]) == ("active", ["run.*"])
        assert [one.player for one in receiver.told] == ["before", "after"]

        assert (await client.delete(f"/v1/webhooks/{made}")).status_code == 204
        assert (await client.get(f"/v1/webhooks/{made}")).status_code == 404
        assert (await client.get("/v1/webhooks")).json()["items"] == []


def test_the_page_lists_every_type_with_its_fields() -> None:
    page = (Path(__file__).parent.parent.parent / "docs" / "webhooks.md").read_text()
    for name, one in OUTGOING_TYPES.items():
        fields = ", ".join(f"`{field}`" for field in one.fields)
        assert f"| `{name}` | {one.when} | {fields} |" in page
