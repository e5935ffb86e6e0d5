"""Everything that is kept of a player, as one archive to hand to them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Final

from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.player_export import begin, rows_of, tables
from activities.tables import players
from api.dependencies import ApiEngine, EngineOf
from api.permissions import Key, needs
from api.problems import COMMON, Problem, documented, missing
from content.player_archive import PlayerArchive

router = APIRouter(prefix="/v1/players", tags=["players"])

#: Exports at a time in a process: each holds a connection until its reader has all of it.
AT_ONCE: Final = 2
RETRY_AFTER_S: Final = 10
_TURNS: Final = asyncio.Semaphore(AT_ONCE)


@router.get(
    "/{player_id}/export",
    response_class=StreamingResponse,
    responses={
        **COMMON,
        **documented(404, 429),
        200: {"content": {"application/zip": {}}, "description": "A ZIP of `player.json` and `index.html`."},
    },
)
async def export_player(
    player_id: str, engine: EngineOf, key: Annotated[Key, needs("players:export")]
) -> StreamingResponse:
    """Everything kept of a player at one moment: a document for machines, and a page for people (GDPR art. 15 and 20).

    It is streamed; two at a time in a process, more are answered with 429. A reader who stops reading for a minute is
    cut off. Other accounts of the person are exported by themselves.
    """
    async with engine.database.reading() as connection:
        here = select(players.c.id).where(players.c.brand == key.brand, players.c.id == player_id)
        if (await connection.execute(here)).one_or_none() is None:
            raise missing("player")
    if _TURNS.locked():
        raise Problem(
            "busy", "Two exports are under way; ask again later.", headers={"Retry-After": str(RETRY_AFTER_S)}
        )
    name = "".join(letter if letter.isalnum() else "-" for letter in player_id)
    return StreamingResponse(
        _archive(engine, key.brand, player_id),
        media_type="application/zip",
        headers={"Content-Disposition": f'attachment; filename="player-{name}.zip"', "Cache-Control": "no-store"},
    )


async def _archive(engine: ApiEngine, brand: str, player_id: str) -> AsyncIterator[bytes]:
    archive = PlayerArchive(player_id, engine.clock())
    try:
        async with _TURNS, engine.database.transaction() as connection:
            await begin(connection)
            yield archive.begin_document()
            async for piece in _tables(connection, brand, player_id, archive):
                yield piece
            yield archive.begin_page()
            async for piece in _tables(connection, brand, player_id, archive):
                yield piece
        yield archive.end()
    finally:
        archive.give_up()


async def _tables(
    connection: AsyncConnection, brand: str, player_id: str, archive: PlayerArchive
) -> AsyncIterator[bytes]:
    for table in tables():
        yield archive.table(table)
        async for row in rows_of(connection, brand, player_id, table):
            if piece := archive.row(row):
                yield piece
