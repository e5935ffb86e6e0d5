"""What people do with tasks: claim, release, answer, comment, pass on, put off.

Conflicts are told after Camunda: 409 when somebody else was first, 412 when the caller's copy is stale. A repeated
request that already had its effect is answered like the first.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.api_keys import NAME
from activities.runs import OPEN_STATES
from activities.tables import task_history, tasks
from api.auth import Actor, acts
from api.dependencies import ApiEngine, EngineOf
from api.form_validation import faults_of, same
from api.json_types import Document, Line, Prose
from api.problems import COMMON, Problem, documented, missing
from api.tasks import TaskView, etag, shown
from workflows.events import Instant

router = APIRouter(prefix="/v1/tasks/{task_id}", tags=["tasks"])

_MOVE = {**COMMON, **documented(404, 409, 412)}


def _without_default(schema: dict[str, Any]) -> None:
    schema.pop("default")


class Completion(BaseModel):
    """The answer to a task."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"answer": {"outcome": "approve", "note": "Payslips seen."}}]}
    )

    answer: Document = Field(description="An object that the task's `form_schema` describes.")


class Comment(BaseModel):
    """Something to remember about a task."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"text": "Called twice, no answer."}]})

    text: Prose


class ReleaseBody(BaseModel):
    """Why a task is given back."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"comment": "I am away tomorrow."}]})

    comment: Prose | None = None


class Reassignment(BaseModel):
    """Who takes a task over: one person, or a team in which anybody may claim it."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"assignee": "olena@example.com"}, {"team": "compliance"}],
            "oneOf": [{"required": ["assignee"]}, {"required": ["team"]}],
        },
    )

    # Empty is "not given" and cannot be given, so that the document can say "one of both" without nulls.
    assignee: Annotated[str, Field(pattern=f"^{NAME}$", json_schema_extra=_without_default)] = ""
    team: Annotated[Line, Field(json_schema_extra=_without_default)] = ""
    comment: Prose | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "Reassignment":
        if bool(self.assignee) == bool(self.team):
            raise ValueError("give either an assignee or a team")
        return self


class Changes(BaseModel):
    """What of a task to change; what is absent stays. A follow-up of null shows the task again."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"priority": 80, "follow_up_at": "2026-01-16T08:00:00Z"}]}
    )

    priority: Annotated[int, Field(ge=0, le=100)] = 50
    follow_up_at: Instant | None = None


ActorOf = Annotated[Actor, acts("tasks:work")]
_IF_MATCH = Header(
    alias="If-Match",
    max_length=200,
    description="The ETag the caller read; 412 when the task changed since.",
    examples=['"3"'],
)
IfMatch = Annotated[str | None, _IF_MATCH]
Seen = Annotated[str, _IF_MATCH]


@router.post("/claim", responses=_MOVE)
async def claim_task(
    task_id: str, engine: EngineOf, actor: ActorOf, response: Response, if_match: IfMatch = None
) -> TaskView:
    """Take a task, so that nobody else works on it. 409 when somebody else was first; claiming twice is one claim."""
    async with _moving(engine, actor, task_id) as move:
        if move.task.assignee != actor.name or move.task.state != "claimed":
            move.must_be_open()
            move.must_not_be_of_another()
            move.must_match(if_match)
            await move.change("claimed", state="claimed", assignee=actor.name)
        return await shown(move.connection, move.task, response)


@router.post("/release", responses=_MOVE)
async def release_task(
    task_id: str,
    engine: EngineOf,
    actor: ActorOf,
    response: Response,
    given: ReleaseBody | None = None,
    if_match: IfMatch = None,
) -> TaskView:
    """Give a task back to its team; a comment helps the next person. Only who has claimed it may."""
    async with _moving(engine, actor, task_id) as move:
        move.must_be_open()
        if move.task.assignee is not None:
            move.must_not_be_of_another()
            move.must_match(if_match)
            await move.change("released", given.comment if given else None, state="open", assignee=None)
        return await shown(move.connection, move.task, response)


@router.post("/complete", responses=_MOVE)
async def complete_task(
    task_id: str, given: Completion, engine: EngineOf, actor: ActorOf, response: Response, if_match: IfMatch = None
) -> TaskView:
    """Answer a task; the journey hears of it even if everything restarts in between.

    The answer must fit the form, or each fault is pointed at with 422. Whoever claimed the task answers it; an
    unclaimed one may be answered by anybody, which claims it. The same answer again is the same answer; another one
    is a conflict.
    """
    async with engine.database.reading() as connection:
        query = select(tasks).where(tasks.c.id == task_id, tasks.c.brand == actor.brand)
        row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise missing("task")
    form = engine.registry.forms.get(row.journey, {}).get(row.form)
    if faults := faults_of(given.answer, row.form_schema, form):
        raise Problem("invalid", "The answer does not fit the form; correct what errors lists.", errors=faults)
    async with _moving(engine, actor, task_id, player_id=row.player_id) as move:
        if move.task.state == "completed":
            if not same(move.task.answer, given.answer):
                detail = f"{move.task.answered_by} gave another answer; it stands, and the journey goes on with it."
                raise Problem("task-answered", detail)
        else:
            move.must_be_open()
            move.must_not_be_of_another()
            move.must_match(if_match)
            await move.answer(given.answer)
        return await shown(move.connection, move.task, response)


