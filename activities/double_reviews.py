"""Accounts that are likely one person's, put before people: one task a pair, once, and what its answer does.

The task says ids and by what they are alike, never the address itself. Its id follows from the pair, so a pair is
asked about once for as long as the task is kept, whatever was answered.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from activities import tasks
from activities.database import Database
from activities.harm_reviews import SOURCE, Transactions
from activities.intake.intake import Intake
from activities.likely_doubles import LikelyDouble
from activities.standalone_tasks import StandaloneTask
from activities.task_rows import TaskConflict, TaskOutcome, TaskRequest, TaskRow, same
from workflows import double_forms
from workflows.double_forms import DoubleAccount
from workflows.events import PlayerMerged
from workflows.json_object import JsonObject

#: Tasks of this kind that lie open in a brand at most: people are not to be buried. The others come in later nights.
MOST_OPEN: Final = 500
AT_ONCE: Final = 100
_ALIKE: Final = {"email": "mail address", "phone": "telephone number", "person": "first name and date of birth"}


def task_id_of(brand: str, one: str, other: str) -> str:
    """The id of the task about a pair, in whichever order it is told."""
    first, second = sorted((one, other))
    return hashlib.sha256(f"double {brand} {first}\n{second}".encode()).hexdigest()[:24]


async def open_tasks(database: Database, brand: str, found: Sequence[LikelyDouble], now: datetime) -> int:
    """Open a task for each pair that nobody was asked about yet, the surest first; how many."""
    by_id = {task_id_of(brand, double.one, double.other): double for double in found}
    async with database.reading() as connection:
        room = MOST_OPEN - (await connection.execute(_OPEN, {"brand": brand})).scalar_one()
        asked = set((await connection.execute(_ASKED, {"ids": [*by_id]})).scalars())
    new = [double for task_id, double in by_id.items() if task_id not in asked][: max(room, 0)]
    opened = 0
    for start in range(0, len(new), AT_ONCE):
        async with database.transaction() as connection:
            some = new[start : start + AT_ONCE]
            since = await _since(connection, brand, some)
            for double in some:
                if {double.one, double.other} <= since.keys():
                    opened += await tasks.open_alone(connection, brand, _asking(brand, double, since, now))
    return opened


async def close_needless(database: Database, brand: str, now: datetime) -> int:
    """Close the open tasks of a brand about accounts that were joined, or of which one was erased; how many."""
    async with database.transaction() as connection:
        needless = (await connection.execute(_NEEDLESS, {"brand": brand})).scalars().all()
        for task_id in needless:
            await tasks.cancel_alone(connection, brand, task_id, "There is nothing to decide any more.", now)
    return len(needless)


async def complete(database: Transactions, intake: Intake, request: TaskRequest, answer: JsonObject) -> TaskOutcome:
    """Close the task with its answer, and join the accounts where it says that they are one person's.

    The answer is committed first. Where the process dies before they are joined, the same answer given again joins
    them, and so does the next night: `join_answered`.
    """
    async with database.patient_transaction() as connection:
        outcome = await tasks.complete_alone(connection, request, answer)
    task = outcome
    if isinstance(outcome, TaskConflict) and outcome.why == "answered" and same(outcome.task.answer, answer):
        task = outcome.task
    if isinstance(task, TaskRow) and task.state == "completed":
        await _join(intake, task, request.now, request.actor.key_id)
    return outcome


async def join_answered(database: Database, intake: Intake, brand: str, now: datetime) -> int:
    """Join accounts of a brand of which somebody has said that they are one person's, and that are not yet joined."""
    async with database.reading() as connection:
        ids = (await connection.execute(_ANSWERED, {"brand": brand})).scalars().all()
        left = [await tasks.find(connection, brand, task_id) for task_id in ids]
    for task in left:
        if task is not None:
            await _join(intake, task, now)
    return len(left)


