"""Human tasks: the tables `tasks` and `task_history`, and everything a run or a person does to a task.

Only this module writes them. Every change of a task adds one to its version and a line to its history, in one
transaction. What people do answers with the task as it is then, or with what stands against it.
"""

from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, Protocol

import orjson
from sqlalchemy import Select, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity

from activities.actors import Actor, engine_in
from activities.clock import Clock
from activities.database import Database
from activities.engine_tasks import EngineTask
from activities.journey_controls import held_by
from activities.outgoing.outbox import announce
from activities.people import actor_of
from activities.runs import hold_active
from activities.step_log import record_steps
from activities.tables import task_history, tasks
from activities.task_rows import TaskConflict, TaskOutcome, TaskRequest, TaskRow, same
from activities.task_signatures import bar_who_answered, begin_round, not_theirs, sign, signatures_of
from workflows.effects import MOVE_TASK, OPEN_TASK, Held, MoveTask, OpenTask, TaskMoved, TaskOpened
from workflows.forms import Form, travelling
from workflows.json_object import JsonObject
from workflows.outgoing_events import OUTGOING_TYPES, OutgoingEvent

OPEN_STATES: Final = ("open", "claimed")
#: The forms of each journey, by their names.
Forms = Mapping[str, Mapping[str, type[Form]]]


class LockedRuns(Protocol):
    """Players whose rows this transaction holds, so that their runs can be told something."""

    def answer(self, player_id: str, run_id: str, step: str, answer: JsonObject, /) -> bool:
        """Deliver a person's answer to a run; False when it is over."""


class PlayerLock(Protocol):
    """Whoever locks players: intake, which also opens tasks here and so is not imported."""

    def locked(
        self, connection: AsyncConnection, brand: str, player_ids: Iterable[str], now: datetime, /
    ) -> AbstractAsyncContextManager[LockedRuns]:
        """Lock players until the block is left."""


async def find(connection: AsyncConnection, brand: str, task_id: str) -> TaskRow | None:
    """A brand's task, None if it has none of that id."""
    row = (await connection.execute(_mine(brand, task_id))).one_or_none()
    return None if row is None else TaskRow(*row)


async def claim(connection: AsyncConnection, request: TaskRequest) -> TaskOutcome:
    """Make a task its actor's, so that nobody else works on it. Claiming twice is one claim."""
    task = await _lock(connection, request)
    if task is None or (task.assignee == request.actor.name and task.state == "claimed"):
        return task
    if (conflict := _closed(task) or _of_another(task, request) or _stale(task, request)) is not None:
        return conflict
    if (refused := await not_theirs(connection, task, request.actor, request.now)) is not None:
        return refused
    return await _change(connection, task, request, "claimed", state="claimed", assignee=request.actor.name)


async def release(connection: AsyncConnection, request: TaskRequest, comment: str | None) -> TaskOutcome:
    """Give a claimed task back to its team. An unclaimed one stays as it is."""
    task = await _lock(connection, request)
    if task is None or (conflict := _closed(task)) is not None:
        return task and conflict
    if task.assignee is None:
        return task
    if (conflict := _of_another(task, request) or _stale(task, request)) is not None:
        return conflict
    return await _change(connection, task, request, "released", comment, state="open", assignee=None)


async def complete(
    connection: AsyncConnection,
    intake: PlayerLock,
    request: TaskRequest,
    player_id: str,
    answer: JsonObject,
    form: type[Form] | None = None,
) -> TaskOutcome:
    """Sign an answer; with the last signature that the task wants, close it and write the answer's delivery to the run.

    It is one transaction. What the form marks as personal stays here, and the run gets a reference to it. The player
    is locked before the task: everybody locks in that order.
    """
    async with intake.locked(connection, request.brand, [player_id], request.now) as players:
        task = await _lock(connection, request)
        if task is None or (conflict := await _against_an_answer(connection, task, request)) is not None:
            return task and conflict
        signed = await _signed(connection, task, request, answer)
        if isinstance(signed, TaskRow):
            return signed
        if task.run_id is None:
            raise ValueError(f"No run waits for task {task.id}; complete it with harm_reviews.complete.")
        if not players.answer(player_id, task.run_id, task.step, travelling(answer, form, task.step)):
            return TaskConflict("run_ended", task)
        return await _complete(connection, task, request, answer, signed)


