"""Players: their profile, state and statistics, and the endpoint that excludes them."""

import hashlib
import secrets
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.actors import Actor
from activities.intake.receipts import Conflict
from activities.tables import events, players, runs
from api.cloudevents import is_player_id
from api.dependencies import ApiEngine, EngineOf
from api.json_types import Prose
from api.permissions import Key, acts, needs
from api.problems import COMMON, CORRECT, Problem, documented, missing
from api.runs import IdempotencyKey, RunView
from workflows.events import ExclusionKind, ExclusionScope, ExclusionSet, Instant
from workflows.gate.exclusion_lengths import outside_lengths
from workflows.json_object import JsonObject
from workflows.player_state.devices import DEVICE
from workflows.player_state.harm_watch import strength_of, stronger
from workflows.player_state.journey_facts import journey_facts
from workflows.player_state.state import PlayerState
from workflows.rules.measures import Measure
from workflows.rules.segments import Statistics

router = APIRouter(prefix="/v1/players", tags=["players"])

Reading = Annotated[Key, needs("players:read")]

PROTECTION = {
    "self_excluded": "The player is self-excluded: nothing is sold or given, and every run stops.",
    "time_out": "The player takes a time-out: nothing is sold or given, and every run stops.",
    "account_not_active": "The account is not active: no journey may begin, and every run stops.",
}


class Protection(BaseModel):
    """Why a player is left alone right now."""

    reason: str = Field(examples=["self_excluded"])
    detail: str


class ExclusionView(BaseModel):
    """A block that is or was set. No `until` means for ever."""

    kind: str
    scope: str
    until: datetime | None = None
    in_force: bool


class ConsentView(BaseModel):
    """The player's newest word on a channel, or on a product there. Without a product it is for none in particular."""

    channel: str
    product: str | None = None
    opted_in: bool
    at: datetime
    source: str | None = Field(None, description="Where it was said; absent: nobody told, or before it was kept.")
    text_version: str | None = Field(None, description="The wording the player saw.")
    jurisdiction: str | None = Field(None, description="The player's at that time.")

    @classmethod
    def of(cls, state: PlayerState, key: str) -> "ConsentView":
        """The word under a key of the player's consents."""
        (opted_in, at), (channel, _, product) = state.consents[key], key.partition("/")
        source, text_version, place = state.consent_notes.get(key, ("", "", None))
        told = {"source": source or None, "text_version": text_version or None, "jurisdiction": place}
        return cls(channel=channel, product=product or None, opted_in=opted_in, at=at, **told)


class MeasureView(BaseModel):
    """A number about the player that a segment or a rule looks at."""

    measure: str = Field(examples=["total:payment.deposit_approved:amount_minor:d:2592000"])
    words: str
    value: int
    is_known: bool = Field(
        True,
        description="False where nothing is known yet of what is usual, or no change of a pattern is seen; the value "
        "is then 0.",
    )


class Belonging(BaseModel):
    """A segment the player is in."""

    segment: str
    since: datetime


class PlayerStatistics(BaseModel):
    """What we counted ourselves. Money is minor units of the player's currency."""

    events: dict[str, int] = Field(description="How many events of each type.")
    last: dict[str, datetime] = Field(description="When the newest of each type happened.")
    deposits: int
    deposited_minor: int
    mean_deposit_minor: int
    favourite_category: str | None = None
    measures: list[MeasureView] = Field(description="What rules measure, as of now.")


