"""Signs of gambling harm: pausing promotions, judging what was seen, and the player who contests being restricted."""

import hashlib
import secrets
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from activities import harm_reviews, tasks
from activities.actors import Actor
from activities.intake.receipts import Conflict
from activities.task_rows import TaskConflict, TaskRequest
from api.cloudevents import is_player_id
from api.dependencies import ApiEngine, EngineOf
from api.event_scopes import REVIEW
from api.json_types import Prose
from api.permissions import acts
from api.players import read_state
from api.problems import COMMON, Problem, documented, missing
from api.runs import IdempotencyKey
from api.task_actions import problem_of
from workflows.events import Event, HarmReviewed, PromotionsPaused
from workflows.events.compliance import MOST_PAUSED
from workflows.field_types import Whole
from workflows.gate.policy_book import PolicyBook
from workflows.player_state.harm_watch import strength_of, stronger
from workflows.player_state.state import PlayerState
from workflows.protection_forms import HarmReview

router = APIRouter(prefix="/v1/players/{player_id}", tags=["players"])

Strength = Literal["none", "weak", "medium", "strong"]


class HarmView(BaseModel):
    """How a player stands now: signs of harm weighed under the policies of this moment, and what was done."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "player_id": "p-1001",
                    "strength": "strong",
                    "signs": {"chasing/strong": "2026-01-15T12:00:00Z"},
                    "review": "5f1c0e7a9b3d4c2e8f60a1b2",
                }
            ]
        }
    )

    player_id: str
    strength: str = Field(description="Of all signs together: none, weak, medium or strong.")
    signs: dict[str, datetime] = Field(description='By "indicator/strength": when it was last seen.')
    review: str | None = Field(None, description="The task by which a trained person is to judge, while it is open.")
    reviewed_at: datetime | None = None
    paused_until: datetime | None = Field(None, description="Until then nothing is sold or given; may be past.")

    @classmethod
    def of(cls, state: PlayerState, policies: PolicyBook, now: datetime) -> "HarmView":
        """How the player of this row stands."""
        watch = state.watch
        policy = policies.at(state.brand, state.jurisdiction, now)
        return cls(
            player_id=state.player_id,
            strength=stronger(state.harm or "none", strength_of(watch.signs, policy.harm_fades_after, now)),
            signs=dict(sorted(watch.signs.items())),
            review=watch.review,
            reviewed_at=watch.reviewed_at,
            paused_until=watch.paused_until,
        )


class PauseBody(BaseModel):
    """For how long nothing is to be sold or given."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"hours": 72, "why": "A large loss last night."}]}
    )

    hours: Annotated[int, Field(ge=1, le=MOST_PAUSED), Whole]
    why: Prose


class ReviewBody(BaseModel):
    """What a trained person found."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"to": "none", "reason": "Spoke to the player."}]}
    )

    to: Strength
    reason: Prose


class ContestBody(BaseModel):
    """The player's own words."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"words": "I play no more than I always did."}]}
    )

    words: Prose


class Contested(BaseModel):
    """The contest is before people."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"task_id": "5f1c0e7a9b3d4c2e8f60a1b2", "due_at": "2026-01-22T12:00:00Z", "repeated": False}]
        }
    )

    task_id: str
    due_at: datetime = Field(description="Until then the player is answered.")
    repeated: bool = Field(description="Whether one was open already; these words are with it now.")


_PLAYER = {**COMMON, **documented(404)}
_CHANGE = {**COMMON, **documented(404, 409)}


@router.get("/harm", responses=_PLAYER)
async def get_harm(player_id: str, engine: EngineOf, actor: Annotated[Actor, acts("players:read", REVIEW)]) -> HarmView:
    """The player's signs of harm, what they come to together now, and the review that is open."""
    state = await read_state(engine, actor.brand, player_id)
    if state is None:
        raise missing("player")
    return HarmView.of(state, engine.policies, engine.clock())