async def complete_alone(connection: AsyncConnection, request: TaskRequest, answer: JsonObject) -> TaskOutcome:
    """The same of a task that no run waits for; whoever calls this has locked its player."""
    task = await _lock(connection, request)
    if task is None or (conflict := await _against_an_answer(connection, task, request)) is not None:
        return task and conflict
    signed = await _signed(connection, task, request, answer)
    return signed if isinstance(signed, TaskRow) else await _complete(connection, task, request, answer, signed)


async def _complete(
    connection: AsyncConnection, task: TaskRow, request: TaskRequest, answer: JsonObject, signed: JsonObject
) -> TaskRow:
    return await _change(
        connection,
        task,
        request,
        "completed",
        state="completed",
        assignee=request.actor.name,
        answered_by=request.actor.name,
        answer=answer,
        proposal=None,
        closed_at=request.now,
        **signed,
    )


async def open_alone(connection: AsyncConnection, brand: str, task: EngineTask) -> None:
    """Open a task that no run waits for, once."""
    document = orjson.dumps([task], option=orjson.OPT_UTC_Z).decode()
    await connection.execute(OPEN, {"brand": brand, "rows": document})


async def open_of_form(connection: AsyncConnection, brand: str, player_id: str, form: str) -> TaskRow | None:
    """The player's open task of a form that the engine itself asks, None if there is none."""
    mine = (tasks.c.brand == brand, tasks.c.player_id == player_id, tasks.c.form == form, tasks.c.run_id.is_(None))
    query = select(tasks).where(*mine, tasks.c.state.in_(OPEN_STATES)).order_by(tasks.c.created_at).limit(1)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else TaskRow(*row)


async def _against_an_answer(connection: AsyncConnection, task: TaskRow, request: TaskRequest) -> TaskConflict | None:
    if task.state == "completed":
        return TaskConflict("answered", task)
    if (conflict := _closed(task) or _of_another(task, request) or _stale(task, request)) is not None:
        return conflict
    refused = await not_theirs(connection, task, request.actor, request.now)
    # Who has signed may say it again, which changes nothing, or say something else.
    return None if refused is not None and refused.rule == "again" else refused


async def _signed(
    connection: AsyncConnection, task: TaskRow, request: TaskRequest, answer: JsonObject
) -> TaskRow | JsonObject:
    """Sign an answer: the values of a task that is answered with it, or the task that waits for more signatures.

    Who signs the same answer again changes nothing. Another answer takes the place of the first, and is signed anew.
    """
    number, another = task.round, task.proposal is not None and not same(task.proposal, answer)
    if another:
        number += 1
        await begin_round(connection, task.id, number)
    if not await sign(connection, task.brand, task.id, number, request.actor, request.now):
        return task
    if task.approvals == 1:
        return {}
    signed = sum(one.step is None for one in await signatures_of(connection, task.id, number))
    if signed >= task.approvals:
        return {"round": number}
    action = "proposed" if signed == 1 else "approved"
    waits: dict[str, Any] = {"proposal": answer, "round": number, "state": "open", "assignee": None}
    return await _change(connection, task, request, action, **waits)


async def comment(connection: AsyncConnection, request: TaskRequest, text: str) -> TaskOutcome:
    """Add a comment to the history of a task, open or closed."""
    task = await _lock(connection, request)
    return None if task is None else await _change(connection, task, request, "commented", text)


async def reassign(
    connection: AsyncConnection, request: TaskRequest, text: str | None, *, assignee: str = "", team: str = ""
) -> TaskOutcome:
    """Pass a task on to a person, who has then claimed it, or to a team. Also somebody else's task.

    Somebody who is registered and may not answer it is not given it.
    """
    task = await _lock(connection, request)
    if task is None or (conflict := _closed(task)) is not None:
        return task and conflict
    known = await actor_of(connection, task.brand, assignee, request.now) if assignee else None
    if known is not None:
        assignee = known.name
        if (refused := await not_theirs(connection, task, known, request.now)) is not None:
            return refused
    to = {"assignee": assignee} if assignee else {"team": team}
    values: JsonObject = {"state": "claimed"} | to if assignee else {"state": "open", "assignee": None} | to
    if all(getattr(task, name) == value for name, value in values.items()):
        return task
    return _stale(task, request) or await _change(connection, task, request, "reassigned", text, to, **values)


