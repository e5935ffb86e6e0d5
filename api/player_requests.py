"""What all pages of a player's own browser share: whose token it is, a press of a button, an answer with its ETag."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import orjson
from fastapi import Header, Response
from pydantic import BaseModel, Field
from sqlalchemy import select

from activities.player_commands import CommandKeyReused, PlayerCommand
from activities.tables import players
from api.dependencies import ApiEngine
from api.permissions import PLAYER, Key, needs
from api.problems import Problem
from workflows.json_object import JsonObject
from workflows.player_state.state import PlayerState

Player = Annotated[Key, needs(PLAYER)]
IfNoneMatch = Annotated[
    str | None, Header(max_length=255, description="The `ETag` of the last answer: 304 if it holds.")
]
PressKey = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="Made once for each press of the button, and sent again with it.",
        examples=["b0a7c3d2-6f1e-4a53-9d2b-1f0c9a8e7d65"],
    ),
]


class Pressed(BaseModel):
    """What a press of a button came to."""

    status: str = Field(examples=["done"])
    points: int = 0


def player_of(key: Key) -> str:
    """Whose token it is; `Needs` has made sure that it is one."""
    assert key.player_id is not None
    return key.player_id


async def press(engine: ApiEngine, key: Key, command: PlayerCommand) -> JsonObject:
    """Do what a button says, once for its key. Raises `Problem` where it is not done, or pressed too fast."""
    engine.presses.take(key)
    try:
        done = await engine.commands.do(command)
    except CommandKeyReused as reused:
        raise Problem("key-reused", str(reused)) from None
    if done["status"] == "done":
        return done
    reason = str(done["reason"])
    if reason in {"unknown", "unknown_player"}:
        raise Problem("not-found", f"There is no such thing for this player: {command.name[:64]}.")
    detail = f"It is not done: {reason.replace('_', ' ')}."
    again_at = {"again_at": done["again_at"]} if "again_at" in done else {}
    raise Problem("command-refused", detail, members={"reason": reason, **again_at})


async def me(engine: ApiEngine, key: Key) -> tuple[PlayerState, datetime]:
    """The player as the row has them; one of whom nothing was ever told has nothing."""
    player_id = player_of(key)
    mine = (players.c.brand == key.brand, players.c.id == player_id)
    async with engine.database.reading() as connection:
        stored = (await connection.execute(select(players.c.state).where(*mine))).scalar_one_or_none()
    return PlayerState.from_json(key.brand, player_id, stored or {}), engine.clock()


def answer(view: BaseModel | Sequence[BaseModel], known: str | None) -> Response:
    """The view with its ETag; 304 where the browser has it already."""
    content: Any = (
        view.model_dump(mode="json") if isinstance(view, BaseModel) else [one.model_dump(mode="json") for one in view]
    )
    body = orjson.dumps(content)
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if known is not None and etag in known:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)