@router.post("/pause-promotions", status_code=202, responses=_CHANGE)
async def pause_promotions(
    player_id: str,
    body: PauseBody,
    engine: EngineOf,
    actor: Annotated[Actor, acts("events:write", "tasks:work")],
    idempotency_key: IdempotencyKey = None,
) -> HarmView:
    """Sell and give the player nothing for so many hours. In force when this is answered; it only ever gets longer.

    Runs go on; what they would send or give is refused as `promotions_paused`. Help and service messages arrive.
    """
    now = engine.clock()
    event = PromotionsPaused(**_envelope("pause", actor, player_id, idempotency_key, now), **body.model_dump())
    return await _told(engine, actor, player_id, event, now)


@router.post("/harm-review", responses=_CHANGE)
async def review_harm(
    player_id: str, body: ReviewBody, engine: EngineOf, actor: Annotated[Actor, acts(REVIEW)]
) -> HarmView:
    """Judge a player's signs of harm: the only way in which a restriction by strong ones is lowered.

    What was seen until now counts no more, and `to` stands in its place. A review task that is open is completed with
    it. What comes afterwards counts anew. Of a player nobody heard of there is nothing to judge, which answers 404.
    """
    now = engine.clock()
    if await read_state(engine, actor.brand, player_id) is None:
        raise missing("player")
    async with engine.database.reading() as connection:
        task = await tasks.open_of_form(connection, actor.brand, player_id, HarmReview.__name__)
    if task is None:
        event = HarmReviewed(**_envelope("review", actor, player_id, None, now), **body.model_dump())
        return await _told(engine, actor, player_id, event, now)
    request = TaskRequest(actor.brand, task.id, actor, now)
    outcome = await harm_reviews.complete(
        engine.pools.ordinary, engine.intake, request, player_id, body.model_dump(mode="json")
    )
    if isinstance(outcome, TaskConflict):
        raise problem_of(outcome)
    return await _shown(engine, actor, player_id, now)


@router.post("/contest", status_code=201, responses={**_PLAYER, 200: {"model": Contested}})
async def contest_restriction(
    player_id: str,
    body: ContestBody,
    engine: EngineOf,
    actor: Annotated[Actor, acts("events:write", "tasks:work")],
    response: Response,
) -> Contested:
    """Put before trained people that the player contests being restricted. Nothing is lifted until they have judged.

    One contest of a player is open at a time: what they say again is added to it, with 200.
    """
    now = engine.clock()
    request = TaskRequest(actor.brand, "", actor, now)
    task = await harm_reviews.contest(engine.pools.ordinary, engine.intake, request, player_id, body.words)
    if task is None:
        raise missing("player")
    repeated = task.created_at != now
    response.status_code = 200 if repeated else 201
    return Contested(task_id=task.id, due_at=task.due_at, repeated=repeated)


def _envelope(what: str, actor: Actor, player_id: str, idempotency_key: str | None, now: datetime) -> dict[str, Any]:
    digest = secrets.token_hex(16)
    if idempotency_key is not None:
        digest = hashlib.sha256(f"{player_id} {idempotency_key}".encode()).hexdigest()
    return {"event_id": f"{what}:{digest}", "event_source": f"api:{actor.name}", "occurred_at": now}


async def _told(engine: ApiEngine, actor: Actor, player_id: str, event: Event, now: datetime) -> HarmView:
    """Ingest what was decided about a player."""
    if not is_player_id(player_id):
        raise missing("player")
    known = await read_state(engine, actor.brand, player_id)
    if known is not None and known.is_erased:
        event = event.redacted()
    with engine.intake.precedence.protecting():
        (receipt,) = await engine.intake.ingest(actor.brand, [(player_id, event)], now, key_id=actor.key_id)
    if isinstance(receipt, Conflict):
        raise Problem("key-reused", "This key was used with other words; use a new one for another wish.")
    return await _shown(engine, actor, player_id, now)


async def _shown(engine: ApiEngine, actor: Actor, player_id: str, now: datetime) -> HarmView:
    state = await read_state(engine, actor.brand, player_id)
    if state is None:
        raise missing("player")
    return HarmView.of(state, engine.policies, now)
