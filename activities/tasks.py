"""Human tasks: the tables `tasks` and `task_history`, and everything a person does to a task.

Only this module writes them. Every change of a task adds one to its version and a line to its history, in one
transaction. What people do answers with the task as it is then, or with what stands against it.
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Final, Protocol

import orjson
from sqlalchemy import ColumnElement, Select, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.actors import Actor, engine_in
from activities.erased_texts import about_somebody_erased, without_words
from activities.outgoing.outbox import announce
from activities.overdue_records import overdue
from activities.people import actor_of
from activities.standalone_tasks import StandaloneTask
from activities.tables import task_history, tasks
from activities.task_rows import TaskConflict, TaskOutcome, TaskRequest, TaskRow, same
from activities.task_signatures import begin_round, has_signed, not_theirs, sign, signatures_of
from workflows.effects import OpenTask
from workflows.forms import Form, travelling
from workflows.json_object import JsonObject
from workflows.outgoing_events import OUTGOING_TYPES, OutgoingEvent
from workflows.task_kinds import BY_HAND
from workflows.task_notices import Occasion, given_to

OPEN_STATES: Final = ("open", "claimed")


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
    task = await lock_task(connection, request)
    if task is None or (task.assignee == request.actor.name and task.state == "claimed"):
        return task
    if (conflict := _closed(task) or _of_another(task, request) or _stale(task, request)) is not None:
        return conflict
    if (refused := await not_theirs(connection, task, request.actor, request.now)) is not None:
        return refused
    known = [*task.told, given_to(request.actor.name).key]
    return await write_change(
        connection, task, request, "claimed", state="claimed", assignee=request.actor.name, told=known
    )


async def release(connection: AsyncConnection, request: TaskRequest, comment: str | None) -> TaskOutcome:
    """Give a claimed task back to its team. An unclaimed one stays as it is."""
    task = await lock_task(connection, request)
    if task is None or (conflict := _closed(task)) is not None:
        return task and conflict
    if task.assignee is None:
        return task
    if (conflict := _of_another(task, request) or _stale(task, request)) is not None:
        return conflict
    return await write_change(connection, task, request, "released", comment, state="open", assignee=None)


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
        task = await lock_task(connection, request)
        if task is None or (conflict := await _against_an_answer(connection, task, request)) is not None:
            return task and conflict
        signed = await _signed(connection, task, request, answer)
        if isinstance(signed, TaskRow):
            return signed
        if task.run_id is None:
            raise ValueError(f"No run waits for task {task.id}; complete it with complete_alone.")
        if not players.answer(player_id, task.run_id, task.step, travelling(answer, form, task.step)):
            return TaskConflict("run_ended", task)
        return await _complete(connection, task, request, answer, signed)


async def complete_alone(connection: AsyncConnection, request: TaskRequest, answer: JsonObject) -> TaskOutcome:
    """The same of a task that no run waits for; who makes an event of the answer has locked its player before."""
    task = await lock_task(connection, request)
    if task is None or (conflict := await _against_an_answer(connection, task, request)) is not None:
        return task and conflict
    signed = await _signed(connection, task, request, answer)
    return signed if isinstance(signed, TaskRow) else await _complete(connection, task, request, answer, signed)


async def _complete(
    connection: AsyncConnection, task: TaskRow, request: TaskRequest, answer: JsonObject, signed: JsonObject
) -> TaskRow:
    return await write_change(
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


async def mark_of_history(connection: AsyncConnection) -> int:
    """A number that is another when anything has been done to any task; 0 before the first line of a history.

    It is the sum of the numbers of the newest hundred lines: the newest number alone would miss a line that was given
    its number before and is committed after.
    """
    newest = select(task_history.c.id).order_by(task_history.c.id.desc()).limit(100).subquery()
    return int((await connection.execute(select(func.coalesce(func.sum(newest.c.id), 0)))).scalar_one())


async def open_alone(connection: AsyncConnection, brand: str, task: StandaloneTask) -> bool:
    """Open a task that no run waits for, once; False when it was opened before."""
    document = orjson.dumps([task], option=orjson.OPT_UTC_Z).decode()
    opened = await connection.execute(OPEN, {"brand": brand, "rows": document})
    if opened.one_or_none() is None:
        return False
    row = (await connection.execute(_mine(brand, task.id))).one()
    announce(connection, OutgoingEvent.about("task.opened", row, task.created_at))
    return True


async def cancel_alone(connection: AsyncConnection, brand: str, task_id: str, text: str, now: datetime) -> None:
    """Close a task that no run waits for, because nobody has to answer it any more; one that is closed stays so."""
    mine = (tasks.c.id == task_id, tasks.c.brand == brand, tasks.c.run_id.is_(None))
    await _cancel(connection, text, now, *mine)


async def cancel_by_hand(
    connection: AsyncConnection, brand: str, player_ids: Iterable[str], kinds: Iterable[str], text: str, now: datetime
) -> None:
    """Close the open tasks of these kinds of the house about players whose rows this transaction has locked."""
    steps = [f"{BY_HAND}:{kind}" for kind in kinds]
    about = (tasks.c.brand == brand, tasks.c.player_id.in_([*player_ids]), tasks.c.run_id.is_(None))
    await _cancel(connection, text, now, *about, tasks.c.step.in_(steps))


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
    if task.approvals > 1 and await has_signed(connection, task.id, number, request.actor):
        return task
    if not await sign(connection, task.brand, task.id, number, request.actor, request.now):
        return task
    if task.approvals == 1:
        return {}
    signed = sum(one.step is None for one in await signatures_of(connection, task.id, number))
    if signed >= task.approvals:
        return {"round": number}
    action = "proposed" if signed == 1 else "approved"
    waits: dict[str, Any] = {"proposal": answer, "round": number, "state": "open", "assignee": None}
    return await write_change(connection, task, request, action, **waits)


async def comment(connection: AsyncConnection, request: TaskRequest, text: str) -> TaskOutcome:
    """Add a comment to the history of a task, open or closed."""
    task = await lock_task(connection, request)
    return None if task is None else await write_change(connection, task, request, "commented", text)


async def reassign(
    connection: AsyncConnection, request: TaskRequest, text: str | None, *, assignee: str = "", team: str = ""
) -> TaskOutcome:
    """Pass a task on to a person, who has then claimed it, or to a team. Also somebody else's task.

    Somebody who is registered and may not answer it is not given it.
    """
    task = await lock_task(connection, request)
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
    return _stale(task, request) or await write_change(connection, task, request, "reassigned", text, to, **values)


async def change(
    connection: AsyncConnection, request: TaskRequest, values: JsonObject, detail: JsonObject, text: str | None = None
) -> TaskOutcome:
    """Change priority, follow-up date or due time of a task; `detail` and `text` are what the history says of it."""
    task = await lock_task(connection, request)
    if task is None:
        return None
    if (conflict := _closed(task) or _stale(task, request)) is not None or not values:
        return conflict or task
    return await write_change(connection, task, request, "changed", text, detail, **values)


async def cancel_of_run(connection: AsyncConnection, run_id: str, text: str, now: datetime) -> None:
    """Close what a run that has ended left open; `text` is what their histories say of it."""
    await _cancel(connection, text, now, tasks.c.run_id == run_id)


async def _cancel(connection: AsyncConnection, text: str, now: datetime, *which: ColumnElement[bool]) -> None:
    cancelled = await connection.execute(
        update(tasks)
        .where(*which, tasks.c.state.in_(OPEN_STATES))
        .values(state="cancelled", closed_at=now, version=tasks.c.version + 1)
        .returning(tasks)
    )
    for row in cancelled:
        announce(connection, OutgoingEvent.about("task.cancelled", row, now))
        await note_done(connection, TaskRequest(row.brand, row.id, engine_in(row.brand), now), "cancelled", text)


async def insert_asked(
    connection: AsyncConnection, task_id: str, opening: OpenTask, assignee: str | None, now: datetime
) -> bool:
    """Open a task that a run asks for, in the hands of `assignee` if there is one; False when it was opened before."""
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
            state="open" if assignee is None else "claimed",
            assignee=assignee,
            priority=opening.priority,
            due_at=opening.due_at,
            escalate_to=opening.escalate_to,
            created_at=now,
            tell_at=now,
        )
        .on_conflict_do_nothing()
        .returning(tasks)
    )
    task = opened.one_or_none()
    if task is None:
        return False
    announce(connection, OutgoingEvent.about("task.opened", task, now))
    return True


async def escalate(
    connection: AsyncConnection, task: TaskRow, request: TaskRequest, due_at: datetime | None
) -> TaskRow:
    """Put an open task before the team it escalates to, once."""
    if task.escalated_at is not None:
        return task
    return await write_change(
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


async def lock_task(connection: AsyncConnection, request: TaskRequest) -> TaskRow | None:
    """The task of a request, which nobody else changes until this transaction is over."""
    row = (await connection.execute(_mine(request.brand, request.task_id).with_for_update())).one_or_none()
    return None if row is None else TaskRow(*row)


async def write_change(
    connection: AsyncConnection,
    task: TaskRow,
    request: TaskRequest,
    action: str,
    text: str | None = None,
    detail: JsonObject | None = None,
    **values: Any,
) -> TaskRow:
    """Write a locked task's new values, if any, its next version and the line of its history.

    Of a task that was opened before its player was erased no words are written.
    """
    if await about_somebody_erased(connection, task):
        said = {name: without_words(task.form, values[name]) for name in ("answer", "proposal") if name in values}
        text, detail, values = None, None, values | said
    # Whoever is to be told of it is found out beside (`activities/loops/telling_people.py`).
    written = {"version": tasks.c.version + 1, "tell_at": request.now} | values
    changed = await connection.execute(update(tasks).where(tasks.c.id == task.id).values(**written).returning(tasks))
    row = changed.one()
    await note_done(connection, request, action, text, detail)
    if (kind := f"task.{action}") in OUTGOING_TYPES:
        announce(connection, OutgoingEvent.about(kind, row, request.now))
    return TaskRow(*row)


async def note_done(
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


async def lock_to_tell(connection: AsyncConnection, now: datetime, limit: int) -> list[TaskRow]:
    """Open tasks of which people may have to be told something, that nobody else looks at."""
    due = select(tasks).where(tasks.c.state.in_(OPEN_STATES), tasks.c.tell_at <= now)
    locked = due.order_by(tasks.c.tell_at).limit(limit).with_for_update(skip_locked=True)
    return [TaskRow(*row) for row in await connection.execute(locked)]


async def note_told(
    connection: AsyncConnection, task: TaskRow, occasions: Sequence[Occasion], ahead: datetime | None, now: datetime
) -> None:
    """Remember what is told of a locked task, and when it is looked at again; others hear of what nobody did."""
    told = [*task.told, *(one.key for one in occasions)]
    await connection.execute(update(tasks).where(tasks.c.id == task.id).values(told=told, tell_at=ahead))
    for one in occasions:
        if (kind := f"task.{one.name}") in ("task.unclaimed", "task.breached"):
            announce(connection, OutgoingEvent.about(kind, task, now))


#: Opens tasks that no run waits for, each once, with the first line of its history.
OPEN: Final = text(
    """
    WITH given AS (
        SELECT * FROM json_to_recordset(CAST(:rows AS json))
          AS t (id text, player_id text, step text, form text, question text, form_schema jsonb, team text, skill text,
                reason text, forbidden text[], snapshot jsonb, priority smallint, due_at timestamptz,
                created_at timestamptz, escalate_to text, approvals smallint, assignee text, actor text, actor_id text,
                key_id text)
    ), opened AS (
        INSERT INTO tasks (id, brand, player_id, step, form, question, form_schema, team, skill, reason, forbidden,
                           snapshot, state, priority, due_at, created_at, tell_at, escalate_to, approvals, assignee)
        SELECT id, :brand, player_id, step, form, question, form_schema, team, skill, reason, forbidden, snapshot,
               CASE WHEN assignee IS NULL THEN 'open' ELSE 'claimed' END, priority, due_at, created_at, created_at,
               escalate_to, approvals, assignee
        FROM given
        ON CONFLICT DO NOTHING RETURNING id
    )
    INSERT INTO task_history (task_id, brand, at, actor, actor_id, key_id, action)
    SELECT id, :brand, created_at, actor, actor_id, key_id, 'opened' FROM given JOIN opened USING (id)
    RETURNING task_id
    """
)
#: Forgets the history of up to `:limit` closed tasks that are over at `:due`, those that `FORGET` forgets next.
_DUE: Final = f"SELECT r.id {overdue('tasks', 'closed_at')} ORDER BY r.closed_at, r.id LIMIT :limit"
FORGET_HISTORY: Final = text(f"DELETE FROM task_history WHERE task_id = ANY(ARRAY({_DUE}))")  # noqa: S608 - our own words
FORGET: Final = text(f"DELETE FROM tasks WHERE id = ANY(ARRAY({_DUE}))")  # noqa: S608 - our own words
#: Overwrites what up to `:limit` tasks about a player from before `:before` asked, showed and were answered, and what
#: their histories say; who answered when stays.
ERASE_HISTORY: Final = text(
    """
    UPDATE task_history SET text = NULL, detail = '{}' WHERE id = ANY(ARRAY(
        SELECT h.id FROM task_history h JOIN tasks t ON t.id = h.task_id
        WHERE t.brand = :brand AND t.player_id = :player AND t.created_at <= :before
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
#: The same of tasks about two accounts, for the one whose task it is not. Its id stays, by which the rest is found.
ERASE_HISTORY_OF_OTHER: Final = text(
    """
    UPDATE task_history SET text = NULL, detail = '{}' WHERE id = ANY(ARRAY(
        SELECT h.id FROM task_history h JOIN tasks t ON t.id = h.task_id
        WHERE t.brand = :brand AND t.form = 'DoubleAccount' AND t.snapshot ->> 'other_id' = :player
          AND t.created_at <= :before AND (h.text IS NOT NULL OR h.detail <> '{}') LIMIT :limit))
    """
)
ERASE_OF_OTHER: Final = text(
    """
    UPDATE tasks SET question = '', reason = '', answer = NULL, proposal = NULL,
                     snapshot = jsonb_build_object('other_id', snapshot -> 'other_id')
    WHERE id = ANY(ARRAY(
        SELECT id FROM tasks WHERE brand = :brand AND form = 'DoubleAccount' AND snapshot ->> 'other_id' = :player
          AND created_at <= :before
          AND (question <> '' OR reason <> '' OR snapshot ? 'by' OR answer IS NOT NULL OR proposal IS NOT NULL)
        LIMIT :limit))
    """
)
