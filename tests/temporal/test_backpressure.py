"""Back-pressure: while no dispatcher works deliveries pile up, and callers are told to come again."""

import asyncio
import itertools
import json
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from prometheus_client import REGISTRY
from segment.analytics.client import Client as Segment  # type: ignore[import-untyped]
from temporalio.client import Client

from activities.database import Database
from activities.importing.event_sender import EventItem, Events, Receipt, feed
from activities.intake.backpressure import LATEST, READ_EVERY, UNKNOWN, Pressure, protects
from activities.intake.intake import Intake
from activities.run_delivery.dispatcher import Dispatcher
from activities.settings import Settings
from activities.tables import deliveries, events
from local.ports import free_port
from local.supervisor import Service, http_ok
from tests.support.api_client import Api, serving
from tests.support.engine import connected, execute, rows
from tests.support.machine import eventually, promised, within
from tests.support.servers import running
from workflows.events import (
    CATALOGUE,
    ConsentChanged,
    Event,
    ExclusionSet,
    HarmSignal,
    MessageReceived,
    MessageStatus,
    PlayerMerged,
    PlayerRegistered,
    PromotionsPaused,
    StatusChanged,
)

HIGH, LOW = 6, 4
SINGLE = {"Content-Type": "application/cloudevents+json"}
BATCH = {"Content-Type": "application/cloudevents-batch+json"}
STREAM = {"Content-Type": "application/x-ndjson"}
PROTECTING: dict[str, dict[str, Any]] = {
    "compliance.exclusion_set": {"kind": "self_exclusion"},
    "compliance.harm_signal": {"indicator": "chasing", "strength": "weak"},
    "player.status_changed": {"to": "suspended"},
    "consent.changed": {"channel": "email", "opted_in": False},
}


class Timer:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def api(postgres_url: str) -> AsyncIterator[Api]:
    async with serving(postgres_url, backlog_high=HIGH, backlog_low=LOW, batch_limit=10) as served:
        served.engine.pressure.timer = itertools.count().__next__  # every look is a fresh one
        yield served


@pytest.fixture
async def backend(api: Api) -> httpx.AsyncClient:
    return await api.client("events:write")


@pytest.fixture
def dispatcher(api: Api, temporal: Client) -> Dispatcher:
    return Dispatcher(api.engine.database, temporal, api.engine.registry)


def wire(kind: str, number: object = 1, /, **data: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": f"{kind}-{number}",
        "source": "/test",
        "type": f"igaming.{kind}.v1",
        "subject": f"p-{number}",
        "data": data,
    }


def registered(number: object) -> dict[str, Any]:
    return wire("player.registered", number, language="en")


def login(number: object = 1) -> dict[str, Any]:
    return wire("session.login", number)


async def pile_up(api: Api) -> None:
    """Players enter the welcome journey and nobody tells Temporal. The API has not looked yet."""
    now = datetime.now(UTC)
    about: dict[str, Any] = {"event_source": "/test", "occurred_at": now, "language": "en"}
    happened = [(f"early-{n}", PlayerRegistered(event_id=f"registered-{n}", **about)) for n in range(10)]
    await Intake(api.engine.database, api.engine.intake.rules).ingest(api.brand, happened, now)


async def drained(dispatcher: Dispatcher) -> None:
    while await dispatcher.run_once():
        pass


async def kept(api: Api) -> list[str]:
    return [row["id"] for row in await rows(api.engine.database, events, brand=api.brand)]


