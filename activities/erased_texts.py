"""Words about a player that come after the player was erased: what of them is kept, which is none.

What was opened before an erasure may be answered and commented after it. That somebody did, and what they decided, is
kept; their words would stand where no erasure looks any more.
"""

from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.standalone_tasks import ENGINE_FORMS
from activities.task_rows import TaskRow
from workflows.double_forms import DoubleAccount
from workflows.json_object import JsonObject
from workflows.task_kinds import HOUSE_FORMS


async def was_erased_since(connection: AsyncConnection, brand: str, player_id: str, moment: datetime) -> bool:
    """Whether a player was erased at a moment or later.

    Ask it with the row locked that the words are written to: an erasure that is committed later waits for that lock and
    overwrites what was written.
    """
    asked = {"brand": brand, "player": player_id, "moment": moment}
    return bool((await connection.execute(_ERASED_SINCE, asked)).scalar_one_or_none())


async def about_somebody_erased(connection: AsyncConnection, task: TaskRow) -> bool:
    """Whether the player of a task, or the other whom it is about, was erased since it was opened."""
    about = [task.player_id]
    if task.form == DoubleAccount.__name__ and "other_id" in task.snapshot:
        about.append(str(task.snapshot["other_id"]))
    return any([await was_erased_since(connection, task.brand, one, task.created_at) for one in about])


def without_words(form: str, answer: JsonObject | None) -> JsonObject | None:
    """An answer without what its form marks as personal; of a form that is not known here nothing is left."""
    asked = ENGINE_FORMS.get(form) or HOUSE_FORMS.get(form)
    if answer is None or asked is None:
        return None if answer is None else {}
    return {name: value for name, value in answer.items() if name not in asked.pii}


_ERASED_SINCE: Final = text(
    """
    SELECT (state ->> 'erased_at')::timestamptz >= :moment FROM players WHERE brand = :brand AND id = :player
    """
)
