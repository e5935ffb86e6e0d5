"""The stream of a player's page: whole objects when they change, nothing twice, and an end with its token."""

import time
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import pairwise
from typing import Any
from urllib.parse import quote

import httpx
import orjson
import pytest
from sqlalchemy import insert

from activities.player_watch import PlayerWatch
from activities.tables import messages
from api.permissions import Key, player_key
from api.player_stream import LOOKS_APART, MOST_OF_PLAYER, _frames
from tests.support.api_client import Api, serving
from tests.support.engine import HeldTimer
from tests.support.machine import unhurried, within
from workflows import PlayerRegistered, RoundCompleted
from workflows.events import Event


@pytest.fixture(scope="module")
async def served(module_postgres_url: str) -> AsyncIterator[Api]:
    async with serving(module_postgres_url, journeys="tests.support.shop_journeys") as application:
        yield application


class Reader:
    """Somebody who reads the stream of one player, as a browser would."""

    def __init__(self, api: Api, player: str) -> None:
        self.api, self.player, self.told = api, player, 0
        self.token = api.engine.player_tokens.token(api.brand, player, api.engine.clock())

    @property
    def key(self) -> Key:
        found = player_key(self.api.engine.player_tokens, f"Bearer {self.token}", self.api.engine.clock())
        assert found is not None
        return found

    def frames(self, last: str | None = None) -> AsyncIterator[bytes]:
        return _frames(self.api.engine, self.key, last)

    async def plays(self, stake: int) -> None:
        self.told += 1
        now = self.api.engine.clock()
        data: dict[str, Any] = {**RoundCompleted.example_data, "round_id": f"{self.player}-{self.told}"}
        event: Event = RoundCompleted(
            event_id=f"{self.player}-{self.told}", event_source="/t", occurred_at=now, **data | {"stake_minor": stake}
        )
        await self.api.engine.intake.ingest(self.api.brand, [(self.player, event)], now)


def parts(frame: bytes) -> dict[str, str]:
    """An event's fields."""
    return dict(line.split(": ", 1) for line in frame.decode().strip().splitlines())


async def first_look(frames: AsyncIterator[bytes]) -> dict[str, dict[str, str]]:
    """The first look: the hint when to ask again, and each topic once."""
    assert (await anext(frames)).startswith(b"retry: ")
    told = [parts(await anext(frames)) for _ in range(6)]
    return {one["event"]: one for one in told}


async def test_a_stream_begins_with_everything_and_goes_on_with_what_changed(api: Api) -> None:
    reader = Reader(api, "s-1")
    await reader.plays(10_000)
    frames = reader.frames()
    told = await first_look(frames)
    assert {*told} == {"balance", "tier", "mission", "badge", "shop", "popup"}
    assert orjson.loads(told["balance"]["data"])["points"][0]["available"] == 100
    await reader.plays(20_000)
    async with within(60):
        changed = parts(await anext(frames))
    assert changed["event"] == "balance"
    assert orjson.loads(changed["data"])["points"][0]["available"] == 300
    await frames.aclose()  # type: ignore[attr-defined]  # it is a generator


async def test_who_comes_back_with_the_last_id_is_sent_only_what_is_other_now(api: Api) -> None:
    reader = Reader(api, "s-2")
    await reader.plays(10_000)
    frames = reader.frames()
    last = (await first_look(frames))["popup"]["id"]
    await frames.aclose()  # type: ignore[attr-defined]
    assert api.engine.watch.of_player(api.brand, "s-2") == 0
    await reader.plays(10_000)
    frames = reader.frames(last)
    assert (await anext(frames)).startswith(b"retry: ")
    assert parts(await anext(frames))["event"] == "balance"
    await frames.aclose()  # type: ignore[attr-defined]


async def test_what_is_no_id_of_ours_has_everything_sent(api: Api) -> None:
    reader = Reader(api, "s-3")
    frames = reader.frames("nonsense,balance=,=,tier=zz\x00")
    assert len(await first_look(frames)) == 6
    await frames.aclose()  # type: ignore[attr-defined]


