"""Raffles in a player's own browser: tickets, prizes, the hash before a draw and the record after it."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, Field

from activities.raffle_draws import proof_of_draw, tickets_of
from api.dependencies import EngineOf
from api.player_requests import IfNoneMatch, Player, answer, me, player_of
from api.problems import COMMON, Problem, documented
from workflows.json_object import JsonObject
from workflows.loyalty.raffles import RaffleTerms

router = APIRouter(prefix="/v1/me", tags=["loyalty"])

Period = Annotated[str, Path(pattern=r"^\d{4}-\d{2}-\d{2}$", examples=["2026-03-09"])]
After = Annotated[int, Query(ge=0, le=1_000_000_000, description="How many bundles the pages before had.")]


class RaffleView(BaseModel):
    """A raffle as the player sees it in its present period."""

    id: str
    period: str = Field(description="The first day of the period.")
    draws_at: datetime
    tickets: int
    all_tickets: int = Field(description="Of all players, as of a few seconds ago.")
    seed_hash: str | None = Field(None, description="SHA-256 of the seed of the draw, once there is a ticket.")
    prizes: list[JsonObject] = Field(description="By place, the first one first.")


@router.get("/raffles", response_model=list[RaffleView], responses=COMMON)
async def my_raffles(engine: EngineOf, key: Player, if_none_match: IfNoneMatch = None) -> Response:
    """The raffles with the player's tickets; none while the player is protected or out."""
    state, now = await me(engine, key)
    views: list[RaffleView] = []
    for one in () if state.left_alone(now) else engine.intake.rules.loyalty.raffles.values():
        period = one.period_of(now)
        async with engine.database.reading() as connection:
            mine = await tickets_of(connection, key.brand, player_of(key), one.name, period)
            total = await engine.ticket_totals.of(connection, key.brand, one.name, period)
        terms = mine["terms"] or RaffleTerms.of(one, period)
        views.append(
            RaffleView(
                id=one.name,
                period=period,
                draws_at=terms.draws_at,
                tickets=mine["mine"],
                all_tickets=max(total, mine["mine"]),
                seed_hash=mine["seed_hash"],
                prizes=[{name: part for name, part in one.items() if part is not None} for one in terms.by_place],
            )
        )
    return answer(views, if_none_match)


@router.get("/raffles/{raffle_id}/draws/{period}", responses={**COMMON, **documented(404)})
async def get_draw(raffle_id: str, period: Period, engine: EngineOf, key: Player, after: After = 0) -> JsonObject:
    """The record of a draw, from which anybody draws it again; holders stand there under other names.

    `own_name` is the player's own; nobody else's is told. Of many bundles it is a page: `next` is the `after` of the
    next one. `journeys spin verify` draws again with all of them.
    """
    async with engine.database.reading() as connection:
        proof = await proof_of_draw(connection, key.brand, raffle_id, period, player_of(key), after=after)
    if proof is None:
        raise Problem("not-found", f"There is no such draw: {raffle_id[:64]} {period}.")
    return proof
