"""Human tasks, listed and read. What is done with them is in `api.task_actions`."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import Row, Select, literal, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.tables import task_history, tasks
from activities.task_rows import TaskRow
from activities.task_tables import in_states
from activities.tasks import find
from api.dependencies import EngineOf
from api.pagination import Filter, Page, PageQuery, where_given
from api.permissions import Key, needs
from api.player_glances import PlayerGlance, glances_in, with_glances
from api.problems import COMMON, documented, missing
from workflows.json_object import JsonObject

router = APIRouter(prefix="/v1/tasks", tags=["tasks"])

#: Lines of its history that come with a task.
HISTORY_SHOWN: Final = 50

State = Literal["open", "claimed", "completed", "expired", "cancelled"]

_TASK_EXAMPLE: JsonObject = {
    "id": "5f1c0e7a9b3d4c2e8f60a1b2",
    "player_id": "p-1001",
    "run_id": "vip_onboarding:acme:p-1001:c2d94b7710e5",
    "journey": "vip_onboarding",
    "step": "ask:Affordability#1",
    "form": "Affordability",
    "question": "Is this player's spend affordable and sustainable?",
    "team": "vip",
    "skill": "aml",
    "reason": "Deposits tripled in a week.",
    "forbidden": ["offer a bonus"],
    "state": "open",
    "priority": 50,
    "due_at": "2026-01-17T12:00:00Z",
    "escalate_to": "vip-head",
    "created_at": "2026-01-15T12:00:00Z",
    "version": 1,
}


class TaskSummary(BaseModel):
    """A question to people, as the list shows it."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [_TASK_EXAMPLE]})

    id: str
    player_id: str
    run_id: str | None = Field(None, description="Absent where the engine itself asks, as of signs of harm.")
    journey: str | None = None
    step: str
    form: str
    question: str
    team: str
    skill: str | None = None
    not_by: list[str] = Field([], description="Forms of this run; who answered one of them may not answer this.")
    approvals: int = Field(1, description="How many people must give the same answer.")
    reason: str
    forbidden: list[str] = Field(description="What the person must not do.")
    state: State
    assignee: str | None = None
    priority: int = Field(description="0 to 100, the highest first.")
    due_at: datetime
    follow_up_at: datetime | None = Field(None, description="Until then the task is left out of the list.")
    reminded_at: datetime | None = None
    escalated_at: datetime | None = None
    escalate_to: str | None = None
    closed_at: datetime | None = None
    created_at: datetime
    version: int = Field(description="The ETag without its quotes.")
    player: PlayerGlance | None = Field(None, description="In a list that was asked for with `show_player`.")


class HistoryLine(BaseModel):
    """Who did what to a task."""

    model_config = ConfigDict(from_attributes=True)

    at: datetime
    actor: str = Field(description="A key's name, the person named in X-Actor, or `engine`.")
    action: str
    text: str | None = None
    detail: JsonObject = Field(default_factory=dict)


class TaskView(TaskSummary):
    """A task with all that is needed to answer it."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                _TASK_EXAMPLE
                | {
                    "form_schema": {
                        "type": "object",
                        "properties": {"outcome": {"enum": ["approve", "reject", "more_documents"]}},
                        "required": ["outcome"],
                    },
                    "snapshot": {"player_id": "p-1001", "language": "uk", "deposits": 51},
                    "history": [{"at": "2026-01-15T12:00:00Z", "actor": "engine", "action": "opened"}],
                }
            ]
        },
    )

    form_schema: JsonObject = Field(description="JSON Schema of the answer.")
    snapshot: JsonObject = Field(description="The player as the journey saw them when it asked.")
    answer: JsonObject | None = None
    answered_by: str | None = None
    proposal: JsonObject | None = Field(
        None, description="The answer that somebody has given, until enough others have given the same."
    )
    history: list[HistoryLine] = Field(
        description=f"The newest {HISTORY_SHOWN} lines, the oldest of them first; `…/history` has all."
    )


class TaskHistoryQuery(PageQuery):
    """Which page of a task's history."""


class TaskQuery(PageQuery):
    """Which tasks, and in which order."""

    state: list[State] = Field(["open", "claimed"], max_length=5)
    team: list[Filter] = Field(default_factory=list, max_length=50, description="Of any of these teams; none: of all.")
    skill: Filter | None = None
    player: Filter | None = None
    journey: Filter | None = None
    assignee: Filter | None = None
    due_before: AwareDatetime | None = None
    due_after: AwareDatetime | None = None
    follow_up: Annotated[
        Literal["due", "later", "all"], Field(description="`due` leaves out what is to be followed up later.")
    ] = "due"
    sort: Annotated[
        Literal["priority", "due"], Field(description="Highest priority first, or what is due soonest first.")
    ] = "priority"
    show_player: Annotated[bool, Field(description="Say who each task's player is, to those who may read players.")] = (
        False
    )