class TestEvents:
    async def test_while_deliveries_pile_up_a_caller_is_told_to_come_again_and_then_is_served(
        self, api: Api, backend: httpx.AsyncClient, dispatcher: Dispatcher
    ) -> None:
        before = REGISTRY.get_sample_value("journeys_events_held_back_total") or 0
        await pile_up(api)
        answer = await backend.post("/v1/events", json=login(), headers=SINGLE)
        assert (answer.status_code, answer.headers["content-type"]) == (429, "application/problem+json")
        assert 1 <= int(answer.headers["Retry-After"]) <= LATEST * 1.25
        problem = answer.json()
        assert (problem["type"], problem["later"], problem["accepted"]) == ("urn:journeys:problem:busy", 1, 0)
        assert problem["results"] == [{"id": "session.login-1", "source": "/test", "status": "later"}]
        assert "session.login-1" not in await kept(api)
        assert REGISTRY.get_sample_value("journeys_events_held_back_total") == before + 1
        assert (REGISTRY.get_sample_value("journeys_delivery_backlog") or 0) >= HIGH
        await drained(dispatcher)
        assert (await backend.post("/v1/events", json=login(), headers=SINGLE)).status_code == 202
        assert "session.login-1" in await kept(api)
        assert REGISTRY.get_sample_value("journeys_delivery_backlog") == 0

    async def test_the_no_is_told_at_once(self, api: Api, backend: httpx.AsyncClient) -> None:
        await pile_up(api)
        api.engine.pressure.timer = time.monotonic
        took = []
        for _ in range(5):
            began = time.perf_counter()
            answer = await backend.post("/v1/events", json=[login(n) for n in range(10)], headers=BATCH)
            took.append(time.perf_counter() - began)
            assert answer.status_code == 429
        assert min(took) < promised(0.1)

    @pytest.mark.parametrize("kind", PROTECTING)
    async def test_what_protects_a_player_is_never_told_to_wait(
        self, api: Api, backend: httpx.AsyncClient, kind: str
    ) -> None:
        await pile_up(api)
        urgent = wire(kind, **PROTECTING[kind])
        answer = await backend.post("/v1/events", json=urgent, headers=SINGLE)
        assert (answer.status_code, answer.json()["accepted"]) == (202, 1)
        assert f"{kind}-1" in await kept(api)

    async def test_of_a_batch_what_protects_is_kept_and_the_whole_may_come_again(
        self, api: Api, backend: httpx.AsyncClient, dispatcher: Dispatcher
    ) -> None:
        await pile_up(api)
        urgent = [wire(kind, **data) for kind, data in PROTECTING.items()]
        batch = [login(1), *urgent, "nonsense", login(2)]
        answer = await backend.post("/v1/events", json=batch, headers=BATCH)
        assert answer.status_code == 429
        statuses = [result["status"] for result in answer.json()["results"]]
        assert statuses == ["later", *["accepted"] * len(urgent), "rejected", "later"]
        assert {name for name in await kept(api) if "registered" not in name} == {one["id"] for one in urgent}
        await drained(dispatcher)
        again = await backend.post("/v1/events", json=batch, headers=BATCH)
        assert again.status_code == 202
        statuses = [result["status"] for result in again.json()["results"]]
        assert statuses == ["accepted", *["duplicate"] * len(urgent), "rejected", "accepted"]

    async def test_an_exclusion_by_hand_passes(self, api: Api, backend: httpx.AsyncClient) -> None:
        await pile_up(api)
        answer = await backend.post("/v1/players/p-1/exclusion", json={"kind": "self_exclusion"})
        assert answer.status_code == 202

    async def test_history_causes_no_deliveries_and_never_waits(self, api: Api, backend: httpx.AsyncClient) -> None:
        await pile_up(api)
        answer = await backend.post("/v1/events", params={"mode": "history"}, json=[login()], headers=BATCH)
        assert (answer.status_code, answer.json()["accepted"]) == (202, 1)

    async def test_a_stream_is_kept_up_to_where_it_was_too_much_and_of_the_rest_what_protects(
        self, api: Api, backend: httpx.AsyncClient, dispatcher: Dispatcher
    ) -> None:
        urgent = wire("compliance.exclusion_set", "late", kind="self_exclusion")
        lines = [*(registered(n) for n in range(10)), *(login(20 + n) for n in range(15)), urgent, login(99)]
        body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        answer = await backend.post("/v1/events", content=body, headers=STREAM)
        assert answer.status_code == 429
        told = answer.json()
        assert (told["lines_kept"], told["accepted"], told["later"]) == (10, 11, 16)
        assert sorted(await kept(api)) == sorted([*(line["id"] for line in lines[:10]), urgent["id"]])
        await drained(dispatcher)
        again = await backend.post("/v1/events", content=body, headers=STREAM)
        assert (again.status_code, again.json()["accepted"], again.json()["duplicate"]) == (202, 16, 11)

    async def test_a_stream_that_was_told_to_wait_keeps_its_order_though_the_backlog_drains(
        self, api: Api, backend: httpx.AsyncClient
    ) -> None:
        await pile_up(api)

        async def body() -> AsyncIterator[bytes]:
            for number in range(10):
                yield json.dumps(login(number)).encode() + b"\n"
            await execute(api.engine.database, "DELETE FROM deliveries")
            for number in range(10, 20):
                yield json.dumps(login(number)).encode() + b"\n"

        answer = await backend.post("/v1/events", content=body(), headers=STREAM)
        assert (answer.status_code, answer.json()["later"], answer.json()["lines_kept"]) == (429, 20, 0)