async def test_a_stream_ends_with_its_token(api: Api) -> None:
    reader = Reader(api, "s-4")
    owner = reader.key

    async def attempt(lasts: timedelta) -> None:
        over = Key(**{**vars(owner), "expires_at": api.engine.clock() + lasts})
        async with within(60):
            frames = [one async for one in _frames(api.engine, over, None)]
        assert len(frames) >= 6

    await unhurried(attempt)


async def test_a_player_has_so_many_streams_and_no_more(api: Api) -> None:
    reader = Reader(api, "s-5")
    watch: PlayerWatch = api.engine.watch
    held = [watch.watching(api.brand, "s-5") for _ in range(MOST_OF_PLAYER)]
    for one in held:
        one.__enter__()
    headers = {"Authorization": f"Bearer {reader.token}"}
    refused: httpx.Response = await api.anonymous.get("/v1/me/stream", headers=headers)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
    for one in held:
        one.__exit__(None, None, None)


async def test_a_player_opens_five_streams_at_once_and_then_one_a_second(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = Reader(api, "s-6")
    monkeypatch.setattr(api.engine.streams, "_timer", HeldTimer())
    for _ in range(MOST_OF_PLAYER):
        api.engine.streams.take(reader.key)
    refused = await api.anonymous.get("/v1/me/stream", headers={"Authorization": f"Bearer {reader.token}"})
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")


async def test_a_player_who_does_not_stop_changing_is_told_of_once_a_second(api: Api) -> None:
    reader = Reader(api, "s-7")
    await reader.plays(10_000)
    frames = reader.frames()
    await first_look(frames)
    told: list[float] = []
    for number in range(3):
        await reader.plays(10_000 * (number + 1))
        async with within(60):
            await anext(frames)
        told.append(time.monotonic())
    # One may have been told late, and the next comes sooner after it.
    apart = [later - earlier for earlier, later in pairwise(told)]
    assert max(apart) >= LOOKS_APART / 2, "what changed meanwhile is told with the next"
    await frames.aclose()  # type: ignore[attr-defined]  # it is a generator


async def test_a_popup_is_told_when_it_is_sent_and_gone_when_it_was_seen(api: Api) -> None:
    reader = Reader(api, "s-popup")
    await reader.plays(10_000)
    now = api.engine.clock()
    agreed = {**PlayerRegistered.example_data, "timezone": "UTC", "opted_in": ("in_app",), "is_test": False}
    told = PlayerRegistered(event_id="s-popup", event_source="/t", occurred_at=now, **agreed)
    await api.engine.intake.ingest(api.brand, [("s-popup", told)], now)
    frames = reader.frames()
    assert orjson.loads((await first_look(frames))["popup"]["data"]) == []
    message_id = f"{api.brand}/help#1/popup"
    row = {"id": message_id, "brand": api.brand, "player_id": "s-popup", "run_id": "r", "step": "help", "journey": "j"}
    row |= {"template": "help", "channel": "popup", "message_class": "marketing", "status": "sent", "body": "Help?"}
    async with api.engine.database.transaction() as connection:
        at = {"created_at": api.engine.clock(), "decision": {"rule": None, "seen": {"product": "casino"}}}
        await connection.execute(insert(messages).values(**row, **at))
    async with within(60):
        opened = parts(await anext(frames))
    assert (opened["event"], [one["body"] for one in orjson.loads(opened["data"])]) == ("popup", ["Help?"])
    page = await api.client_with(reader.token)
    assert (await page.post(f"/v1/me/popups/{quote(message_id, safe='')}/seen")).status_code == 204
    async with within(60):
        gone = parts(await anext(frames))
    assert (gone["event"], gone["data"]) == ("popup", "[]")
    await frames.aclose()  # type: ignore[attr-defined]  # it is a generator
