"""How many tasks wait, counted in one query, for the tabs of an inbox."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import and_, func, or_, select

from activities.tables import tasks
from activities.task_tables import in_states
from activities.tasks import OPEN_STATES
from api.dependencies import EngineOf
from api.pagination import Filter
from api.permissions import Key, needs
from api.problems import COMMON

router = APIRouter(prefix="/v1/tasks", tags=["tasks"])


class TaskCounts(BaseModel):
    """How many tasks are open or claimed. Those to be followed up later are counted in `later` alone."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"mine": 6, "team": 23, "unclaimed": 17, "overdue": 2, "later": 4}]}
    )

    mine: int = Field(description="Claimed by the assignee who was asked about.")
    team: int = Field(description="Of the teams asked about, or of all.")
    unclaimed: int = Field(description="Of these, claimed by nobody.")
    overdue: int = Field(description="Of these and of the assignee's, past their due time.")
    later: int = Field(description="Of these and of the assignee's, put off.")


class TaskCountQuery(BaseModel):
    """Whose tasks are counted."""

    model_config = ConfigDict(extra="forbid")

    assignee: Filter | None = None
    team: list[Filter] = Field(default_factory=list, max_length=50, description="None means all.")


@router.get("/counts", responses=COMMON)
async def count_tasks(
    engine: EngineOf, key: Annotated[Key, needs("tasks:work")], query: Annotated[TaskCountQuery, Query()]
) -> TaskCounts:
    """How many tasks wait for somebody and for their teams."""
    now = engine.clock()
    due = or_(tasks.c.follow_up_at.is_(None), tasks.c.follow_up_at <= now)
    mine = tasks.c.assignee == (query.assignee or "")
    of_team = tasks.c.team.in_(query.team) if query.team else tasks.c.id.is_not(None)
    either = or_(mine, of_team)
    wanted = {
        "mine": and_(mine, due),
        "team": and_(of_team, due),
        "unclaimed": and_(of_team, due, tasks.c.state == "open"),
        "overdue": and_(either, due, tasks.c.due_at < now),
        "later": and_(either, tasks.c.follow_up_at > now),
    }
    counted = select(*(func.count().filter(which).label(name) for name, which in wanted.items())).where(
        tasks.c.brand == key.brand, in_states(*OPEN_STATES)
    )
    async with engine.database.reading() as connection:
        row = (await connection.execute(counted)).one()
    return TaskCounts(mine=row.mine, team=row.team, unclaimed=row.unclaimed, overdue=row.overdue, later=row.later)
