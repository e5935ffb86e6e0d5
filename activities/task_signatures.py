"""Who approved a task's answer, and who may not: the table `task_signatures`, which only ever grows.

Its key is the constraint behind four eyes: one row for each task, round and signer. Who answered a step that a task
names in `not_by=` has a row in it before anybody can sign, and who has signed has theirs, so a second signature of the
same pair of eyes is refused by the database whatever the code does. Another answer begins another round.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, and_, or_, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.actors import Actor
from activities.overdue_records import overdue
from activities.people import who_may_work
from activities.tables import task_signatures, tasks
from activities.task_rows import TaskConflict, TaskRow
from workflows.effects import OpenTask
from workflows.task_rights import NotTheirs, Signature, refusal


async def not_theirs(connection: AsyncConnection, task: TaskRow, actor: Actor, now: datetime) -> TaskConflict | None:
    """Why this actor may not work on the task, if they may not.

    What counts pairs of eyes is for registered people, also where nobody is registered: who holds a key may hold two.
    """
    # Most tasks want one pair of eyes, anybody's, and nothing is read for them.
    counted = task.not_by or task.approvals > 1
    signatures = await signatures_of(connection, task.id, task.round) if counted else ()
    refused = refusal(
        task.team,
        task.skill,
        name=actor.name,
        signer_id=actor.id,
        teams=actor.teams,
        skills=actor.skills,
        key_id=actor.key_id,
        signatures=signatures,
    )
    if counted and actor.kind == "key" and (refused is None or refused.rule in {"earlier", "again"}):
        refused = NotTheirs("nameless", _nameless(task, actor))
    if refused is None:
        return None
    signers = {one.signer_id for one in signatures}
    able = await who_may_work(connection, task.brand, task.team, task.skill, now)
    may = tuple(person.email for person in able if person.id not in signers)
    return TaskConflict("not_theirs", task, refused.rule, refused.sentence, may)


def _nameless(task: TaskRow, actor: Actor) -> str:
    asks = (
        f"takes the same answer from {task.approvals} people" if task.approvals > 1 else "asks for another pair of eyes"
    )
    return (
        f"This {asks}, and {actor.name} is nobody who is registered: a key may be in anybody's hands. "
        "Name a registered person in X-Actor."
    )


def within_rights(actor: Actor) -> ColumnElement[bool]:
    """Tasks that are for one of the actor's teams and ask for no skill they lack: `refusal`, as a condition in SQL.

    Of a task that wants another pair of eyes only `not_theirs` knows whether the actor may still answer it.
    """
    skill = or_(tasks.c.skill.is_(None), tasks.c.skill.in_(sorted(actor.skills)))
    return skill if actor.teams is None else and_(skill, tasks.c.team.in_(sorted(actor.teams)))


async def bar_who_answered(connection: AsyncConnection, opening: OpenTask, task_id: str, now: datetime) -> None:
    """Keep from signing a task just opened whoever answered one of the forms it names, earlier in its run."""
    if opening.not_by:
        given = {"task_id": task_id, "run_id": opening.run_id, "forms": opening.not_by, "now": now}
        await connection.execute(_BAR, given)


async def signatures_of(connection: AsyncConnection, task_id: str, number: int) -> Sequence[Signature]:
    """Who is kept from signing a task, and who has signed it in this round.

    The signature of a key that named nobody was taken once, and is no approval: nobody knows whose eyes they were.
    """
    row = task_signatures.c
    counts = or_(row.step.is_not(None), row.key_id.is_(None), row.signer_id != row.key_id)
    found = select(task_signatures).where(row.task_id == task_id, row.round == number, counts)
    return [Signature(one.signer_id, one.signer, one.step, one.key_id) for one in await connection.execute(found)]


async def begin_round(connection: AsyncConnection, task_id: str, number: int) -> None:
    """Begin another round: nobody has signed, and who was kept from signing still is."""
    await connection.execute(_ANOTHER_ROUND, {"task_id": task_id, "round": number})


async def has_signed(connection: AsyncConnection, task_id: str, number: int, actor: Actor) -> bool:
    """Whether an actor is one of those who signed a task in this round, in whatever guise.

    To be asked with the task's row locked: the constraint of the table knows them by their id alone.
    """
    signatures = await signatures_of(connection, task_id, number)
    return any(one.is_of(actor.name, actor.id, actor.key_id) for one in signatures)


async def sign(connection: AsyncConnection, brand: str, task_id: str, number: int, actor: Actor, now: datetime) -> bool:
    """Sign a task's answer; False for who has signed it in this round, or may not."""
    signed = insert(task_signatures).values(
        task_id=task_id,
        round=number,
        brand=brand,
        signer_id=actor.id,
        signer=actor.name,
        key_id=actor.key_id,
        at=now,
    )
    once = signed.on_conflict_do_nothing().returning(task_signatures.c.task_id)
    return (await connection.execute(once)).scalar_one_or_none() is not None


# Who answered before signatures were kept is known by name alone.
_BAR: Final = text(
    """
    INSERT INTO task_signatures (task_id, round, brand, signer_id, signer, step, key_id, at)
    SELECT :task_id, 0, t.brand, coalesce(s.signer_id, 'name:' || t.answered_by), coalesce(s.signer, t.answered_by),
           t.step, s.key_id, CAST(:now AS timestamptz)
    FROM tasks t
    LEFT JOIN task_signatures s ON s.task_id = t.id AND s.round = t.round AND s.step IS NULL
    WHERE t.run_id = :run_id AND t.form = ANY(CAST(:forms AS text[])) AND t.id <> :task_id
      AND t.answered_by IS NOT NULL
    ON CONFLICT DO NOTHING
    """
)
_ANOTHER_ROUND: Final = text(
    """
    INSERT INTO task_signatures (task_id, round, brand, signer_id, signer, step, key_id, at)
    SELECT task_id, :round, brand, signer_id, signer, step, key_id, at
    FROM task_signatures WHERE task_id = :task_id AND round = 0 AND step IS NOT NULL
    """
)
#: Forgets the signatures of the tasks that `tasks.FORGET` forgets next.
FORGET: Final = text(
    f"""
    DELETE FROM task_signatures WHERE task_id = ANY(ARRAY(
        SELECT r.id {overdue("tasks", "closed_at")} ORDER BY r.closed_at, r.id LIMIT :limit))
    """  # noqa: S608 - our own words
)
