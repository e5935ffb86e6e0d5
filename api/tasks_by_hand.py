"""Tasks that people open by hand, of the kinds of the house; what is done with them is in `api.task_actions`."""

import hashlib
import secrets
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from activities import tasks
from activities.actors import Actor
from activities.audit.trail import about
from activities.people import actor_of
from activities.player_rows import lock_state
from activities.standalone_tasks import StandaloneTask
from activities.task_assignment import assignee_for
from activities.task_rows import TaskConflict, TaskRequest
from api.dependencies import EngineOf
from api.json_types import Line, Prose
from api.permissions import Key, acts, needs
from api.problems import COMMON, CORRECT, Problem, documented, missing
from api.runs import IdempotencyKey
from api.task_actions import problem_of
from api.tasks import TaskView, shown
from workflows.events import Instant
from workflows.json_object import JsonObject
from workflows.player_state.account_status import DECEASED
from workflows.player_state.journey_facts import journey_facts
from workflows.player_state.state import PlayerState
from workflows.task_kinds import TASK_KINDS, Purpose

router = APIRouter(prefix="/v1/tasks", tags=["tasks"])

KindName = StrEnum("KindName", {name.upper(): name for name in TASK_KINDS})  # type: ignore[misc]  # one fact, one place
_PROTECTED: Final = {
    "self_excluded": "The player is self-excluded",
    "time_out": "The player takes a time-out",
    "account_not_active": "The player's account is not active",
}
_EXAMPLE: Final[JsonObject] = {
    "kind": "withdrawal_comfort",
    "player_id": "p-1001",
    "reason": "She wrote twice about her withdrawal of Monday.",
}


class NewTask(BaseModel):
    """A task about a player, of one of the kinds of the house."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    kind: KindName
    player_id: Line
    reason: Prose = Field(description="Why, for whoever does it. It may be personal and is erased with the player.")
    due_at: Instant | None = Field(None, description="Absent: the time of its kind from now.")
    assignee: Line | None = Field(
        None, description="Whose it is, by address or id; absent: the player's host's, or by skill, language and time."
    )


class TaskKindView(BaseModel):
    """A kind of task that people can open by hand."""

    kind: str
    form: str
    question: str
    team: str
    skill: str | None = None
    escalate_to: str | None = None
    due_minutes: int = Field(description="How long it has, if nothing else is said.")
    work_minutes: int = Field(description="How much of somebody's day it takes.")
    approvals: int
    purpose: Purpose = Field(description="`contact` is refused and closed while the player is protected.")
    forbidden: list[str]
    form_schema: JsonObject


class TaskKindList(BaseModel):
    """Every kind of task of the house."""

    items: list[TaskKindView]


@router.get("/kinds", responses=COMMON)
async def list_task_kinds(_: Annotated[Key, needs("tasks:work")]) -> TaskKindList:
    """The kinds of task that people can open by hand, each with its form, its team and its time."""
    return TaskKindList(
        items=[
            TaskKindView(
                kind=name,
                form=kind.form.__name__,
                question=kind.question,
                team=kind.team,
                skill=kind.skill,
                escalate_to=kind.escalate_to,
                due_minutes=int(kind.due.total_seconds() // 60),
                work_minutes=kind.minutes,
                approvals=kind.approvals,
                purpose=kind.purpose,
                forbidden=[*kind.forbidden],
                form_schema=kind.form.model_json_schema(),
            )
            for name, kind in TASK_KINDS.items()
        ]
    )


@router.post("", status_code=201, responses={**COMMON, **documented(403, 404, 409), 200: {"model": TaskView}})
async def open_task(
    body: NewTask,
    engine: EngineOf,
    actor: Annotated[Actor, acts("tasks:work")],
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> TaskView:
    """Put a task about a player before somebody.

    It goes to `assignee`, else to the player's host or who stands in for them, else to who has the team, the skill, the
    language and the time; else it waits for its team. 409 where it would have a protected player approached, and for a
    player who was erased. With an `Idempotency-Key` a repetition answers 200 with the task of the first time.
    """
    now, kind = engine.clock(), TASK_KINDS[body.kind]
    due_at = body.due_at or now + kind.due
    if due_at <= now:
        fault = {"pointer": "/due_at", "detail": "This moment has passed; give one that is to come, or none."}
        raise Problem("invalid", CORRECT, errors=[fault])
    task_id = _id_of(actor, body.player_id, idempotency_key)
    async with engine.pools.ordinary.patient_transaction() as connection:
        # Locked, so that a protection that begins now either stands against it or closes it.
        state = await lock_state(connection, actor.brand, body.player_id)
        if state is None:
            raise missing("player")
        about(player_id=body.player_id)
        again = await tasks.find(connection, actor.brand, task_id)
        if again is None and (refused := _against(state, body.kind, now)) is not None:
            raise refused
        facts = journey_facts(state)
        task = StandaloneTask.by_hand(body.kind, task_id, body.reason, facts, actor, now, due_at)
        opened = await tasks.open_alone(connection, actor.brand, await _given(connection, task, body, actor))
        if opened and body.assignee is not None:
            await _hand_over(connection, task, body.assignee, actor)
        row = await tasks.find(connection, actor.brand, task_id)
        if row is None:
            raise missing("task")
        response.status_code = 201 if opened else 200
        return await shown(connection, row, response)


def _against(state: PlayerState, kind: str, now: datetime) -> Problem | None:
    """What stands against a task of a kind: the player was erased, or is to be approached by nobody."""
    if state.is_erased:
        return Problem("player-protected", "The player was erased: no task about them is opened any more.")
    reason = state.protected(now)
    if reason is None or TASK_KINDS[kind].purpose == "protective":
        return None
    why = "The player has died" if state.status_at(now) == DECEASED else _PROTECTED[reason]
    return Problem("player-protected", f"{why}: no task that has somebody approach them is opened.")


async def _given(connection: AsyncConnection, task: StandaloneTask, body: NewTask, actor: Actor) -> StandaloneTask:
    """The task in the hands of whom it is given to by itself; what counts pairs of eyes is its team's."""
    if body.assignee is not None or task.approvals > 1:
        return task
    given_to = await assignee_for(
        connection,
        (actor.brand, task.player_id),
        task.form,
        team=task.team,
        skill=task.skill,
        language=task.snapshot.get("language"),
        now=task.created_at,
    )
    return replace(task, assignee=given_to)


async def _hand_over(connection: AsyncConnection, task: StandaloneTask, assignee: str, actor: Actor) -> None:
    """Give the task to who was named. Raises `Problem` where they do not work here, or may not have it."""
    if await actor_of(connection, actor.brand, assignee, task.created_at) is None:
        raise missing("person in this brand")
    request = TaskRequest(actor.brand, task.id, actor, task.created_at)
    outcome = await tasks.reassign(connection, request, None, assignee=assignee)
    if isinstance(outcome, TaskConflict):
        raise problem_of(outcome)


def _id_of(actor: Actor, player_id: str, idempotency_key: str | None) -> str:
    """The identity of a task: that of the wish, or one that nobody else has."""
    if idempotency_key is None:
        return secrets.token_hex(12)
    wish = f"{actor.brand} {actor.key_id or actor.id} {player_id} by-hand {idempotency_key}"
    return hashlib.sha256(wish.encode()).hexdigest()[:24]
