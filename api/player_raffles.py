"""Raffles in a player's own browser: tickets, prizes, the hash before a draw and the record after it."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, Field

from activities.raffle_draws import proof_of_draw, tickets_of
from api.dependencies import EngineOf
from api.player_requests import IfNoneMatch, Player, answer, me, player_of
from api.problems import COMMON, Problem, documented
from workflows.json_object import JsonObject

router = APIRouter(prefix="/v1/me", tags=["loyalty"])

Period = Annotated[str, Path(pattern=r"^\d{4}-\d{2}-\d{2}$", examples=["2026-03-09"])]


class RaffleView(BaseModel):
    """A raffle as the player sees it in its present period."""

    id: str
    period: str = Field(description="The first day of the period.")
    draws_at: datetime
    tickets: int
    all_tickets: int
    seed_hash: str | None = Field(None, description="SHA-256 of the seed of the draw, once there is a ticket.")
    prizes: list[JsonObject] = Field(description="By place, the first one first.")


@router.get("/raffles", response_model=list[RaffleView], responses=COMMON)
async def my_raffles(engine: EngineOf, key: Player, if_none_match: IfNoneMatch = None) -> Response:
    """The raffles with the player's tickets; none while the player is protected."""
    state, now = await me(engine, key)
    views: list[RaffleView] = []
    for one in engine.intake.rules.loyalty.raffles.values() if state.protected(now) is None else ():
        period = one.period_of(now)
        async with engine.database.reading() as connection:
            mine = await tickets_of(connection, key.brand, player_of(key), one.name, period)
        prizes = [prize.model_dump(mode="json", exclude_none=True) for prize in one.prizes]
        views.append(
            RaffleView(
                id=one.name,
                period=period,
                draws_at=one.draws_at(period),
                tickets=mine["mine"],
                all_tickets=mine["all"],
                seed_hash=mine["seed_hash"],
                prizes=prizes,
            )
        )
    return answer(views, if_none_match)


@router.get("/raffles/{raffle_id}/draws/{period}", responses={**COMMON, **documented(404)})
async def get_draw(raffle_id: str, period: Period, engine: EngineOf, key: Player) -> JsonObject:
    """The record of a draw, from which anybody draws it again; holders stand there under other names.

    `own_name` is the player's own; nobody else's is told. `journeys spin verify` draws again with this answer.
    """
    async with engine.database.reading() as connection:
        proof = await proof_of_draw(connection, key.brand, raffle_id, period, player_of(key))
    if proof is None:
        raise Problem("not-found", f"There is no such draw: {raffle_id[:64]} {period}.")
    return proof
