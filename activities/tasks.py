"""Human tasks as a run sees them: opened, reminded of, escalated, expired."""

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity

from activities.database import Database
from activities.runs import OPEN_STATES
from activities.step_log import tell
from activities.tables import task_history, tasks
from workflows.effects import MOVE_TASK, OPEN_TASK, MoveTask, OpenTask, TaskMoved, TaskOpened

DONE = {"remind": "reminded", "escalate": "escalated", "expire": "expired"}


def task_id_of(key: str) -> str:
    """The id of the task an `ask` opens: derived, so that a second attempt finds the first."""
    return hashlib.sha256(key.encode()).hexdigest()[:24]


class TaskEffects:
    """Opens and moves tasks, on Postgres."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self.database = database
        self.clock = clock

    @activity.defn(name=OPEN_TASK.name)
    async def open(self, given: OpenTask) -> TaskOpened:
        """Put a task before a team, once however often this is tried."""
        now = self.clock()
        task_id = task_id_of(given.key)
        async with self.database.transaction() as connection:
            opened = await connection.execute(
                insert(tasks)
                .values(
                    id=task_id,
                    brand=given.brand,
                    player_id=given.player_id,
                    run_id=given.run_id,
                    step=given.step,
                    journey=given.journey,
                    form=given.form,
                    question=given.question,
                    form_schema=given.form_schema,
                    team=given.team,
                    skill=given.skill,
                    reason=given.reason,
                    forbidden=given.forbidden,
                    snapshot=given.facts.model_dump(mode="json"),
                    state="open",
                    priority=given.priority,
                    due_at=given.due_at,
                    escalate_to=given.escalate_to,
                    created_at=now,
                )
                .on_conflict_do_nothing()
                .returning(tasks.c.id)
            )
            if opened.scalar_one_or_none() is not None:
                await self._note(connection, given, task_id, now, "opened")
            await tell(connection, given, now, "opened", {"task_id": task_id, "team": given.team})
        return TaskOpened(task_id=task_id)

    @activity.defn(name=MOVE_TASK.name)
    async def move(self, given: MoveTask) -> TaskMoved:
        """Remind, escalate or expire a task. An answer that was recorded first is returned instead."""
        now = self.clock()
        async with self.database.transaction() as connection:
            row = (await connection.execute(select(tasks).where(tasks.c.id == given.task_id).with_for_update())).one()
            if row.state not in OPEN_STATES:
                await tell(connection, given, now)
                return TaskMoved(state=row.state, answer=row.answer)
            state = row.state
            changes: dict[str, Any]
            match given.move:
                case "remind":
                    changes = {"reminded_at": now}
                case "escalate":
                    state = "open"
                    changes = {
                        "escalated_at": now,
                        "team": row.escalate_to,
                        "assignee": None,
                        "follow_up_at": None,
                        "state": state,
                        "due_at": given.due_at or row.due_at,
                    }
                case "expire":
                    state = "expired"
                    changes = {"state": state, "closed_at": now}
            changed = (given.move == "remind" and row.reminded_at is None) or (
                given.move == "escalate" and row.escalated_at is None
            )
            if changed or given.move == "expire":
                await connection.execute(
                    update(tasks).where(tasks.c.id == given.task_id).values(**changes, version=tasks.c.version + 1)
                )
                await self._note(connection, given, given.task_id, now, DONE[given.move])
            await tell(connection, given, now, given.move)
        return TaskMoved(state=state)

    async def _note(
        self,
        connection: AsyncConnection,
        given: OpenTask | MoveTask,
        task_id: str,
        now: datetime,
        action: str,
    ) -> None:
        await connection.execute(
            task_history.insert().values(task_id=task_id, brand=given.brand, at=now, actor="engine", action=action)
        )