class TestDialects:
    async def test_fast_track_hears_it_for_a_payment_and_never_for_a_block(
        self, api: Api, backend: httpx.AsyncClient, dispatcher: Dispatcher
    ) -> None:
        await pile_up(api)
        about = {"user_id": "p-1", "timestamp": datetime.now(UTC).isoformat(), "origin": "example.com"}
        money = {"payment_id": "1", "type": "Credit", "status": "Approved", "amount": 5, "currency": "EUR"}
        answer = await backend.post("/v1/integration/payment", json=about | money)
        assert (answer.status_code, answer.json()["later"]) == (429, 1)
        block = {"blocks": [{"type": "Excluded", "active": True, "note": ""}]}
        assert (await backend.post("/v1/integration/user/blocks", json=about | block)).status_code == 202
        consent = {"consents": [{"type": "email", "opted_in": False}]}
        assert (await backend.post("/v1/integration/user/consents", json=about | consent)).status_code == 202
        await drained(dispatcher)
        assert (await backend.post("/v1/integration/payment", json=about | money)).json()["status"] == "accepted"

    async def test_segments_library_waits_as_long_as_it_is_told_and_loses_nothing(
        self, api: Api, dispatcher: Dispatcher, postgres_url: str, session_folder: Path
    ) -> None:
        await pile_up(api)
        port = free_port()
        service = Service(
            name=f"api-{port}",
            command=(sys.executable, "-m", "cli", "serve", "--port", str(port)),
            environment={
                "DATABASE_URL": postgres_url,
                "LINK_SECRETS": "a-secret-that-only-tests-know-of",
                "BACKLOG_HIGH": str(HIGH),
                "BACKLOG_LOW": str(LOW),
            },
            ready=lambda _: http_ok(f"http://127.0.0.1:{port}/livez"),
        )
        failed: list[Exception] = []
        async with running(service, session_folder):
            site = Segment(
                await api.key("events:write"),
                host=f"http://127.0.0.1:{port}",
                on_error=lambda error, _: failed.append(error),
                upload_interval=0.05,
            )
            site.track("p-1", "Logged In", message_id="login-1")
            site.track("p-1", "Unsubscribed", {"channel": "email"}, message_id="out-1")

            # Withdrawing is kept with the answer that tells the rest to come again.
            async def withdrawn() -> bool:
                return "out-1" in await kept(api)

            await eventually(withdrawn)
            assert "login-1" not in await kept(api)
            await drained(dispatcher)
            await asyncio.to_thread(site.shutdown)
        assert failed == []
        assert {"login-1", "out-1"} <= set(await kept(api))


class TestImport:
    async def test_an_import_waits_as_long_as_the_api_asks_and_says_so(
        self, api: Api, backend: httpx.AsyncClient, dispatcher: Dispatcher
    ) -> None:
        await pile_up(api)
        told: list[Receipt] = []
        # It would give up at once if the API were away.
        posts = Events(backend, "http://api", await api.key("events:write"), retry_for=timedelta(0))
        task = asyncio.create_task(
            feed(
                [EventItem(json.dumps(login()).encode(), "p-1")], posts, "live", lambda _, receipt: told.append(receipt)
            )
        )
        await eventually(lambda: posts.waiting)
        assert posts.waiting.startswith("waiting for the API, it asks to wait ")
        await drained(dispatcher)
        async with within(60):
            await task
        assert (told, posts.waiting) == ([Receipt("accepted")], "")

    async def test_an_import_that_waits_can_be_stopped(self, api: Api, backend: httpx.AsyncClient) -> None:
        await pile_up(api)
        stop = asyncio.Event()
        told: list[Receipt] = []
        posts = Events(backend, "http://api", await api.key("events:write"))
        items = [EventItem(json.dumps(login(n)).encode(), f"p-{n}") for n in range(40)]
        task = asyncio.create_task(feed(items, posts, "live", lambda _, one: told.append(one), stop=stop, batch=5))
        await eventually(lambda: posts.waiting)
        stop.set()
        async with within(60):
            await task
        assert told == []