@router.post("/comment", responses=_MOVE)
async def comment_task(task_id: str, given: Comment, engine: EngineOf, actor: ActorOf, response: Response) -> TaskView:
    """Add a comment to a task's history, open or closed."""
    async with _moving(engine, actor, task_id) as move:
        await move.change("commented", given.text)
        return await shown(move.connection, move.task, response)


@router.post("/reassign", responses=_MOVE)
async def reassign_task(
    task_id: str, given: Reassignment, engine: EngineOf, actor: ActorOf, response: Response, if_match: IfMatch = None
) -> TaskView:
    """Pass a task on to a person, who has then claimed it, or to a team. Also somebody else's task."""
    async with _moving(engine, actor, task_id) as move:
        move.must_be_open()
        if given.assignee:
            changes: dict[str, Any] = {"state": "claimed", "assignee": given.assignee}
        else:
            changes = {"state": "open", "assignee": None, "team": given.team}
        if any(getattr(move.task, name) != value for name, value in changes.items()):
            move.must_match(if_match)
            to = {"assignee": given.assignee} if given.assignee else {"team": given.team}
            await move.change("reassigned", given.comment, to, **changes)
        return await shown(move.connection, move.task, response)


@router.patch("", responses={**_MOVE, **documented(428)})
async def change_task(
    task_id: str, given: Changes, engine: EngineOf, actor: ActorOf, response: Response, if_match: Seen
) -> TaskView:
    """Change a task's priority or put it off until a follow-up date. `If-Match` is required.

    The deadline belongs to the journey and cannot be changed here.
    """
    async with _moving(engine, actor, task_id) as move:
        move.must_be_open()
        move.must_match(if_match)
        changes = {name: getattr(given, name) for name in given.model_fields_set}
        if changes:
            await move.change("changed", None, given.model_dump(mode="json", exclude_unset=True), **changes)
        return await shown(move.connection, move.task, response)


@dataclass
class Move:
    """One person's work on one locked task. Its checks raise the `Problem` that stops it."""

    connection: AsyncConnection
    actor: Actor
    task: Row[Any]
    now: datetime
    #: Delivers an answer to the run in this transaction; False when the run is over.
    deliver: Any = None

    def must_be_open(self) -> None:
        """409 for a task that takes no more work."""
        if self.task.state not in OPEN_STATES:
            raise Problem("task-closed", f"The task is {self.task.state}; it can only be read and commented.")

    def must_not_be_of_another(self) -> None:
        """409 for a task that somebody else has claimed."""
        if self.task.assignee not in (None, self.actor.name):
            detail = f"{self.task.assignee} has claimed the task; ask them to release it, or reassign it."
            raise Problem("task-claimed", detail)

    def must_match(self, if_match: str | None) -> None:
        """412 for a caller who read another version."""
        if if_match is None or if_match.strip() == "*":
            return
        if etag(self.task.version) not in [tag.strip() for tag in if_match.split(",")]:
            detail = f"The task is at version {self.task.version} now; read it again and decide anew."
            raise Problem("stale", detail, headers={"ETag": etag(self.task.version)})

    async def answer(self, answer: dict[str, Any]) -> None:
        """Close the task with an answer and write its delivery to the run."""
        if not self.deliver(answer):
            raise Problem(
                "run-ended", "The journey is over for this player; the task will be closed without an answer."
            )
        await self.change(
            "completed",
            state="completed",
            assignee=self.actor.name,
            answered_by=self.actor.name,
            answer=answer,
            closed_at=self.now,
        )

    async def change(
        self, action: str, comment: str | None = None, detail: dict[str, Any] | None = None, **values: Any
    ) -> None:
        """Write the task's new values, if any, its next version and the line of its history."""
        changed = await self.connection.execute(
            update(tasks)
            .where(tasks.c.id == self.task.id)
            .values(version=tasks.c.version + 1, **values)
            .returning(tasks)
        )
        self.task = changed.one()
        await self.connection.execute(
            insert(task_history).values(
                task_id=self.task.id,
                brand=self.actor.brand,
                at=self.now,
                actor=self.actor.name,
                action=action,
                text=comment,
                detail=detail or {},
            )
        )


@asynccontextmanager
async def _moving(engine: ApiEngine, actor: Actor, task_id: str, player_id: str | None = None) -> AsyncIterator[Move]:
    """One transaction with the task's row locked, after its player's where the run is to be told.

    Player before task is the order everybody locks in.
    """
    now = engine.clock()
    async with engine.database.transaction() as connection:
        if player_id is None:
            yield await _locked(connection, actor, task_id, now)
            return
        async with engine.intake.locked(connection, actor.brand, [player_id], now) as players:
            move = await _locked(connection, actor, task_id, now)
            run_id, step = move.task.run_id, move.task.step
            move.deliver = lambda answer: players.answer(player_id, run_id, step, answer)
            yield move


async def _locked(connection: AsyncConnection, actor: Actor, task_id: str, now: datetime) -> Move:
    query = select(tasks).where(tasks.c.id == task_id, tasks.c.brand == actor.brand).with_for_update()
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise missing("task")
    return Move(connection, actor, row, now)
