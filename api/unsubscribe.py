"""The unsubscribe link of every marketing message: one click, no log-in (RFC 8058)."""

import secrets
from html import escape

from fastapi import APIRouter, Response
from sqlalchemy import select

from activities.tables import players
from api.dependencies import ApiEngine, EngineOf
from api.problems import away, documented, missing
from workflows.events import ConsentChanged
from workflows.json_object import JsonObject
from workflows.player_state.consents import is_closed
from workflows.player_state.state import PlayerState

router = APIRouter(prefix="/v1/unsubscribe", tags=["unsubscribe"])

_RESPONSES: dict[int | str, JsonObject] = {
    200: {"description": "A page for the player.", "content": {"text/html": {"schema": {"type": "string"}}}},
    **documented(400, 404, 413, 422, 503),
}

#: Question, button, and what is said afterwards.
_TEXTS = {
    "en": ("Stop these messages?", "Unsubscribe", "Done: you will get no more of these messages."),
    "ru": ("Больше не получать эти сообщения?", "Отписаться", "Готово: такие сообщения больше не придут."),
    "uk": ("Більше не отримувати ці повідомлення?", "Відписатися", "Готово: таких повідомлень більше не буде."),
}


@router.get("/{token}", response_class=Response, responses=_RESPONSES)
async def show_unsubscribe(token: str, engine: EngineOf) -> Response:
    """Ask once. Reading the page changes nothing, because mail scanners open every link."""
    brand, player_id, _ = _read(engine, token)
    question, button, _ = await _texts(engine, brand, player_id)
    form = f'<form method="post"><button>{escape(button)}</button></form>'
    return page(f"<p>{escape(question)}</p>{form}")


@router.post("/{token}", response_class=Response, responses=_RESPONSES)
async def unsubscribe(token: str, engine: EngineOf) -> Response:
    """Withdraw the player's consent to the channel of the message. In force when it is answered."""
    brand, player_id, channel = _read(engine, token)
    if not await _is_withdrawn(engine, brand, player_id, channel):
        now = engine.clock()
        event = ConsentChanged.model_validate(
            {
                "event_id": secrets.token_hex(16),
                "event_source": "api:unsubscribe",
                "occurred_at": now,
                "channel": channel,
                "opted_in": False,
                "source": "unsubscribe_link",
            }
        )
        await engine.intake.ingest(brand, [(player_id, event)], now)
        # A consent given in the same moment is newer than the click: whoever clicked hears so, and clicks again.
        if not await _is_withdrawn(engine, brand, player_id, channel):
            raise away("The consent was given again meanwhile; nothing is withdrawn yet. Send this again.")
    *_, done = await _texts(engine, brand, player_id)
    return page(f"<p>{escape(done)}</p>")


async def _is_withdrawn(engine: ApiEngine, brand: str, player_id: str, channel: str) -> bool:
    state = await _state(engine, brand, player_id)
    return state is not None and is_closed(state.consents, channel)


def _read(engine: ApiEngine, token: str) -> tuple[str, str, str]:
    claims = engine.links.read(token)
    if claims is None:
        raise missing("link")
    return claims


async def _state(engine: ApiEngine, brand: str, player_id: str) -> PlayerState | None:
    async with engine.pools.protection.reading() as connection:
        query = select(players.c.state).where(players.c.brand == brand, players.c.id == player_id)
        state = (await connection.execute(query)).scalar_one_or_none()
    return None if state is None else PlayerState.from_json(brand, player_id, state)


async def _texts(engine: ApiEngine, brand: str, player_id: str) -> tuple[str, str, str]:
    state = await _state(engine, brand, player_id)
    language = str(state.facts.get("language", "en")) if state else "en"
    return _TEXTS.get(language[:2].lower(), _TEXTS["en"])


def page(body: str) -> Response:
    """A page for a player who followed a link of a message."""
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>·</title>'
    return Response(f"<!doctype html>{head}{body}", media_type="text/html")