async def change(
    connection: AsyncConnection, request: TaskRequest, values: JsonObject, detail: JsonObject
) -> TaskOutcome:
    """Change the priority or the follow-up date of a task; `detail` is what the history says of it."""
    task = await _lock(connection, request)
    if task is None:
        return None
    if (conflict := _closed(task) or _stale(task, request)) is not None or not values:
        return conflict or task
    return await _change(connection, task, request, "changed", None, detail, **values)


async def cancel_of_run(connection: AsyncConnection, run_id: str, text: str, now: datetime) -> None:
    """Close what a run that has ended left open; `text` is what their histories say of it."""
    cancelled = await connection.execute(
        update(tasks)
        .where(tasks.c.run_id == run_id, tasks.c.state.in_(OPEN_STATES))
        .values(state="cancelled", closed_at=now, version=tasks.c.version + 1)
        .returning(tasks)
    )
    for row in cancelled:
        announce(connection, OutgoingEvent.about("task.cancelled", row, now))
        await _note(connection, TaskRequest(row.brand, row.id, engine_in(row.brand), now), "cancelled", text)


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
            if await _insert(connection, task_id, opening, now):
                await bar_who_answered(connection, opening, task_id, now)
                await _note(connection, TaskRequest(opening.brand, task_id, engine_in(opening.brand), now), "opened")
            await record_steps(connection, opening, now, "opened", {"task_id": task_id, "team": opening.team})
        return TaskOpened.of(opening)

    @activity.defn(name=MOVE_TASK.name)
    async def move(self, move: MoveTask) -> TaskMoved:
        """Remind, escalate or expire a task. An answer that was recorded first is returned instead."""
        now = self.clock()
        async with self.database.transaction() as connection:
            await hold_active(connection, move.run_id)
            request = TaskRequest(move.brand, move.task_id, engine_in(move.brand), now)
            task = await _lock(connection, request)
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
                    task = await _change(connection, task, request, "reminded", reminded_at=now)
                case "escalate":
                    task = await _escalate(connection, task, request, move.due_at)
                case "expire":
                    task = await _change(connection, task, request, "expired", state="expired", closed_at=now)
            await record_steps(connection, move, now, move.move)
        return TaskMoved(state=task.state)


async def _insert(connection: AsyncConnection, task_id: str, opening: OpenTask, now: datetime) -> bool:
    """Open a task; False when it was opened before."""
    opened = await connection.execute(
        insert(tasks)
        .values(
            id=task_id,
            brand=opening.brand,
            player_id=opening.player_id,
            run_id=opening.run_id,
            step=opening.step,
            journey=opening.journey,
            form=opening.form,
            question=opening.question,
            form_schema=opening.form_schema,
            team=opening.team,
            skill=opening.skill,
            not_by=opening.not_by,
            approvals=opening.approvals,
            reason=opening.reason,
            forbidden=opening.forbidden,
            snapshot=opening.facts.model_dump(mode="json"),
            state="open",
            priority=opening.priority,
            due_at=opening.due_at,
            escalate_to=opening.escalate_to,
            created_at=now,
        )
        .on_conflict_do_nothing()
        .returning(tasks)
    )
    task = opened.one_or_none()
    if task is None:
        return False
    announce(connection, OutgoingEvent.about("task.opened", task, now))
    return True


async def _escalate(
    connection: AsyncConnection, task: TaskRow, request: TaskRequest, due_at: datetime | None
) -> TaskRow:
    """Put an open task before the team it escalates to, once."""
    if task.escalated_at is not None:
        return task
    return await _change(
        connection,
        task,
        request,
        "escalated",
        escalated_at=request.now,
        team=task.escalate_to,
        assignee=None,
        follow_up_at=None,
        state="open",
        due_at=due_at or task.due_at,
    )


def _closed(task: TaskRow) -> TaskConflict | None:
    return None if task.state in OPEN_STATES else TaskConflict("closed", task)


def _of_another(task: TaskRow, request: TaskRequest) -> TaskConflict | None:
    return None if task.assignee in {None, request.actor.name} else TaskConflict("claimed", task)


def _stale(task: TaskRow, request: TaskRequest) -> TaskConflict | None:
    fits = request.versions is None or task.version in request.versions
    return None if fits else TaskConflict("stale", task)


