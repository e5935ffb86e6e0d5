"""Points that a person gives to a player or takes: a handful alone, more with a second person."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Header, Response
from pydantic import BaseModel, ConfigDict, Field

from activities.actors import Actor
from activities.point_corrections import Correction, CorrectionRefusal, CorrectionWish, ask_for, decide, find
from api.dependencies import ApiEngine, EngineOf
from api.json_types import Prose
from api.permissions import acts
from api.problems import COMMON, Problem, documented, missing
from workflows.field_types import Whole
from workflows.loyalty.point_currencies import MOST_A_DAY, PointCurrency

router = APIRouter(prefix="/v1/players/{player_id}/point-corrections", tags=["loyalty"])

Correcting = Annotated[Actor, acts("points:correct")]
WishKey = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="Made once for each wish: sent again, it is the same correction.",
    ),
]


class CorrectionBody(BaseModel):
    """How many points, and why; below 0 they are taken."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"currency": "points", "amount": 500, "reason": "A round that never paid."}]},
    )

    currency: str = Field(min_length=1, max_length=64, pattern=r"^[^\x00]+$")
    amount: Annotated[int, Field(ge=-MOST_A_DAY, le=MOST_A_DAY), Whole]
    reason: Prose


class DecisionBody(BaseModel):
    """Yes or no."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"approve": True}]})

    approve: bool = Field(strict=True)


class CorrectionView(BaseModel):
    """A correction: `applied`, `waiting` for a second person, or `refused` by one."""

    id: str
    player_id: str
    currency: str
    amount: int
    reason: str
    state: str
    asked_by: str
    asked_at: datetime
    decided_by: str | None = None
    decided_at: datetime | None = None

    @classmethod
    def of(cls, one: Correction) -> "CorrectionView":
        """As it is shown."""
        return cls(**{name: getattr(one, name) for name in cls.model_fields})


@router.post("", status_code=201, responses={**COMMON, **documented(404, 409), 202: {"model": CorrectionView}})
async def correct_points(
    player_id: str,
    body: CorrectionBody,
    engine: EngineOf,
    actor: Correcting,
    response: Response,
    idempotency_key: WishKey,
) -> CorrectionView:
    """Give points to a player, or take some. Beyond 5,000 a player and day it waits for a second person, with 202."""
    wish = CorrectionWish(player_id, _currency(engine, body.currency), body.amount, body.reason, idempotency_key)
    if not body.amount:
        raise Problem("invalid", "Nothing is given.", errors=[{"pointer": "/amount", "detail": "must not be 0"}])
    async with engine.database.transaction() as connection:
        made = _done(await ask_for(connection, engine.intake, actor, wish, engine.clock()))
    response.status_code = 202 if made.state == "waiting" else 201
    return made


@router.post("/{correction_id}/decision", responses={**COMMON, **documented(404, 409)})
async def decide_correction(
    player_id: str, correction_id: str, body: DecisionBody, engine: EngineOf, actor: Correcting
) -> CorrectionView:
    """Approve or refuse a correction that somebody else asked for."""
    async with engine.database.transaction() as connection:
        found = await find(connection, actor.brand, correction_id)
        if found is None or found.player_id != player_id:
            raise missing("correction")
        into = _currency(engine, found.currency)
        now = engine.clock()
        return _done(await decide(connection, engine.intake, actor, found, into, now, approve=body.approve))


def _currency(engine: ApiEngine, name: str) -> PointCurrency:
    known = engine.intake.rules.loyalty.currencies.get(name)
    if known is None:
        raise Problem("not-found", f"No currency is called {name[:64]}.")
    return known


def _done(came: Correction | CorrectionRefusal) -> CorrectionView:
    if isinstance(came, Correction):
        return CorrectionView.of(came)
    if came == "unknown":
        raise missing("player")
    if came == "key_reused":
        raise Problem("key-reused", "This key was used for another correction; use a new one for another wish.")
    detail = {
        "own": "Who asked for it may not decide it; somebody else must.",
        "nameless": "So many points take two people, and a key that names nobody who is registered may be in anybody's "
        "hands. Register both with `journeys people add ADDRESS --name NAME --brand BRAND --role loyalty`, have them "
        "named in X-Actor, and ask anew.",
        "decided": "It is decided already.",
        "not_enough_points": "The player has fewer points than are to be taken.",
    }[came]
    raise Problem("command-refused", detail, members={"reason": came})