@router.get("", responses=COMMON)
async def list_tasks(
    engine: EngineOf, key: Annotated[Key, needs("tasks:work")], query: Annotated[TaskQuery, Query()]
) -> Page[TaskSummary]:
    """The tasks of the key's brand, what is open or claimed if not told otherwise, the most urgent first."""
    async with engine.database.reading() as connection:
        now = engine.clock()
        shown_too = query.show_player and key.may(("players:read",))
        rows = (await connection.execute(_listed(key.brand, query, now, shown_too=shown_too))).all()
    kept, token = query.page(key.brand, rows, lambda row: _sort_keys(row, query))
    known = glances_in(kept, key.brand, now) if shown_too else {}
    items = [TaskSummary.model_validate(row) for row in kept]
    for item in items:
        item.player = known.get(item.player_id)
    return Page(items=items, next_page_token=token)


@router.get("/{task_id}", responses={**COMMON, **documented(404)})
async def get_task(
    task_id: str, engine: EngineOf, key: Annotated[Key, needs("tasks:work")], response: Response
) -> TaskView:
    """A task with its form, its player as the journey saw them, and its newest history. `ETag` is its version."""
    async with engine.database.reading() as connection:
        task = await find(connection, key.brand, task_id)
        if task is None:
            raise missing("task")
        return await shown(connection, task, response)


@router.get("/{task_id}/history", responses={**COMMON, **documented(404)})
async def list_task_history(
    task_id: str,
    engine: EngineOf,
    key: Annotated[Key, needs("tasks:work")],
    query: Annotated[TaskHistoryQuery, Query()],
) -> Page[HistoryLine]:
    """Who did what to a task, the newest first. What people do to it answers with the newest lines only."""
    chosen = _history(task_id).limit(query.size + 1)
    if (after := query.after(f"{key.brand} {task_id}", int)) is not None:
        chosen = chosen.where(task_history.c.id < after[0])
    async with engine.database.reading() as connection:
        if await find(connection, key.brand, task_id) is None:
            raise missing("task")
        rows = (await connection.execute(chosen)).all()
    page, token = query.page(f"{key.brand} {task_id}", rows, lambda row: (row.id,))
    return Page(items=[HistoryLine.model_validate(line) for line in page], next_page_token=token)


async def shown(connection: AsyncConnection, task: TaskRow, response: Response) -> TaskView:
    """A task as the API shows it, with its history and its ETag."""
    history = _history(task.id).limit(HISTORY_SHOWN)
    lines = [HistoryLine.model_validate(line) for line in await connection.execute(history)]
    response.headers["ETag"] = etag(task.version)
    return TaskView.model_validate({**asdict(task), "history": lines[::-1]})


def _history(task_id: str) -> Select[Any]:
    return select(task_history).where(task_history.c.task_id == task_id).order_by(task_history.c.id.desc())


def etag(version: int) -> str:
    """The strong ETag of a task's version."""
    return f'"{version}"'


def _listed(brand: str, query: TaskQuery, now: datetime, *, shown_too: bool) -> Select[Any]:
    chosen = where_given(
        select(tasks.c.id).where(tasks.c.brand == brand, in_states(*query.state)),
        (tasks.c.skill, query.skill),
        (tasks.c.player_id, query.player),
        (tasks.c.journey, query.journey),
        (tasks.c.assignee, query.assignee),
    )
    if query.team:
        chosen = chosen.where(tasks.c.team.in_(query.team))
    if query.due_before is not None:
        chosen = chosen.where(tasks.c.due_at < query.due_before)
    if query.due_after is not None:
        chosen = chosen.where(tasks.c.due_at > query.due_after)
    if query.follow_up == "due":
        chosen = chosen.where(or_(tasks.c.follow_up_at.is_(None), tasks.c.follow_up_at <= now))
    elif query.follow_up == "later":
        chosen = chosen.where(tasks.c.follow_up_at > now)
    order: tuple[Any, ...] = (-tasks.c.priority, tasks.c.due_at, tasks.c.id)
    kinds: tuple[type, ...] = (int, datetime, str)
    if query.sort == "due":
        order, kinds = order[1:], kinds[1:]
    after = query.after(brand, *kinds)
    if after is not None:
        chosen = chosen.where(tuple_(*order) > tuple_(*map(literal, after)))
    # Only of those on the page is the whole row read, and of that what a list shows.
    page = chosen.order_by(*order).limit(query.size + 1).subquery()
    columns = [column for column in tasks.c if column.name in TaskSummary.model_fields]
    listed = select(*columns).join(page, page.c.id == tasks.c.id).order_by(*order)
    return with_glances(listed, tasks.c.brand, tasks.c.player_id) if shown_too else listed


def _sort_keys(row: Row[Any], query: TaskQuery) -> tuple[Any, ...]:
    keys = (-row.priority, row.due_at, row.id)
    return keys[1:] if query.sort == "due" else keys