class TestGauge:
    @pytest.fixture
    async def database(self, postgres_url: str) -> AsyncIterator[Database]:
        async with connected(postgres_url) as database:
            yield database

    @pytest.fixture
    def timer(self) -> Timer:
        return Timer()

    @pytest.fixture
    def pressure(self, database: Database, timer: Timer) -> Pressure:
        settings = Settings(database_url=database.url, backlog_high=100, backlog_low=50)
        return Pressure(database, settings, timer=timer)

    async def waiting(self, database: Database, count: int, timer: Timer) -> None:
        """So many deliveries wait, and the last reading is old."""
        await execute(database, "DELETE FROM deliveries WHERE seq > :count", count=count)
        await execute(
            database,
            "INSERT INTO deliveries (run_id, seq, brand, kind, payload) "
            "SELECT 'r' || n, n, 'acme', 'event', '{}' FROM generate_series(1, :count) n ON CONFLICT DO NOTHING",
            count=count,
        )
        timer.now += READ_EVERY

    async def test_it_is_high_from_the_upper_mark_until_below_the_lower_one(
        self, database: Database, pressure: Pressure, timer: Timer
    ) -> None:
        seen = []
        for count in (0, 99, 100, 60, 50, 49, 60, 99):
            await self.waiting(database, count, timer)
            seen.append(await pressure.is_high())
        assert seen == [False, False, True, True, True, False, False, False]

    async def test_it_asks_postgres_once_a_second_however_many_ask_it(
        self, database: Database, pressure: Pressure, timer: Timer
    ) -> None:
        looks: list[str] = []

        def looked(*call: Any) -> None:
            looks.append(call[2])

        sa.event.listen(database.engine.sync_engine, "before_cursor_execute", looked)
        for _ in range(3):
            timer.now += READ_EVERY
            await asyncio.gather(*(pressure.is_high() for _ in range(200)))
        assert len(looks) == 3

    async def test_retry_after_is_how_long_the_backlog_takes_to_get_low(
        self, database: Database, pressure: Pressure, timer: Timer
    ) -> None:
        await self.waiting(database, 150, timer)
        await pressure.is_high()
        assert UNKNOWN <= pressure.retry_after <= UNKNOWN * 1.25 + 1
        # Postgres counts what a session deleted when its transaction ends and a second has passed; here at once.
        async with database.transaction() as connection:
            await connection.execute(sa.delete(deliveries).where(deliveries.c.seq > 140))
            await connection.execute(sa.text("SELECT pg_stat_force_next_flush()"))
        timer.now += READ_EVERY
        await pressure.is_high()
        # Ninety too many at ten a second.
        assert 9 <= pressure.retry_after <= 12
        for _ in range(60):
            timer.now += READ_EVERY
            await pressure.is_high()
        assert LATEST <= pressure.retry_after <= LATEST * 1.25 + 1

    async def test_a_backlog_is_counted_no_further_than_twice_the_mark(
        self, database: Database, pressure: Pressure, timer: Timer
    ) -> None:
        await self.waiting(database, 1_000, timer)
        await pressure.is_high()
        assert REGISTRY.get_sample_value("journeys_delivery_backlog") == 200
        ago = "now() - interval '90 seconds'"
        await execute(database, f"UPDATE deliveries SET due_at = {ago}, created_at = {ago} WHERE seq = 7")
        timer.now += READ_EVERY
        await pressure.is_high()
        assert 89 < (REGISTRY.get_sample_value("journeys_oldest_delivery_seconds") or 0) < 120


def test_only_what_takes_something_away_from_us_protects() -> None:
    examples = [kind.example() for kind in CATALOGUE.values()]
    found = {type(event) for event in examples if protects(event)}
    assert found == {ExclusionSet, HarmSignal, MessageReceived, PromotionsPaused, StatusChanged, PlayerMerged}
    lifting: list[Event] = [StatusChanged.example().model_copy(update={"to": "active"}), ConsentChanged.example()]
    assert not any(protects(event) for event in lifting)
    assert protects(ConsentChanged.example().model_copy(update={"opted_in": False}))
    told = [MessageStatus.example().model_copy(update={"status": status}) for status in ("complained", "bounced")]
    assert [protects(event) for event in told] == [True, False]
