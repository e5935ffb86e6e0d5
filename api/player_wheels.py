"""Wheels in a player's own browser: odds and hash before a spin, the prize after it, the proof when the day is over."""

from datetime import datetime, timedelta

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from activities.player_commands import PlayerCommand
from activities.wheel_spins import proof_of, seed_of
from api.dependencies import EngineOf
from api.player_requests import IfNoneMatch, Player, Pressed, PressKey, answer, me, player_of, press
from api.problems import COMMON, Problem, documented
from workflows.json_object import JsonObject
from workflows.loyalty.fair_draws import seed_hash
from workflows.loyalty.wheels import Wheel
from workflows.player_state.state import PlayerState
from workflows.rewards import RewardBase

router = APIRouter(prefix="/v1/me", tags=["loyalty"])


class SectorView(BaseModel):
    """A part of a wheel, with its odds; of a blank there is no prize."""

    prize: JsonObject | None = Field(examples=[{"kind": "points", "points": 20}])
    points: int
    weight: int
    odds_percent: float
    stock_per_day: int | None = None


class WheelView(BaseModel):
    """A wheel as the player sees it, with its odds and the hash of today's seed."""

    id: str
    title: str
    attempts_left: int
    pause_seconds: float = Field(description="The least time between two spins of a player.")
    may_spin_at: datetime | None = Field(None, description="When it is over after the last spin; else null.")
    free_until: datetime = Field(description="Until when the free spins of this day may be made.")
    given_until: list[datetime] = Field(description="Until when each spin that was given besides may be made.")
    sectors: list[SectorView]
    otherwise_points: int = Field(description="Given where the drawn sector is used up for today.")
    guarantee_after: int | None = Field(None, description="After so many blanks in a row the next gives something.")
    guarantee: JsonObject | None = Field(None, examples=[{"kind": "points", "points": 100}])
    blanks: int = Field(description="Blanks in a row so far.")
    version: str
    seed_hash: str = Field(description="SHA-256 of today's seed, which is told when the day is over.")
    day: str


class SpinBody(BaseModel):
    """The player's own word, which the draw is a function of; any text will do."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"client_seed": "lucky-7"}]})

    client_seed: str = Field("", max_length=128, pattern=r"^[^\x00]*$")


class SpinView(Pressed):
    """Where it landed; `instead` says that something else was given than the sector says, and `reason` why.

    A `prize` of money is paid by the bonus engine within moments; everything else is the player's already.
    """

    spin_id: str
    sector: int
    prize: JsonObject | None = Field(None, examples=[{"kind": "points", "points": 20}])
    instead: bool
    reason: str | None = Field(None, examples=["used_up"])
    seed_hash: str
    nonce: int
    attempts_left: int


@router.get("/wheels", response_model=list[WheelView], responses=COMMON)
async def my_wheels(engine: EngineOf, key: Player, if_none_match: IfNoneMatch = None) -> Response:
    """The wheels with their odds; none while the player is protected or out."""
    state, now = await me(engine, key)
    views: list[WheelView] = []
    for one in () if state.left_alone(now) else engine.intake.rules.loyalty.wheels.values():
        if state.is_control(one):
            continue
        async with engine.database.transaction() as connection:
            hashed = seed_hash(await seed_of(connection, key.brand, one.name, one.day_of(now)))
        views.append(_wheel_view(one, state, now, hashed))
    return answer(views, if_none_match)


@router.post("/wheels/{wheel_id}/spins", responses={**COMMON, **documented(404, 409, 429)})
async def spin_wheel(
    wheel_id: str, body: SpinBody, engine: EngineOf, key: Player, idempotency_key: PressKey
) -> SpinView:
    """Spin a wheel; the prize is the player's in the moment this is answered."""
    command = PlayerCommand(key.brand, player_of(key), idempotency_key, "spin", wheel_id, body.client_seed)
    return SpinView.model_validate(await press(engine, key, command))


@router.get("/spins/{spin_id}/proof", responses={**COMMON, **documented(404)})
async def get_proof(spin_id: str, engine: EngineOf, key: Player) -> JsonObject:
    """The record of a spin, from which anybody draws it again with the seed, told once its day is over.

    `journeys spin verify` does so with this answer.
    """
    async with engine.database.reading() as connection:
        # A day is over when it is over everywhere.
        today = (engine.clock() - timedelta(hours=14)).date().isoformat()
        proof = await proof_of(connection, key.brand, player_of(key), spin_id, today)
    if proof is None:
        raise Problem("not-found", f"There is no such spin of this player: {spin_id[:64]}.")
    return proof


def _wheel_view(one: Wheel, state: PlayerState, now: datetime, hashed: str) -> WheelView:
    total = sum(one.weights)
    return WheelView(
        id=one.name,
        title=one.words.get(str(state.facts.get("language"))) or one.words.get("en") or one.name,
        attempts_left=state.spins_left(one, now),
        pause_seconds=one.pause.total_seconds(),
        may_spin_at=state.may_spin_at(one, now),
        free_until=one.end_of_day(now),
        given_until=[given.until for given in state.given_spins(one.name, now)],
        sectors=[
            SectorView(
                prize=_prize(part.gives),
                points=0 if part.gives is None else part.gives.awarded_points,
                weight=part.weight,
                odds_percent=round(100 * part.weight / total, 6),
                stock_per_day=part.stock or None,
            )
            for part in one.sectors
        ],
        otherwise_points=one.otherwise.awarded_points,
        guarantee_after=None if one.guarantee is None else one.guarantee.blanks,
        guarantee=None if one.guarantee is None else _prize(one.guarantee.gives),
        blanks=state.wheel_day(one, now).blanks,
        version=one.version,
        seed_hash=hashed,
        day=one.day_of(now),
    )


def _prize(gives: RewardBase | None) -> JsonObject | None:
    return None if gives is None else gives.model_dump(mode="json", exclude_none=True)
