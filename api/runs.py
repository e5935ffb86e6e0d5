"""Runs of journeys: listed, read, started and stopped by hand."""

import hashlib
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, Header, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.run_effects import RunEffects
from activities.run_problems import TROUBLES, Trouble, troubles
from activities.runs import COLUMNS, STOPPED, RunRow, find, find_by_cause
from activities.step_log import record_steps
from activities.tables import dead_letters, deliveries, runs, steps
from api.cloudevents import PLAYER_ID
from api.dependencies import ApiEngine, EngineOf
from api.json_types import Line, Prose, Switch
from api.pagination import Filter, Page, PageQuery, where_given
from api.permissions import Key, needs
from api.problems import COMMON, Problem, documented, missing, undeclared
from api.run_status import FailingEffect, ask_status
from workflows.declaration import Journey
from workflows.effects import EffectInput, End
from workflows.json_object import JsonObject
from workflows.player_state.decisions import Start
from workflows.player_state.rival_runs import rivals
from workflows.player_state.state import PlayerState
from workflows.run_protocol import Position

router = APIRouter(prefix="/v1/runs", tags=["runs"])

Reading = Annotated[Key, needs("journeys:manage", "players:read")]
Managing = Annotated[Key, needs("journeys:manage")]

STEPS = 1_000

IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="Makes a repetition safe: the same key from the same API key is one and the same wish. Kept for "
        "good.",
        examples=["b0a7c3d2-6f1e-4a53-9d2b-1f0c9a8e7d65"],
    ),
]


class RunView(BaseModel):
    """A player's way through a journey. `control` runs are played with marketing and bonuses withheld."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "id": "welcome:acme:p-1001:6f1c0a93be27",
                    "journey": "welcome",
                    "player_id": "p-1001",
                    "arm": "treated",
                    "state": "active",
                    "version": 8,
                    "entered_at": "2026-01-15T12:00:00Z",
                    "ends_at": "2026-01-29T12:00:00Z",
                    "trigger": {"type": "player.registered", "id": "reg-1", "source": "/accounts"},
                    "goal_until": "2026-01-22T12:00:00Z",
                }
            ]
        },
    )

    id: str
    journey: str
    player_id: str
    arm: Literal["treated", "control"]
    state: Literal["active", "ended"]
    entered_at: datetime
    ends_at: datetime = Field(description="The run is over then, wherever it stands.")
    trigger: JsonObject | None = Field(None, description="What let the player in: an event, a run or a person.")
    ended_at: datetime | None = None
    version: int = Field(description="The release of the journey that it plays; 0 from before there were any.")
    moving_from: int | None = Field(
        None, description="The release that it plays still: it was told to move and has not come to a wait since."
    )
    outcome: str | None = Field(None, description="How it ended; `refused:…` when a protected player was let alone.")
    goal_until: datetime | None = None
    goal_at: datetime | None = Field(None, description="When the goal was reached in time.")


class StepView(BaseModel):
    """One thing a run did, and what came of it."""

    model_config = ConfigDict(from_attributes=True)

    at: datetime
    step: str = Field(examples=["send:welcome#1"])
    outcome: str = Field(examples=["sent"])
    detail: JsonObject = Field(default_factory=dict)


class RunDetail(RunView):
    """A run with its story and, if Temporal answers, where it stands right now."""

    steps: list[StepView] = Field(description="The last thousand, oldest first.")
    position: Position | None = Field(None, description="From the run itself; absent when it cannot be asked.")
    position_missing: str | None = Field(None, description="Why there is no position.")
    failing: FailingEffect | None = Field(None, description="What the run tries again and again; see the worker's log.")
    deliveries: int = Field(description="What the run has not heard yet.")


class ProblemView(BaseModel):
    """What is wrong with a run."""

    kind: Trouble = Field(
        description="An effect keeps failing; the journey's code does; it should have ended an hour ago; Temporal lost "
        "it; something for it was refused for good; nobody knows whether a reward was paid."
    )
    since: datetime
    step: str | None = Field(None, description="Where it stands, if that is known.", examples=["grant:points#1"])
    error: str | None = Field(None, description="What was said last.")


class ListedRun(RunView):
    """A run in a list; with what is wrong with it in a list of problems."""

    problem: ProblemView | None = Field(None, description="In a list that was asked for with `problem`.")


class RunQuery(PageQuery):
    """Which runs."""

    problem: Trouble | Literal["any"] | None = Field(
        None, description="Only runs that are stuck or lost so, the longest first."
    )

    journey: Filter | None = None
    player: Filter | None = None
    state: Literal["active", "ended"] | None = None
    arm: Literal["treated", "control"] | None = None
    version: Annotated[int | None, Field(ge=0, le=1_000_000, description="Of the journey; name it as well.")] = None
    outcome: Filter | None = None


class StartRunBody(BaseModel):
    """Which player enters which journey."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"journey": "win_back", "player_id": "p-1001"}]}
    )

    journey: Line
    player_id: Annotated[str, Field(pattern=PLAYER_ID)]