async def _join(intake: Intake, task: TaskRow, now: datetime, key_id: str | None = None) -> None:
    """Tell what a completed task says. Told again it is a duplicate: everything of the event follows from the task."""
    answer, other = task.answer or {}, task.snapshot.get("other_id")
    if answer.get("outcome") != "one_person" or not isinstance(other, str) or "by" not in task.snapshot:
        return  # of an erased player a task keeps no more than an id
    merged = PlayerMerged(
        event_id=task.id,
        event_source=SOURCE,
        occurred_at=task.closed_at or now,
        survivor_id=task.player_id,
        absorbed_id=other,
        rule="reviewed:" + ",".join(task.snapshot["by"]),
        score=task.snapshot["score"],
    )
    # By the way of all events, for a merge may carry exclusions to the other brands of a group.
    await intake.ingest(task.brand, [(task.player_id, merged)], now, key_id=key_id)


def _asking(brand: str, double: LikelyDouble, since: dict[str, datetime], now: datetime) -> StandaloneTask:
    """The question about a pair: the newer account would live on as the elder."""
    elder, newer = sorted((double.one, double.other), key=lambda one: (since[one], one))
    alike = " and ".join(_ALIKE[kind] for kind in double.by)
    return StandaloneTask(
        id=task_id_of(brand, elder, newer),
        player_id=elder,
        step=double_forms.STEP,
        form=DoubleAccount.__name__,
        question=(DoubleAccount.__doc__ or "").strip(),
        form_schema=DoubleAccount.model_json_schema(),
        team=double_forms.TEAM,
        skill=None,
        reason=f"{elder} and {newer} have the same {alike}; {newer} would live on as {elder}, the elder account.",
        forbidden=double_forms.FORBIDDEN,
        snapshot={"player_id": elder, "other_id": newer, "by": [*double.by], "score": double.score},
        priority=double_forms.PRIORITY,
        due_at=now + double_forms.DUE,
        created_at=now,
    )


async def _since(connection: AsyncConnection, brand: str, pairs: Sequence[LikelyDouble]) -> dict[str, datetime]:
    """By player: when they registered, or when we first heard of them."""
    ids = {player for double in pairs for player in (double.one, double.other)}
    rows = await connection.execute(_SINCE, {"brand": brand, "ids": [*ids]})
    return {row.id: row.since for row in rows}


_OPEN: Final = text(
    f"SELECT count(*) FROM tasks WHERE brand = :brand AND form = '{DoubleAccount.__name__}' AND closed_at IS NULL"  # noqa: S608 - our own words
)
_ASKED: Final = text("SELECT id FROM tasks WHERE id = ANY(:ids)")
_SINCE: Final = text(
    """
    SELECT id, coalesce((state -> 'facts' ->> 'registered_at')::timestamptz, created_at) AS since
    FROM players WHERE brand = :brand AND id = ANY(:ids)
    """
)
_NEEDLESS: Final = text(
    f"""
    SELECT t.id FROM tasks t
    JOIN players p ON p.brand = t.brand AND p.id = t.player_id
    LEFT JOIN players o ON o.brand = t.brand AND o.id = t.snapshot ->> 'other_id'
    WHERE t.brand = :brand AND t.form = '{DoubleAccount.__name__}' AND t.closed_at IS NULL
      AND (o.id IS NULL OR p.profile = '{{}}' OR o.profile = '{{}}' OR p.state -> 'accounts' ? o.id)
    ORDER BY t.id LIMIT 1000 FOR UPDATE OF t
    """  # noqa: S608 - our own words
)
_ANSWERED: Final = text(
    f"""
    SELECT t.id FROM tasks t
    JOIN players p ON p.brand = t.brand AND p.id = t.player_id
    JOIN players o ON o.brand = t.brand AND o.id = t.snapshot ->> 'other_id'
    WHERE t.brand = :brand AND t.form = '{DoubleAccount.__name__}' AND t.answer ->> 'outcome' = 'one_person'
      AND t.snapshot ? 'by' AND t.closed_at > now() - interval '7 days'
      AND NOT coalesce(p.state -> 'accounts' ? o.id, false)
    ORDER BY t.id LIMIT 1000
    """  # noqa: S608 - our own words
)
