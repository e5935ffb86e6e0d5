"""A player's loyalty and pop-ups as they change, pushed to their browser as server-sent events.

Each event is a whole object and never a difference, so whoever missed some is right again with the next. The id of an
event says what of everything its reader has: sent back as `Last-Event-ID`, only what is other now is sent.
"""

import asyncio
import hashlib
import math
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Annotated, Final

import orjson
from fastapi import APIRouter, Header
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from sqlalchemy import select

from activities.loyalty_tables import shop_purchases
from activities.shop_purchases import PURCHASE_COLUMNS, Purchase
from api.dependencies import ApiEngine, EngineOf
from api.permissions import Key
from api.player_requests import Player, me, player_of
from api.player_shop import PurchaseView
from api.player_site import badges_view, loyalty_view, mission_views, tier_view
from api.popups import waiting_popups
from api.problems import COMMON, Problem, documented

router = APIRouter(prefix="/v1/me", tags=["loyalty"])

#: Seconds after which a stream on which nothing happens says that it lives, and shows what time alone has changed.
HEARTBEAT: Final = 15.0
#: Seconds between two looks at a player who does not stop changing.
LOOKS_APART: Final = 1.0
#: Streams of one player in a process, and of all of them.
MOST_OF_PLAYER: Final = 5
MOST: Final = 2_000
#: Milliseconds after which a browser that lost its stream asks again.
RETRY_MS: Final = 2_000
#: Purchases that are shown, the newest first.
PURCHASES: Final = 10
#: Longest `Last-Event-ID` that is read; one that is longer or wrong has everything sent.
LONGEST_ID: Final = 500

LastEventId = Annotated[
    str | None,
    Header(
        max_length=LONGEST_ID, description="The `id` of the last event that was read: only what is other now is sent."
    ),
]


@router.get(
    "/stream",
    response_class=StreamingResponse,
    responses={
        **COMMON,
        **documented(429),
        200: {
            "content": {"text/event-stream": {}},
            "description": "`balance`, `tier`, `mission`, `badge`, `shop`, `popup`.",
        },
    },
)
async def my_stream(engine: EngineOf, key: Player, last_event_id: LastEventId = None) -> StreamingResponse:
    """The player's balances, tier, missions, badges, purchases and pop-ups, each whenever it changes.

    It lasts until the token is over. A pop-up is told until it was seen, which the page says by `POST
    /v1/me/popups/{id}/seen`, or it is not to be shown any more.

    Five at a time for one player, and one more a second; more are answered with 429.
    """
    engine.streams.take(key)
    watch = engine.watch
    if watch.of_player(key.brand, player_of(key)) >= MOST_OF_PLAYER or watch.all >= MOST:
        raise Problem("busy", "There are as many streams as there may be.", headers={"Retry-After": "5"})
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_frames(engine, key, last_event_id), media_type="text/event-stream", headers=headers)


async def _frames(engine: ApiEngine, key: Key, last_event_id: str | None) -> AsyncIterator[bytes]:
    known = _known(last_event_id)
    with engine.watch.watching(key.brand, player_of(key)) as changed:
        yield f"retry: {RETRY_MS}\n\n".encode()
        looked = -math.inf
        while (left := _seconds_left(engine, key)) > 0:
            await asyncio.sleep(looked + LOOKS_APART - time.monotonic())
            looked = time.monotonic()
            changed.clear()
            for topic, body in (await _topics(engine, key)).items():
                mark = hashlib.sha256(body).hexdigest()[:10]
                if known.get(topic) != mark:
                    known[topic] = mark
                    said = ",".join(f"{name}={each}" for name, each in known.items())
                    yield b"id: %s\nevent: %s\ndata: %s\n\n" % (said.encode(), topic.encode(), body)
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), min(HEARTBEAT, left))
                continue
            yield b": here\n\n"


def _seconds_left(engine: ApiEngine, key: Key) -> float:
    assert key.expires_at is not None
    return (key.expires_at - engine.clock()) / timedelta(seconds=1)


async def _topics(engine: ApiEngine, key: Key) -> Mapping[str, bytes]:
    """Everything that is shown, as JSON."""
    state, now = await me(engine, key)
    program = engine.intake.rules.loyalty
    mine = (shop_purchases.c.brand == key.brand, shop_purchases.c.player_id == player_of(key))
    newest = select(*PURCHASE_COLUMNS).where(*mine).order_by(shop_purchases.c.at.desc(), shop_purchases.c.id.desc())
    purchases: list[PurchaseView] = []
    if program.shop:
        async with engine.database.reading() as connection:
            rows = await connection.execute(newest.limit(PURCHASES))
            purchases = [PurchaseView.of(Purchase(*row)) for row in rows]
    topics: dict[str, BaseModel | list[BaseModel]] = {
        "balance": loyalty_view(state, now),
        "tier": tier_view(program, state, now),
        "mission": [*mission_views(program, state, now)],
        "badge": badges_view(program, state),
        "shop": [*purchases],
        "popup": [*await waiting_popups(engine, key.brand, player_of(key))],
    }
    return {topic: orjson.dumps(_plain(view)) for topic, view in topics.items()}


def _plain(view: BaseModel | list[BaseModel]) -> object:
    return [one.model_dump(mode="json") for one in view] if isinstance(view, list) else view.model_dump(mode="json")


def _known(last_event_id: str | None) -> dict[str, str]:
    """What the reader has, by topic; what is no id of ours has nothing."""
    parts = [part.partition("=") for part in (last_event_id or "").split(",")]
    return {topic: mark for topic, _, mark in parts if topic.isalpha() and len(mark) == 10 and mark.isalnum()}
