"""What the casino's front end shows players of their loyalty, and what they do there, each under a token of their own.

A player's browser gets a token from your backend (`POST /v1/player-tokens`) and asks about that player alone. Reads
carry an `ETag`. Writes carry an `Idempotency-Key` that the browser makes once for each press: however often it is sent,
it is done once and answered the same.
"""

from datetime import datetime
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from activities.player_commands import PlayerCommand
from activities.player_tokens import LASTS
from api.cloudevents import is_player_id
from api.dependencies import EngineOf
from api.permissions import Key, needs
from api.player_requests import IfNoneMatch, Player, Pressed, PressKey, answer, me, player_of, press
from api.points import PointBalance
from api.problems import COMMON, Problem, documented
from workflows.json_object import JsonObject
from workflows.loyalty.mission_progress import MissionState
from workflows.loyalty.missions import PlayerMission
from workflows.loyalty.program import LoyaltyProgram
from workflows.loyalty.tier_standing import standing
from workflows.player_state.state import PlayerState
from workflows.rules.measures import Measure
from workflows.rules.series import value

tokens = APIRouter(prefix="/v1/player-tokens", tags=["loyalty"])
router = APIRouter(prefix="/v1/me", tags=["loyalty"])

Minting = Annotated[Key, needs("players:tokens")]


class TokenBody(BaseModel):
    """For whom."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"player_id": "p-1001"}]})

    player_id: str = Field(max_length=128)


class PlayerToken(BaseModel):
    """Send it as `Authorization: Bearer jp_…` to what is below `/v1/me/`."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"token": "jp_WyJhY21lIiwi…", "expires_at": "2026-01-15T12:15:00Z"}]}
    )

    token: str
    expires_at: datetime


@tokens.post("", status_code=201, responses=COMMON)
async def mint_token(body: TokenBody, engine: EngineOf, key: Minting) -> PlayerToken:
    """A token for one player's own browser, good for a quarter of an hour. Mint another when it is over."""
    if not is_player_id(body.player_id):
        detail = "is no player's id; give the id that your events carry"
        raise Problem("invalid", "This is no player's id.", errors=[{"pointer": "/player_id", "detail": detail}])
    now = engine.clock()
    return PlayerToken(token=engine.player_tokens.token(key.brand, body.player_id, now), expires_at=now + LASTS)


class TierView(BaseModel):
    """Where the player stands: the gap to the next tier, and the gap to keep this one by the review."""

    tier: str | None = None
    next: str | None = None
    gap_to_next: int | None = None
    gap_to_keep: int | None = None
    review_at: datetime | None = None
    safe_until: datetime | None = None
    at_risk: bool = False
    ladder: list[JsonObject] = Field(default_factory=list, examples=[[{"name": "silver", "at": 10}]])


class LoyaltyView(BaseModel):
    """Everything at a glance."""

    points: list[PointBalance]
    tier: str | None = None
    #: Whether the player is protected: then nothing can be begun, claimed or spun.
    paused: bool = False
    #: Whether the player wants no part of loyalty: then nothing is counted or shown.
    opted_out: bool = False


class OptOutBody(BaseModel):
    """Whether the player wants no part of loyalty."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"opted_out": True}]})

    opted_out: bool = Field(strict=True)


class MissionStepView(BaseModel):
    """A step of a mission."""

    id: str
    words: str
    expected: int
    actual: int
    is_completed: bool


class MissionView(BaseModel):
    """A mission as the player sees it."""

    id: str = Field(examples=["three_games"])
    description: str
    is_locked: bool = Field(description="Other missions come before it.")
    is_requires_optin: bool
    is_opted_in: bool
    progress: int = Field(description="In percent; 100 only when it is completed.")
    opens_at: datetime | None = None
    closes_at: datetime | None = None
    completion_count: int
    is_claimable: bool
    claim_until: datetime | None = None
    points: int
    prize: str
    tasks: list[MissionStepView]


class BadgesView(BaseModel):
    """What the player wears, and the sets that fill."""

    badges: dict[str, datetime]
    collections: list[JsonObject] = Field(
        examples=[[{"id": "spring", "have": ["bud"], "missing": ["leaf"], "gives": "gardener"}]]
    )


@router.get("/loyalty", response_model=LoyaltyView, responses=COMMON)
async def my_loyalty(engine: EngineOf, key: Player, if_none_match: IfNoneMatch = None) -> Response:
    """Balances with what expires next, the tier, and whether everything is paused."""
    return answer(loyalty_view(*await me(engine, key)), if_none_match)


def loyalty_view(state: PlayerState, now: datetime) -> LoyaltyView:
    """What `GET /v1/me/loyalty` answers."""
    if state.opted_out:
        return LoyaltyView(points=[], paused=state.protected(now) is not None, opted_out=True)
    accounts = {} if state.loyalty is None else state.loyalty.points
    return LoyaltyView(
        points=[PointBalance.of(name, accounts[name], now) for name in sorted(accounts)],
        tier=state.facts.get("tier"),
        paused=state.protected(now) is not None,
    )


@router.get("/tier", response_model=TierView, responses=COMMON)
async def my_tier(engine: EngineOf, key: Player, if_none_match: IfNoneMatch = None) -> Response:
    """The player's tier, what the next one needs and what this one needs to be kept."""
    return answer(tier_view(engine.intake.rules.loyalty, *await me(engine, key)), if_none_match)