class StopRunBody(BaseModel):
    """Why a run is stopped."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "The offer was wrong."}]})

    reason: Prose
    force: Switch = Field(
        default=False, description="End the run here alone. Only for one Temporal has lost, as its dead letter says."
    )


@router.get("", responses=COMMON)
async def list_runs(engine: EngineOf, key: Reading, query: Annotated[RunQuery, Query()]) -> Page[ListedRun]:
    """Runs of both arms, the newest entry first; with `problem` those that are stuck, the longest first.

    One with two problems is listed twice then.
    """
    if query.problem is not None:
        return await _stuck_runs(engine, key, query)
    chosen = where_given(
        select(*COLUMNS).where(runs.c.brand == key.brand),
        (runs.c.journey, query.journey),
        (runs.c.player_id, query.player),
        (runs.c.state, query.state),
        (runs.c.arm, query.arm),
        (runs.c.version, query.version),
        (runs.c.outcome, query.outcome),
    )
    chosen = query.newest_first(chosen, key.brand, runs.c.entered_at, runs.c.id)
    async with engine.database.reading() as connection:
        rows = (await connection.execute(chosen)).all()
    kept, token = query.page(key.brand, rows, lambda row: (row.entered_at, row.id))
    return Page(items=[ListedRun(**RunView.model_validate(row).model_dump()) for row in kept], next_page_token=token)


async def _stuck_runs(engine: ApiEngine, key: Key, query: RunQuery) -> Page[ListedRun]:
    wanted = TROUBLES if query.problem == "any" else [one for one in TROUBLES if one == query.problem]
    after = cast("tuple[datetime, str, str] | None", query.after(key.brand, datetime, str, str))
    async with engine.database.reading() as connection:
        found = await troubles(
            connection,
            key.brand,
            wanted,
            engine.clock(),
            query.size + 1,
            narrowed={
                "journey": query.journey,
                "player_id": query.player,
                "state": query.state,
                "arm": query.arm,
                "version": None if query.version is None else str(query.version),
                "outcome": query.outcome,
            },
            after=after,
        )
        kept, token = query.page(key.brand, found, lambda one: (one.since, one.run_id, one.problem))
        stuck = select(*COLUMNS).where(runs.c.id.in_({one.run_id for one in kept}))
        rows = {row.id: RunView.model_validate(row) for row in await connection.execute(stuck)}
    items = [
        ListedRun(
            **rows[one.run_id].model_dump(),
            problem=ProblemView(kind=one.problem, since=one.since, step=one.step, error=one.error),
        )
        for one in kept
        if one.run_id in rows
    ]
    return Page(items=items, next_page_token=token)


@router.get("/{run_id}", responses={**COMMON, **documented(404)})
async def get_run(run_id: str, engine: EngineOf, key: Reading) -> RunDetail:
    """A run, everything it did, and where it stands."""
    async with engine.database.reading() as connection:
        row = await _existing(connection, key.brand, run_id)
        newest = select(steps).where(steps.c.run_id == run_id).order_by(steps.c.seq.desc()).limit(STEPS)
        story = (await connection.execute(newest)).all()
        waiting = select(func.count()).select_from(deliveries).where(deliveries.c.run_id == run_id)
        unheard = (await connection.execute(waiting)).scalar_one()
    status = await ask_status(engine, row)
    return RunDetail(
        **RunView.model_validate(row).model_dump(),
        steps=[StepView.model_validate(step) for step in sorted(story, key=lambda step: (step.at, step.seq))],
        position=status.position,
        position_missing=status.position_missing,
        failing=status.failing,
        deliveries=unheard,
    )


@router.post("", status_code=201, responses={**COMMON, **documented(404, 409), 200: {"model": RunView}})
async def start_run(
    body: StartRunBody, engine: EngineOf, key: Managing, response: Response, idempotency_key: IdempotencyKey = None
) -> RunView:
    """Let a player into a journey by hand. Its entry rule and its control group hold; 409 says why not.

    With an `Idempotency-Key` a repetition answers 200 with the run of the first time.
    """
    journey = engine.registry.journeys.get(body.journey)
    if journey is None:
        raise undeclared("journey", body.journey, engine.registry.journeys)
    now = engine.clock()
    cause = {"type": "manual", "id": _cause_id(idempotency_key, now), "source": key.name}
    async with (
        engine.pools.ordinary.patient_transaction() as connection,
        engine.intake.locked(connection, key.brand, [body.player_id], now) as locked,
    ):
        state = locked.states.get(body.player_id)
        if state is None:
            raise missing("player")
        if (known := await find_by_cause(connection, key.brand, body.player_id, cause)) is not None:
            if known.journey != journey.name:
                raise Problem("key-reused", f"This key started {known.journey} before; use a new one for another wish.")
            response.status_code = 200
            return RunView.model_validate(known)
        if journey.name in locked.rules.closed:
            raise Problem("entry-refused", f"{journey.name} is closed; open it before anybody enters.")
        if (why := entry_refusal(state, journey, now)) is not None:
            raise Problem("entry-refused", why)
        decisions = state.enter(journey, None, now, cause)
        locked.record(body.player_id, decisions)
        started = next((d for d in decisions if isinstance(d, Start)), None)
        if started is None:
            raise Problem("entry-refused", f"The entry rule of {journey.name} does not allow it now.")
    async with engine.database.reading() as connection:
        row = await _existing(connection, key.brand, started.run_id)
    response.headers["Location"] = f"/v1/runs/{started.run_id}"
    return RunView.model_validate(row)


@router.post("/{run_id}/stop", status_code=202, responses={**COMMON, **documented(404, 409)})
async def stop_run(run_id: str, body: StopRunBody, engine: EngineOf, key: Managing) -> RunView:
    """Tell a run to end. It ends at its next step; one that is only tracked at once. Stopping twice is stopping once.

    The reason is kept in the run's story and never leaves Postgres.
    """
    async with engine.database.reading() as connection:
        row = await _existing(connection, key.brand, run_id)
        buried = select(dead_letters.c.id).where(dead_letters.c.run_id == run_id).limit(1)
        lost = (await connection.execute(buried)).one_or_none() is not None
    if row.state == "ended":
        raise _ended()
    whose: dict[str, Any] = {"brand": row.brand, "player_id": row.player_id, "journey": row.journey, "run_id": run_id}
    if body.force:
        if not lost:
            raise Problem("not-lost", "Temporal has not lost this run; stop it without force.")
        end = End(**whose, step="end", outcome=STOPPED)
        await RunEffects(engine.database, engine.intake, engine.clock).end(end)
    now = engine.clock()
    async with (
        engine.pools.ordinary.patient_transaction() as connection,
        engine.intake.locked(connection, key.brand, [row.player_id], now) as locked,
    ):
        state = locked.states[row.player_id]
        run = state.runs.get(run_id)
        if not body.force and (run is None or run.over):
            raise _ended()
        if run is None or not run.stopping:
            locked.record(row.player_id, state.stop(run_id, STOPPED, now))
            await record_steps(
                connection, EffectInput(**whose, step="stop"), now, STOPPED, {"by": key.name, "reason": body.reason}
            )
    async with engine.database.reading() as connection:
        return RunView.model_validate(await _existing(connection, key.brand, run_id))


def _ended() -> Problem:
    return Problem("run-ended", "The run is over already; there is nothing to stop.")


def manual_start_refusal(journey: Journey) -> str | None:
    """Why nobody may be let into a journey without an event, as a sentence; None when that may be."""
    if journey.entry.kind == "per":
        return f"{journey.name} is entered once for each {journey.entry.field} of an event; send the event instead."
    if journey.uses_trigger:
        return (
            f"{journey.name} reads the event it begins with, so without one it would fail; send the event instead, or "
            "declare that it may be None and say what happens then."
        )
    return None


def entry_refusal(  # noqa: PLR0911 - one sentence a reason
    state: PlayerState, journey: Journey, now: datetime
) -> str | None:
    """Why a person may not let this player into a journey now, as a sentence; None when nothing speaks against it."""
    if (reason := state.protected(now)) is not None:
        return f"The player is left alone ({reason}); no journey may begin."
    if (why := manual_start_refusal(journey)) is not None:
        return why
    entries = state.entries.get(journey.name)
    last = entries.last if entries and entries.last else now
    match state.refusal(journey, None, now):
        case None:
            return None
        case "other_brand":
            return f"{journey.name} is not for players of {state.brand}; add the brand to its brands=."
        case "in_it":
            return f"The player is in {journey.name} already; wait until that run has ended, or stop it."
        case "once":
            return f"{journey.name} is entered once in a player's life, and was on {last:%Y-%m-%d}."
        case "too_soon":
            again = last + (journey.entry.period or timedelta(0))
            return f"{journey.name} may be entered again from {again:%Y-%m-%d %H:%M} UTC on."
        case "outranked":
            others = ", ".join(run.journey for run in rivals(state.runs, journey).values())
            return f"The player plays one journey of {journey.one_of} at a time, and is in {others}."
        case _:
            return f"The entry rule of {journey.name} does not allow it now."


def _cause_id(idempotency_key: str | None, now: datetime) -> str:
    """What identifies a start by hand: the caller's key, hashed, or an id that nobody else has."""
    if idempotency_key is None:
        return f"at-{now.isoformat()}"
    return hashlib.sha256(idempotency_key.encode()).hexdigest()[:32]


async def _existing(connection: AsyncConnection, brand: str, run_id: str) -> RunRow:
    """A brand's run. Raises `Problem` 404."""
    row = await find(connection, brand, run_id)
    if row is None:
        raise missing("run")
    return row