class PlayerSummary(BaseModel):
    """A player in a list, without personal data."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "p-1001",
                    "status": "active",
                    "tier": "Gold",
                    "runs": 1,
                    "created_at": "2026-01-15T12:00:00Z",
                    "updated_at": "2026-01-16T09:30:00Z",
                }
            ]
        }
    )

    id: str
    name: str | None = Field(None, description="Personal: in a list that was asked for with `show_names`.")
    status: str | None = Field(None, description="Absent when nobody told us.")
    tier: str | None = None
    protected: Protection | None = None
    runs: int = Field(description="Runs under way.")
    created_at: datetime
    updated_at: datetime


class PlayerView(PlayerSummary):
    """A player. `profile` is personal data and lives nowhere else."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "p-1001",
                    "status": "active",
                    "tier": "Gold",
                    "created_at": "2026-01-15T12:00:00Z",
                    "updated_at": "2026-01-16T09:30:00Z",
                    "profile": {"first_name": "Anna", "email": "anna@example.com"},
                    "facts": {"language": "uk", "timezone": "Europe/Kyiv", "country": "UA"},
                    "statistics": {
                        "events": {"payment.deposit_approved": 2},
                        "last": {"payment.deposit_approved": "2026-01-16T09:30:00Z"},
                        "deposits": 2,
                        "deposited_minor": 7000,
                        "mean_deposit_minor": 3500,
                        "measures": [
                            {
                                "measure": "total:payment.deposit_approved:amount_minor:d:2592000",
                                "words": "total amount_minor of DepositApproved in the last 30 days",
                                "value": 7000,
                            }
                        ],
                    },
                    "segments": [{"segment": "high_roller", "since": "2026-01-16T09:30:00Z"}],
                    "consents": [{"channel": "email", "opted_in": True, "at": "2026-01-15T12:00:00Z"}],
                    "exclusions": [],
                    "runs": 0,
                    "running": [],
                }
            ]
        }
    )

    profile: JsonObject
    facts: JsonObject = Field(description="What journeys may know: language, zone, tier, never a name.")
    statistics: PlayerStatistics
    segments: list[Belonging] = Field(description="The segments the player is in.")
    consents: list[ConsentView]
    exclusions: list[ExclusionView]
    accounts: list[str] = Field(
        default_factory=list, description="The person's other accounts: what protects one of them protects all."
    )
    harm: str | None = Field(None, description="All signs of harm together: weak, medium or strong; `…/harm` has each.")
    running: list[RunView] = Field(description="The journeys the player is in.")


class ExclusionBody(BaseModel):
    """A wish to be left alone, or somebody's duty to leave the player alone."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"kind": "self_exclusion", "scope": "brand", "reason": "CountQuery for it on the phone."}]
        },
    )

    kind: ExclusionKind
    scope: Annotated[
        ExclusionScope,
        Field(
            description="How far it reaches: `group` and `national` hold in every brand of the group (`BRAND_GROUPS`), "
            "as the kind `register` does. Only an end of the same scope lifts it, in the brand that is told."
        ),
    ] = "brand"
    until: Annotated[Instant | None, Field(description="None means for ever.")] = None
    reason: Prose | None = None


class Excluded(BaseModel):
    """The exclusion is in force. `repeated` says that it was before."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "player_id": "p-1001",
                    "brand": "acme",
                    "kind": "self_exclusion",
                    "scope": "brand",
                    "repeated": False,
                    "protected": {"reason": "self_excluded", "detail": PROTECTION["self_excluded"]},
                }
            ]
        }
    )

    player_id: str
    brand: str = Field(description="Where it was told, and holds.")
    kind: str
    scope: str
    until: datetime | None = None
    repeated: bool
    protected: Protection | None
    warning: str | None = Field(None, description="What is unusual about its length where the player is.")


class PlayerRow(NamedTuple):
    """What is shown of a row of `players`."""

    brand: str
    id: str
    state: JsonObject
    profile: JsonObject
    created_at: datetime
    updated_at: datetime

    def player_state(self) -> PlayerState:
        """The state, ready to be asked."""
        return PlayerState.from_json(self.brand, self.id, self.state)


COLUMNS = [players.c[name] for name in PlayerRow._fields]


@router.get("/{player_id}", responses={**COMMON, **documented(404)})
async def get_player(player_id: str, engine: EngineOf, key: Reading) -> PlayerView:
    """Everything known of a player: profile, facts, statistics, segments, consents, exclusions, runs under way."""
    return await read_player(player_id, engine, key)


