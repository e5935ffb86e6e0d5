"""Erasing a player, and the certificates of it."""

from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from activities.actors import Actor
from activities.erasures import Erasure, ErasureRequest, Ground, all_of, request_erasure
from activities.personal_data import PERSONAL_DATA
from activities.privacy_classes import KEPT_EVENTS
from activities.tables import players
from api.cloudevents import is_player_id
from api.dependencies import EngineOf
from api.permissions import Key, acts, needs
from api.problems import COMMON, documented, missing
from workflows.field_types import Label

router = APIRouter(prefix="/v1/players", tags=["players"])

#: What happens when, as every answer says it.
_WHEN: Final = (
    (
        "now",
        "The profile is empty, the player is left alone, every run is told to end, their past is taken in no more.",
    ),
    ("within two minutes", "Erasing begins in every table, in pieces, by a process that owns the tables."),
    ("when it is done", "A certificate with the rows of each table and a hash: GET /v1/players/{id}/erasures."),
    ("later", "Backups of Postgres hold what was erased until they are discarded: docs/privacy.md."),
)


class What(BaseModel):
    """What happens at a time."""

    when: str
    what: str


class KeptView(BaseModel):
    """A class of events that stays without what is personal in them, and why."""

    name: str = Field(examples=["money"])
    types: list[str]
    why: str


class TableView(BaseModel):
    """What became of a table's rows about the player."""

    table: str
    becomes: str
    deleted: int = 0
    overwritten: int = 0


class ErasureView(BaseModel):
    """An erasure, and once it is done its certificate."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "9c1f0a7be2d34410",
                    "player_id": "p-1001",
                    "ground": "consent_withdrawn",
                    "reference": "T-1873",
                    "asked_by": "olena@example.com",
                    "asked_at": "2026-01-15T12:00:00Z",
                    "done_at": None,
                    "suppressed_exclusions": 1,
                    "accounts": ["p-1002"],
                    "what_happens": [{"when": _WHEN[0][0], "what": _WHEN[0][1]}],
                    "kept": [],
                    "tables": [],
                }
            ]
        }
    )

    id: str
    player_id: str
    ground: str
    reference: str
    asked_by: str
    asked_at: datetime
    done_at: datetime | None = Field(None, description="Absent while it is under way.")
    hash: str | None = Field(None, description="SHA-256 of the certificate, as docs/privacy.md says how.")
    suppressed_exclusions: int = Field(
        description="Exclusions that are kept by a digest of the person's addresses, so that they outlive the data."
    )
    accounts: list[str] = Field(
        default_factory=list, description="The person's other accounts; each is erased by a call of its own."
    )
    what_happens: list[What] = Field(description="What happens when.")
    kept: list[KeptView] = Field(description="Events that stay under the player's id without what is personal.")
    tables: list[TableView] = Field(description="How many rows of each table so far; in the end all.")

    @classmethod
    def of(cls, erasure: Erasure, accounts: list[str] | None = None) -> "ErasureView":
        """As it is now."""
        return cls(
            id=erasure.id,
            player_id=erasure.player_id,
            ground=erasure.ground,
            reference=erasure.reference,
            asked_by=erasure.asked_by,
            asked_at=erasure.asked_at,
            done_at=erasure.done_at,
            hash=erasure.hash,
            suppressed_exclusions=erasure.suppressed,
            accounts=accounts or [],
            what_happens=[What(when=when, what=what) for when, what in _WHEN],
            kept=[KeptView(name=name, types=[*one.types], why=one.why) for name, one in KEPT_EVENTS.items()],
            tables=[
                TableView(table=table, becomes=PERSONAL_DATA[table].becomes, **counts)
                for table, counts in sorted(erasure.counts.items())
                if table in PERSONAL_DATA
            ],
        )


@router.delete(
    "/{player_id}",
    status_code=202,
    responses={**COMMON, **documented(404), 200: {"model": ErasureView, "description": "It was asked for before."}},
)
async def erase_player(
    player_id: str,
    engine: EngineOf,
    actor: Annotated[Actor, acts("players:erase")],
    response: Response,
    ground: Annotated[
        Ground, Query(description="Why: the letter of art. 17(1) GDPR, or the end of a time of retention.")
    ] = "consent_withdrawn",
    reference: Annotated[
        Label, Query(description="The number of your ticket. It is kept: no name, no address, no sentence.")
    ] = "",
) -> ErasureView:
    """Erase a player. When this is answered they are left alone; the rest is done in pieces, and certified.

    CountQuery again it is answered with 200 and the erasure of before, unless the player has come back since. A player
    nobody heard of is erased too: nothing from before this moment is taken in for them any more.
    """
    if not is_player_id(player_id):
        raise missing("player")
    asked = ErasureRequest(actor.brand, player_id, ground, reference, actor.name)
    with engine.intake.precedence.protecting():
        async with engine.database.transaction() as connection:
            erasure, repeated, accounts = await request_erasure(connection, engine.intake, asked, engine.clock())
    response.status_code = 200 if repeated else 202
    return ErasureView.of(erasure, accounts)


@router.get("/{player_id}/erasures", responses={**COMMON, **documented(404)})
async def list_erasures(
    player_id: str, engine: EngineOf, key: Annotated[Key, needs("players:erase", "players:read")]
) -> list[ErasureView]:
    """The erasures of a player, the newest first, each with its certificate; none where nobody asked for one."""
    async with engine.database.reading() as connection:
        here = select(players.c.id).where(players.c.brand == key.brand, players.c.id == player_id)
        if (await connection.execute(here)).one_or_none() is None:
            raise missing("player")
        found = await all_of(connection, key.brand, player_id)
    return [ErasureView.of(one) for one in found]
