"""What people noted about a player, and who looks after them."""

from datetime import datetime
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.actors import Actor
from activities.people import find_person
from activities.player_hosts import hosts_of, set_host
from activities.player_notes import add_note, notes_of
from activities.player_rows import lock_state
from activities.tables import players
from api.dependencies import ApiEngine, EngineOf
from api.json_types import Line, Prose
from api.pagination import Page, PageQuery
from api.permissions import Key, acts, needs
from api.problems import COMMON, Problem, documented, missing

router = APIRouter(prefix="/v1/players/{player_id}", tags=["players"])

Reading = Annotated[Key, needs("players:read")]
Working = Annotated[Actor, acts("tasks:work")]

#: Hosts of a player that are shown, the present one first.
HOSTS_SHOWN: Final = 50


class NoteBody(BaseModel):
    """Something to remember about a player. It is personal data and is erased with them."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"kind": "life_fact", "text": "Her daughter finished school.", "source": "told on the phone"}]
        },
    )

    text: Prose
    kind: Literal["note", "life_fact", "contact"] = Field(
        "note", description="`contact`: a call or a letter; `life_fact`: what the player told of their life."
    )
    source: Line | None = Field(None, description="Where it is from, such as the player's own words.")


class NoteView(NoteBody):
    """A note with its author."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "id": 17,
                    "at": "2026-01-15T12:00:00Z",
                    "author": "olena@example.com",
                    "kind": "life_fact",
                    "text": "Her daughter finished school.",
                    "source": "told on the phone",
                }
            ]
        },
    )

    id: int
    at: datetime
    author: str


class NoteQuery(PageQuery):
    """Which notes."""


class HostBody(BaseModel):
    """Who looks after the player from now on; nobody without a person."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"person": "olena@example.com"}]})

    person: Line | None = Field(None, description="Somebody's address or id, who works in the brand.")


class HostView(BaseModel):
    """Somebody who looks after the player, or did until a moment."""

    model_config = ConfigDict(from_attributes=True)

    email: str
    name: str
    since: datetime
    given_by: str
    until: datetime | None = None


class HostList(BaseModel):
    """The hosts of a player, the newest first; the first of them is theirs now where it has no `until`."""

    items: list[HostView]


@router.get("/notes", responses={**COMMON, **documented(404)})
async def list_notes(
    player_id: str, engine: EngineOf, key: Reading, query: Annotated[NoteQuery, Query()]
) -> Page[NoteView]:
    """What people noted about a player, the newest first."""
    whose = f"{key.brand} {player_id}"
    after = query.after(whose, int)
    async with engine.database.reading() as connection:
        await _known(connection, key.brand, player_id)
        found = await notes_of(connection, (key.brand, player_id), query.size + 1, after[0] if after else None)
    page, token = query.page(whose, found, lambda note: (note.id,))
    return Page(items=[NoteView.model_validate(note) for note in page], next_page_token=token)


@router.post("/notes", status_code=201, responses={**COMMON, **documented(404, 409)})
async def write_note(player_id: str, body: NoteBody, engine: EngineOf, actor: Working) -> NoteView:
    """Note something about a player; 409 about one who was erased and has not come back."""
    async with engine.database.transaction() as connection:
        # Locked, so that an erasure comes before the note or finds it.
        state = await lock_state(connection, actor.brand, player_id)
        if state is None:
            raise missing("player")
        if state.is_erased:
            raise Problem("player-protected", "The player was erased: nothing about them is noted any more.")
        note = await add_note(
            connection, (actor.brand, player_id), actor.name, body.kind, body.text, engine.clock(), body.source
        )
    return NoteView.model_validate(note)


async def read_hosts(engine: ApiEngine, brand: str, player_id: str) -> list[HostView]:
    """Who looks after a player, and who did; of nobody nothing."""
    async with engine.database.reading() as connection:
        found = await hosts_of(connection, brand, player_id, HOSTS_SHOWN)
    return [HostView.model_validate(host) for host in found]


@router.get("/hosts", responses={**COMMON, **documented(404)})
async def list_hosts(player_id: str, engine: EngineOf, key: Reading) -> HostList:
    """Who looks after a player, and who did."""
    async with engine.database.reading() as connection:
        await _known(connection, key.brand, player_id)
        found = await hosts_of(connection, key.brand, player_id, HOSTS_SHOWN)
    return HostList(items=[HostView.model_validate(host) for host in found])


@router.put("/host", responses={**COMMON, **documented(404)})
async def change_host(player_id: str, body: HostBody, engine: EngineOf, actor: Working) -> HostList:
    """Give a player to somebody, or to nobody. Twice the same is once."""
    async with engine.database.transaction() as connection:
        await _known(connection, actor.brand, player_id)
        person = None if body.person is None else await find_person(connection, actor.brand, body.person)
        if body.person is not None and (person is None or not person.active):
            raise missing("person in this brand")
        await set_host(connection, actor.brand, player_id, person.id if person else None, actor.name, engine.clock())
        found = await hosts_of(connection, actor.brand, player_id, HOSTS_SHOWN)
    return HostList(items=[HostView.model_validate(host) for host in found])


async def _known(connection: AsyncConnection, brand: str, player_id: str) -> None:
    """Raise `Problem` 404 unless the brand has the player."""
    here = select(players.c.id).where(players.c.brand == brand, players.c.id == player_id)
    if (await connection.execute(here)).one_or_none() is None:
        raise missing("player")
