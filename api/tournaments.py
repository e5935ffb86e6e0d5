"""Tournaments as who runs them sees them: how far each instance is, who stands where, and what may be undone."""

from contextlib import suppress
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from temporalio.service import RPCError

from activities import standings
from activities.loops.tournament_opening import wake_cancelled
from activities.tournaments import TournamentRow, end_tournament, newest_tournaments, read_tournament
from api.bulk_jobs import Deciding
from api.dependencies import ApiEngine, EngineOf
from api.json_types import Prose
from api.pagination import Page, PageQuery
from api.permissions import Key, needs
from api.problems import COMMON, Problem, documented, missing
from workflows.loyalty.tournament_prizes import TournamentTerms
from workflows.loyalty.tournaments import board_of

router = APIRouter(prefix="/v1/tournaments", tags=["loyalty"])

Reading = Annotated[Key, needs("players:read", "journeys:manage")]

PRIZE = (
    "Once the board is closed: due, paid, or withheld with its reason; of what the bonus engine gives, the status of "
    "the grant, such as reserved or confirmed."
)


class TournamentView(BaseModel):
    """An instance as the books have it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "weekly_race:2026-01-12",
                    "tournament": "weekly_race",
                    "phase": "done",
                    "opens_at": "2026-01-12T00:00:00Z",
                    "closes_at": "2026-01-19T00:00:00Z",
                    "cut_at": "2026-01-19T00:15:00Z",
                    "entries": 412,
                    "terms": {"prizes": [{"first": 1, "last": 1, "points": 5000}]},
                }
            ]
        }
    )

    id: str
    tournament: str
    phase: str
    opens_at: datetime
    closes_at: datetime
    cut_at: datetime
    closed_at: datetime | None = None
    ended_at: datetime | None = None
    entries: int | None = Field(None, description="Players with a place, once it is closed.")
    reason: str | None = Field(None, description="Why it was cancelled.")
    terms: TournamentTerms

    @classmethod
    def of(cls, row: TournamentRow, now: datetime) -> "TournamentView":
        """The view of a row."""
        return cls(
            id=row.instance,
            tournament=row.name,
            phase=row.phase(now),
            opens_at=row.opens_at,
            closes_at=row.closes_at,
            cut_at=row.cut_at,
            closed_at=row.closed_at,
            ended_at=row.ended_at,
            entries=row.entries,
            reason=row.reason,
            terms=row.terms,
        )


class OperatorPlace(BaseModel):
    """A row of a board, with whose it is and what became of the prize."""

    position: int | None = None
    player_id: str
    score: int
    points: int = 0
    badge: str | None = None
    prize: str | None = Field(None, description=PRIZE)
    late: int = Field(0, description="Events that came, or were taken back, when the board was closed.")


class TournamentReason(BaseModel):
    """Why somebody decides so."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "The game was faulty."}]})

    reason: Prose


class Disqualifying(TournamentReason):
    """Who loses the place, and why."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"player_id": "p-1001", "reason": "Two accounts."}]}
    )

    player_id: str = Field(max_length=128, pattern=r"^[^\x00]*$")


@router.get("", responses=COMMON)
async def list_tournaments(
    engine: EngineOf, key: Reading, query: Annotated[PageQuery, Query()]
) -> Page[TournamentView]:
    """The instances of the brand, those that open last first."""
    after = query.after(key.brand, datetime, str)
    before = None if after is None else (after[0], str(after[1]))
    async with engine.database.reading() as connection:
        rows = await newest_tournaments(connection, key.brand, before=before, limit=query.size + 1)
    page, token = query.page(key.brand, rows, lambda row: (row.opens_at, row.instance))
    return Page(items=[TournamentView.of(row, engine.clock()) for row in page], next_page_token=token)


@router.get("/{instance_id}", responses={**COMMON, **documented(404)})
async def get_tournament(instance_id: str, engine: EngineOf, key: Reading) -> TournamentView:
    """An instance: its times, its terms, how far it is."""
    return TournamentView.of(await _row(engine, key.brand, instance_id), engine.clock())


@router.get("/{instance_id}/places", responses={**COMMON, **documented(404)})
async def get_places(instance_id: str, engine: EngineOf, key: Reading) -> list[OperatorPlace]:
    """The first hundred of an instance, with their prizes; who lost the place is left out."""
    row = await _row(engine, key.brand, instance_id)
    async with engine.database.reading() as connection:
        final = row.entries is not None
        rows = await standings.first_places(
            connection, key.brand, instance_id, row.board, final=final, least=row.terms.least_score
        )
    return [OperatorPlace.model_validate(one) for one in rows]


@router.post("/{instance_id}/cancel", responses={**COMMON, **documented(404, 409)})
async def cancel_tournament(
    instance_id: str, body: TournamentReason, engine: EngineOf, actor: Deciding
) -> TournamentView:
    """End an instance without places and prizes. What was paid already stays paid."""
    row = await _row(engine, actor.brand, instance_id)
    async with engine.database.transaction() as connection:
        if not await end_tournament(connection, row.board, "cancelled", engine.clock(), body.reason):
            raise Problem("command-refused", "It is not done: it is over.", members={"reason": "over"})
    with suppress(RPCError, RuntimeError, TimeoutError):  # it looks into the books by itself when its time comes
        await wake_cancelled(engine.temporal, actor.brand, instance_id)
    return TournamentView.of(await _row(engine, actor.brand, instance_id), engine.clock())


@router.post("/{instance_id}/disqualify", status_code=204, responses={**COMMON, **documented(404)})
async def disqualify_player(instance_id: str, body: Disqualifying, engine: EngineOf, actor: Deciding) -> None:
    """Take a player's place in an instance: ranks skip it, its prize is not paid, and it scores no more."""
    now = engine.clock()
    row = await _row(engine, actor.brand, instance_id)
    async with (
        engine.database.transaction() as connection,
        engine.intake.locked(connection, actor.brand, [body.player_id], now) as players,
    ):
        state = players.states.get(body.player_id)
        if state is None:
            raise missing("player")
        state.lose_place(instance_id)
        if not await standings.lose(connection, actor.brand, row.board, body.player_id):
            raise missing("place of this player")


async def _row(engine: ApiEngine, brand: str, instance_id: str) -> TournamentRow:
    async with engine.database.reading() as connection:
        row = await read_tournament(connection, board_of(brand, instance_id))
    if row is None:
        raise missing("tournament")
    return row
