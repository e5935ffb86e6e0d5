"""The effects of `ask`: a run opens a task, and reminds of it, passes it up or closes it when its time is over."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity

from activities.actors import engine_in
from activities.clock import Clock
from activities.database import Database
from activities.journey_controls import held_by
from activities.runs import hold_active
from activities.step_log import record_steps
from activities.task_assignment import assignee_for
from activities.task_rows import TaskRequest
from activities.task_signatures import bar_who_answered
from activities.tasks import OPEN_STATES, escalate, insert_asked, lock_task, note_done, write_change
from workflows.effects import MOVE_TASK, OPEN_TASK, Held, MoveTask, OpenTask, TaskMoved, TaskOpened
from workflows.forms import Form, travelling

#: The forms of each journey, by their names.
Forms = Mapping[str, Mapping[str, type[Form]]]


class TaskEffects:
    """Opens and moves tasks for runs."""

    def __init__(self, database: Database, clock: Clock, forms: Forms = MappingProxyType({})) -> None:
        self.database = database
        self.clock = clock
        self.forms = forms

    @activity.defn(name=OPEN_TASK.name)
    async def open(self, opening: OpenTask) -> TaskOpened | Held:
        """Put a task before a team, once however often this is tried."""
        now = self.clock()
        task_id = opening.task_id
        async with self.database.transaction() as connection:
            await hold_active(connection, opening.run_id)
            if (held := await held_by(connection, opening, now)) is not None:
                return held
            if await insert_asked(connection, task_id, opening, await _given_to(connection, opening, now), now):
                await bar_who_answered(connection, opening, task_id, now)
                await note_done(
                    connection, TaskRequest(opening.brand, task_id, engine_in(opening.brand), now), "opened"
                )
            await record_steps(connection, opening, now, "opened", {"task_id": task_id, "team": opening.team})
        return TaskOpened.of(opening)

    @activity.defn(name=MOVE_TASK.name)
    async def move(self, move: MoveTask) -> TaskMoved:
        """Remind, escalate or expire a task. An answer that was recorded first is returned instead."""
        now = self.clock()
        async with self.database.transaction() as connection:
            await hold_active(connection, move.run_id)
            request = TaskRequest(move.brand, move.task_id, engine_in(move.brand), now)
            task = await lock_task(connection, request)
            if task is None:
                # It was opened, and Postgres was set back to before that: nobody can answer it any more.
                await record_steps(connection, move, now, "task_lost")
                return TaskMoved(state="lost")
            if task.state not in OPEN_STATES:
                await record_steps(connection, move, now)
                form = self.forms.get(task.journey or "", {}).get(task.form)
                answer = None if task.answer is None else travelling(task.answer, form, task.step)
                return TaskMoved(state=task.state, answer=answer)
            match move.move:
                case "remind" if task.reminded_at is None:
                    task = await write_change(connection, task, request, "reminded", reminded_at=now)
                case "escalate":
                    task = await escalate(connection, task, request, move.due_at)
                case "expire":
                    task = await write_change(connection, task, request, "expired", state="expired", closed_at=now)
            await record_steps(connection, move, now, move.move)
        return TaskMoved(state=task.state)


async def _given_to(connection: AsyncConnection, opening: OpenTask, now: datetime) -> str | None:
    """Whose an asked task is from the beginning; one that counts pairs of eyes is its team's."""
    if opening.not_by or opening.approvals > 1:
        return None
    return await assignee_for(
        connection,
        (opening.brand, opening.player_id),
        opening.form,
        team=opening.team,
        skill=opening.skill,
        language=opening.facts.language,
        now=now,
    )