async def read_player(player_id: str, engine: ApiEngine, key: Key, *, with_runs: bool = True) -> PlayerView:
    """What `get_player` answers. Without runs, for a page that shows none, it is one statement less."""
    async with engine.database.reading() as connection:
        row = await _read_player(connection, key.brand, player_id)
        if row is None:
            raise missing("player")
        under_way = (
            select(runs)
            .where(runs.c.brand == key.brand, runs.c.player_id == player_id, runs.c.state == "active")
            .order_by(runs.c.entered_at.desc(), runs.c.id.desc())
        )
        running = (await connection.execute(under_way)).all() if with_runs else []
    state, now = row.player_state(), engine.clock()
    return PlayerView(
        **dict(summary_of(row, state, now)),
        # A token says nothing to people, and whoever has it can write to the device.
        profile={name: value for name, value in row.profile.items() if not name.startswith(DEVICE)},
        facts=state.facts,
        statistics=_statistics(state, engine.intake.rules.measures, now),
        segments=[Belonging(segment=name, since=since) for name, since in sorted(state.segments.items())],
        consents=[ConsentView.of(state, key) for key in sorted(state.consents)],
        exclusions=[
            ExclusionView(kind=e.kind, scope=e.scope, until=e.until, in_force=e.until is None or e.until > now)
            for e in state.exclusions
        ],
        accounts=state.accounts,
        harm=_harm(engine, state, now),
        running=[RunView.model_validate(run) for run in running],
    )