def _mine(brand: str, task_id: str) -> Select[Any]:
    return select(tasks).where(tasks.c.id == task_id, tasks.c.brand == brand)


async def _lock(connection: AsyncConnection, request: TaskRequest) -> TaskRow | None:
    row = (await connection.execute(_mine(request.brand, request.task_id).with_for_update())).one_or_none()
    return None if row is None else TaskRow(*row)


async def _change(
    connection: AsyncConnection,
    task: TaskRow,
    request: TaskRequest,
    action: str,
    text: str | None = None,
    detail: JsonObject | None = None,
    **values: Any,
) -> TaskRow:
    """Write a locked task's new values, if any, its next version and the line of its history."""
    changed = await connection.execute(
        update(tasks).where(tasks.c.id == task.id).values(version=tasks.c.version + 1, **values).returning(tasks)
    )
    row = changed.one()
    await _note(connection, request, action, text, detail)
    if (kind := f"task.{action}") in OUTGOING_TYPES:
        announce(connection, OutgoingEvent.about(kind, row, request.now))
    return TaskRow(*row)


async def _note(
    connection: AsyncConnection,
    request: TaskRequest,
    action: str,
    text: str | None = None,
    detail: JsonObject | None = None,
) -> None:
    """Add a line to a task's history."""
    await connection.execute(
        insert(task_history).values(
            task_id=request.task_id,
            brand=request.brand,
            at=request.now,
            actor=request.actor.name,
            actor_id=request.actor.id,
            key_id=request.actor.key_id,
            action=action,
            text=text,
            detail=(detail or {}) | _by_key(request.actor),
        )
    )


def _by_key(actor: Actor) -> JsonObject:
    """The key that acted for somebody, by name."""
    return {} if actor.key_name in {None, actor.name} else {"key": actor.key_name}


#: Opens tasks that no run waits for, each once, with the first line of its history.
OPEN: Final = text(
    """
    WITH opened AS (
        INSERT INTO tasks (id, brand, player_id, step, form, question, form_schema, team, skill, reason, forbidden,
                           snapshot, state, priority, due_at, created_at)
        SELECT id, :brand, player_id, step, form, question, form_schema, team, skill, reason, forbidden,
               snapshot, 'open', priority, due_at, created_at
        FROM json_to_recordset(CAST(:rows AS json))
          AS t (id text, player_id text, step text, form text, question text, form_schema jsonb, team text, skill text,
                reason text, forbidden text[], snapshot jsonb, priority smallint, due_at timestamptz,
                created_at timestamptz)
        ON CONFLICT DO NOTHING RETURNING id, created_at
    )
    INSERT INTO task_history (task_id, brand, at, actor, action)
    SELECT id, :brand, created_at, 'engine', 'opened' FROM opened
    """
)
#: Forgets the history of up to `:limit` tasks that were closed before `:before`, those that `FORGET` forgets next.
FORGET_HISTORY: Final = text(
    """
    DELETE FROM task_history WHERE task_id = ANY(ARRAY(
        SELECT id FROM tasks WHERE closed_at < :before ORDER BY closed_at, id LIMIT :limit))
    """
)
FORGET: Final = text(
    """
    DELETE FROM tasks WHERE id = ANY(ARRAY(
        SELECT id FROM tasks WHERE closed_at < :before ORDER BY closed_at, id LIMIT :limit))
    """
)
#: Overwrites what up to `:limit` tasks about a player from before `:before` asked, showed and were answered, and what
#: their histories say; who answered when stays.
ERASE_HISTORY: Final = text(
    """
    UPDATE task_history SET text = NULL, detail = '{}' WHERE id = ANY(ARRAY(
        SELECT h.id FROM task_history h JOIN tasks t ON t.id = h.task_id
        WHERE t.brand = :brand AND t.player_id = :player AND h.at <= :before
          AND (h.text IS NOT NULL OR h.detail <> '{}') LIMIT :limit))
    """
)
ERASE: Final = text(
    """
    UPDATE tasks SET question = '', reason = '', snapshot = '{}', answer = NULL, proposal = NULL WHERE id = ANY(ARRAY(
        SELECT id FROM tasks WHERE brand = :brand AND player_id = :player AND created_at <= :before
          AND (question <> '' OR reason <> '' OR snapshot <> '{}' OR answer IS NOT NULL OR proposal IS NOT NULL)
        LIMIT :limit))
    """
)