def tier_view(program: LoyaltyProgram, state: PlayerState, now: datetime) -> TierView:
    """What `GET /v1/me/tier` answers."""
    ladder = program.ladder
    if state.opted_out:
        return TierView(tier=None)
    if ladder is None:
        return TierView(tier=state.facts.get("tier"))
    held = None if state.loyalty is None else state.loyalty.tiers.get(ladder.name)
    shown = standing(ladder, held, partial(_read, state, now))
    return TierView(
        tier=shown.tier,
        next=shown.next,
        gap_to_next=shown.gap_to_next,
        gap_to_keep=shown.gap_to_keep,
        review_at=shown.review_at,
        safe_until=shown.safe_until,
        at_risk=shown.warned,
        ladder=[{"name": one.name, "at": one.at} for one in ladder.tiers],
    )


@router.get("/missions", response_model=list[MissionView], responses=COMMON)
async def my_missions(engine: EngineOf, key: Player, if_none_match: IfNoneMatch = None) -> Response:
    """The missions that the player may see, with progress; none while the player is protected or out."""
    return answer(mission_views(engine.intake.rules.loyalty, *await me(engine, key)), if_none_match)


def mission_views(program: LoyaltyProgram, state: PlayerState, now: datetime) -> list[MissionView]:
    """What `GET /v1/me/missions` answers."""
    views: list[MissionView] = []
    for mission in () if state.left_alone(now) else program.missions.values():
        refusal = state.mission_refusal(mission, program, now, [])
        if refusal != "not_visible":
            views.append(_mission_view(mission, state, now, locked=refusal == "locked"))
    return views


@router.get("/badges", response_model=BadgesView, responses=COMMON)
async def my_badges(engine: EngineOf, key: Player, if_none_match: IfNoneMatch = None) -> Response:
    """What the player wears, and the sets that fill."""
    state, _ = await me(engine, key)
    return answer(badges_view(engine.intake.rules.loyalty, state), if_none_match)


def badges_view(program: LoyaltyProgram, state: PlayerState) -> BadgesView:
    """What `GET /v1/me/badges` answers."""
    if state.opted_out:
        return BadgesView(badges={}, collections=[])
    held = {} if state.loyalty is None else state.loyalty.pieces
    collections: list[JsonObject] = [
        {
            "id": one.name,
            "have": [name for name in one.pieces if name in held.get(one.name, ())],
            "missing": [name for name in one.pieces if name not in held.get(one.name, ())],
            "gives": one.gives.name,
        }
        for one in program.collections.values()
    ]
    return BadgesView(badges={} if state.loyalty is None else state.loyalty.badges, collections=collections)


@router.put("/opt-out", responses={**COMMON, **documented(404, 429)})
async def put_opt_out(body: OptOutBody, engine: EngineOf, key: Player) -> OptOutBody:
    """Have no part in loyalty any more, or have part in it again.

    What the player has stays and expires as it would have; nothing more is counted, given or shown, and places on
    boards are lost. Who comes back goes on from there: what happened meanwhile counts for nothing.
    """
    engine.presses.take(key)
    known, now = await me(engine, key)
    if known.opted_out == body.opted_out and known.merged_into is None:
        return body
    player_id = player_of(key)
    # What happens at an account that was merged away counts for the one that stayed, and so does this word.
    accounts = {player_id, known.merged_into or player_id}
    async with (
        engine.database.transaction() as connection,
        engine.intake.locked(connection, key.brand, accounts, now) as players,
    ):
        if (state := players.states.get(player_id)) is None:
            raise Problem("not-found", "There is no such player: nothing was ever told of them.")
        if (state.merged_into or player_id) not in accounts:
            detail = "The account was merged in this moment; send the same again."
            raise Problem("busy", detail, headers={"Retry-After": "1"})
        for account, one in players.states.items():
            players.record(account, one.take_part(now, out=body.opted_out))
    return body


@router.post("/missions/{mission_id}/opt-in", responses={**COMMON, **documented(404, 409, 429)})
async def begin_mission(mission_id: str, engine: EngineOf, key: Player, idempotency_key: PressKey) -> Pressed:
    """Begin a mission; what counts for it counts from this moment on. Pressed twice is as good as once."""
    return Pressed.model_validate(
        await press(engine, key, PlayerCommand(key.brand, player_of(key), idempotency_key, "opt_in", mission_id))
    )


@router.post("/missions/{mission_id}/claim", responses={**COMMON, **documented(404, 409, 429)})
async def claim_mission(mission_id: str, engine: EngineOf, key: Player, idempotency_key: PressKey) -> Pressed:
    """Claim the prize of a completed mission."""
    return Pressed.model_validate(
        await press(engine, key, PlayerCommand(key.brand, player_of(key), idempotency_key, "claim", mission_id))
    )


def _read(state: PlayerState, now: datetime, measure: Measure) -> int:
    return value(state.series.get(measure.series, {}), measure, state.present(now))


def _mission_view(mission: PlayerMission, state: PlayerState, now: datetime, *, locked: bool) -> MissionView:
    held = MissionState() if state.loyalty is None else state.loyalty.missions.get(mission.name, MissionState())
    current = held.current if held.current is not None and not held.current.is_over(now) else None
    unclaimed = [one for one in held.occurrences if one.completed_at is not None and one.claimed_at is None]
    claimable = state.claim_refusal(mission, now) is None
    return MissionView(
        id=mission.name,
        description=mission.description(state.facts.get("language")),
        is_locked=locked,
        is_requires_optin=mission.opt_in,
        is_opted_in=current is not None,
        progress=0 if current is None else current.progress(mission),
        opens_at=None if current is None else current.opens,
        closes_at=None if current is None else current.closes,
        completion_count=held.completed,
        is_claimable=claimable,
        claim_until=unclaimed[0].claim_until if claimable else None,
        points=mission.points,
        prize=mission.prize_kind,
        tasks=[
            MissionStepView(
                id=one.name,
                words=one.measure.words,
                expected=one.target,
                actual=0 if current is None else current.done(one),
                is_completed=current is not None and current.done(one) >= one.target,
            )
            for one in mission.steps
        ],
    )
