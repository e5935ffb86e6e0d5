"""What a person contested through accounts that are merged: one task, of the account that stays.

Whoever opens a contest and whoever merges accounts holds the rows of all of the person's, so the two are one after the
other: a contest is there before the merge and joined by it, or opened afterwards for the account that stays.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.actors import engine_in
from activities.tables import tasks as task_table
from activities.task_rows import TaskRequest, TaskRow
from activities.tasks import OPEN_STATES, cancel_alone, comment, write_change
from workflows.events import Event, PlayerMerged
from workflows.player_state.merging import accounts_of
from workflows.player_state.state import PlayerState
from workflows.protection_forms import ContestedRestriction


def staying(account: str, states: Mapping[str, PlayerState]) -> str:
    """The account under which a person's tasks are from the merge on."""
    return states[account].merged_into or account


async def join_contests(
    connection: AsyncConnection,
    brand: str,
    new: Iterable[tuple[str, Event]],
    states: dict[str, PlayerState],
    now: datetime,
) -> None:
    """Leave one open contest of each person whose accounts these events merged, the players' rows being locked.

    The one that somebody works on stays, or the oldest; the words of the others are added to it, and the earliest time
    holds. Of an erased account no words are carried on.
    """
    for event in (one for _, one in new if isinstance(one, PlayerMerged)):
        into = staying(event.survivor_id, states)
        accounts = [one for one in accounts_of(event, states) if staying(one, states) == into]
        if states[into].is_erased:
            continue
        found = await open_contests(connection, brand, accounts)
        kept = [one for one in found if not is_without_words(one, states)]
        for task in found:
            if task not in kept and (kept or states[task.player_id].is_erased):
                await cancel_alone(connection, brand, task.id, "The account was erased and merged.", now)
        if kept:
            await _join(connection, kept, into, now)


def is_without_words(task: TaskRow, states: Mapping[str, PlayerState]) -> bool:
    """Whether a contest is from before its account was erased: no words of it go anywhere, and none are added to it.

    Its player may have come back since, and is not erased any more.
    """
    erased_at = states[task.player_id].erased_at
    return erased_at is not None and erased_at >= task.created_at


async def open_contests(connection: AsyncConnection, brand: str, accounts: Collection[str]) -> list[TaskRow]:
    """The open contests of these accounts, locked: the one somebody works on first, then the oldest."""
    mine = (task_table.c.brand == brand, task_table.c.player_id.in_(accounts), task_table.c.run_id.is_(None))
    open_ones = (task_table.c.form == ContestedRestriction.__name__, task_table.c.state.in_(OPEN_STATES))
    found = select(task_table).where(*mine, *open_ones).order_by(task_table.c.id).with_for_update()
    rows = [TaskRow(*row) for row in await connection.execute(found)]
    return sorted(rows, key=lambda one: (one.state != "claimed", one.created_at, one.id))


async def _join(connection: AsyncConnection, found: Sequence[TaskRow], into: str, now: datetime) -> None:
    first, *others = found
    request = TaskRequest(first.brand, first.id, engine_in(first.brand), now)
    for other in others:
        await cancel_alone(connection, first.brand, other.id, f"It goes on as task {first.id}: one person's.", now)
        await comment(connection, request, other.reason)
    due_at = min(one.due_at for one in found)
    if (first.player_id, first.due_at) != (into, due_at):
        # What was shown of the account that goes stays as it was shown.
        moved = {"player_id": into, "due_at": due_at}
        told = f"{first.player_id} is {into} from now on." if first.player_id != into else None
        await write_change(connection, first, request, "changed", told, {"player_id": into}, **moved)