@router.post(
    "/{player_id}/exclusion",
    status_code=202,
    responses={**COMMON, **documented(404, 409), 200: {"model": Excluded, "description": "It was in force before."}},
)
async def exclude_player(
    player_id: str,
    body: ExclusionBody,
    engine: EngineOf,
    actor: Annotated[Actor, acts("events:write", "tasks:work", looked_up=False)],
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> Excluded:
    """Leave a player alone from now on. When this is answered it is in force: nothing is sold or given any more.

    Runs under way are told to stop in the same transaction. A player nobody heard of yet is excluded too. Without an
    `Idempotency-Key` a wish that is in force already is answered with 200 and changes nothing. A key whose exclusion
    has ended since is answered with 409: it excludes nobody any more.
    """
    if not is_player_id(player_id):
        raise missing("player")
    with engine.intake.precedence.protecting():
        return await _exclude(player_id, body, engine, actor, response, idempotency_key)


async def _exclude(
    player_id: str,
    body: ExclusionBody,
    engine: ApiEngine,
    actor: Actor,
    response: Response,
    idempotency_key: str | None,
) -> Excluded:
    now = engine.clock()
    if body.until is not None and body.until <= now:
        fault = {"pointer": "/until", "detail": "This moment has passed; leave it out to exclude for ever."}
        raise Problem("invalid", CORRECT, errors=[fault])
    state = None if idempotency_key else await read_state(engine, actor.brand, player_id)
    repeated = _in_force(state, body, now)
    if not repeated:
        event = ExclusionSet(
            event_id=await _event_id(engine, actor, player_id, idempotency_key),
            event_source=_source_of(actor),
            occurred_at=now,
            **body.model_dump(),
        )
        (receipt,) = await engine.intake.ingest(actor.brand, [(player_id, event)], now, key_id=actor.key_id)
        repeated = receipt == "duplicate"
        state = await read_state(engine, actor.brand, player_id)
        now = engine.clock()
        in_force = _in_force(state, body, now)
        if isinstance(receipt, Conflict):
            told = "This key excluded the player before, with other words; use a new one for another wish."
            raise Problem("key-reused", f"{told} The player is excluded as asked all the same." if in_force else told)
        if not in_force:
            raise Problem(
                "exclusion-ended",
                "This exclusion was kept and has ended since. To exclude the player again, send it with a new "
                "Idempotency-Key or without one.",
            )
    response.status_code = 200 if repeated else 202
    return Excluded(
        player_id=player_id,
        brand=actor.brand,
        **body.model_dump(exclude={"reason"}),
        repeated=repeated,
        protected=_protection(state, now) if state else None,
        warning=_warning(engine, actor.brand, body, state, now),
    )


def _warning(
    engine: ApiEngine, brand: str, body: ExclusionBody, state: PlayerState | None, now: datetime
) -> str | None:
    wish = ExclusionSet(event_id="wish", event_source="api", occurred_at=now, **body.model_dump())
    return outside_lengths(wish, engine.policies.at(brand, state.jurisdiction if state else None, now))


def _harm(engine: ApiEngine, state: PlayerState, now: datetime) -> str | None:
    policy = engine.policies.at(state.brand, state.jurisdiction, now)
    strength = stronger(state.harm or "none", strength_of(state.watch.signs, policy.harm_fades_after, now))
    return None if strength == "none" else strength


def _in_force(state: PlayerState | None, body: ExclusionBody, now: datetime) -> bool:
    """Whether a block of this kind and scope holds, at least as long as wished."""
    if state is None:
        return False
    for block in state.exclusions:
        if (block.kind, block.scope) == (body.kind, body.scope):
            if block.until is None:
                return True
            if body.until is not None and now < body.until <= block.until:
                return True
    return False


async def _event_id(engine: ApiEngine, actor: Actor, player_id: str, idempotency_key: str | None) -> str:
    """The identity of an exclusion: the player's and the key's together, or one that nobody else has.

    Before December 2026 the key alone was it; one of those that excluded this player still means that wish.
    """
    if idempotency_key is None:
        return f"exclusion:{secrets.token_hex(16)}"
    first_form = f"exclusion:{hashlib.sha256(idempotency_key.encode()).hexdigest()}"
    query = select(events.c.seq).where(
        events.c.brand == actor.brand,
        events.c.source == _source_of(actor),
        events.c.id == first_form,
        events.c.player_id == player_id,
        events.c.type == ExclusionSet.type,
    )
    async with engine.pools.protection.reading() as connection:
        if (await connection.execute(query)).one_or_none() is not None:
            return first_form
    return f"exclusion:{hashlib.sha256(f'{player_id} {idempotency_key}'.encode()).hexdigest()}"


def _source_of(actor: Actor) -> str:
    return f"api:{actor.name}"


async def read_state(engine: ApiEngine, brand: str, player_id: str) -> PlayerState | None:
    """What the row of a player says, None for one we never heard of."""
    async with engine.pools.protection.reading() as connection:
        row = await _read_player(connection, brand, player_id)
    return None if row is None else row.player_state()


async def _read_player(connection: AsyncConnection, brand: str, player_id: str) -> PlayerRow | None:
    query = select(*COLUMNS).where(players.c.brand == brand, players.c.id == player_id)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else PlayerRow(*row)


def summary_of(row: PlayerRow, state: PlayerState, now: datetime) -> PlayerSummary:
    """A player as a list shows them."""
    return PlayerSummary(
        id=row.id,
        status=state.status_at(now),
        tier=state.facts.get("tier"),
        protected=_protection(state, now),
        runs=sum(not run.over for run in state.runs.values()),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _protection(state: PlayerState, now: datetime) -> Protection | None:
    reason = state.protected(now)
    if reason is None:
        return None
    return Protection(reason=reason, detail=PROTECTION.get(reason, "The player is left alone."))


def _measured(measure: Measure, value: int) -> MeasureView:
    return MeasureView(measure=measure.key, words=measure.words, value=value, is_known=value > 0 or measure.is_counted)


def _statistics(state: PlayerState, measures: Iterable[Measure], now: datetime) -> PlayerStatistics:
    facts = journey_facts(state)
    known = Statistics(state, now)
    return PlayerStatistics(
        events=state.counts,
        last=state.last,
        deposits=facts.deposits,
        deposited_minor=facts.deposited_minor,
        mean_deposit_minor=facts.deposited_minor // facts.deposits if facts.deposits else 0,
        favourite_category=facts.favourite_category,
        measures=[_measured(one, known[one]) for one in measures],
    )
