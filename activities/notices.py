"""What people are told by mail: the table `notices`. An occasion is told a person once, whoever finds it out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from sqlalchemy import or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.tables import notices
from workflows.task_notices import OccasionName

#: Beyond what handing over a mail can take, so that nobody else claims what is under way.
CLAIMED_FOR: Final = timedelta(minutes=2)
#: The pause after the first attempt, in seconds, what it grows by, and for how long a notice is tried.
FIRST_PAUSE_S, GROWTH, TRIED_FOR = 20.0, 2.0, timedelta(hours=12)

#: How the identity of a mail begins that tells somebody who works here; no message to a player has such a one.
MAIL_KEY: Final = "notice/"

#: `moot`: by the time it could be told there was nothing left to tell.
NoticeState = Literal["pending", "sent", "moot", "failed"]


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that a person is to be told. `task_id` of None is a digest; the id is the same for good."""

    id: str
    brand: str
    person_id: str
    task_id: str | None
    occasion: OccasionName
    due_at: datetime
    created_at: datetime
    attempts: int = 0


_COLUMNS: Final = [notices.c[name] for name in Notice.__dataclass_fields__]


async def write_notices(connection: AsyncConnection, written: Sequence[Notice]) -> None:
    """Have people told; what somebody was to be told already is left as it is."""
    if written:
        rows = [{name: getattr(one, name) for name in Notice.__dataclass_fields__} for one in written]
        await connection.execute(insert(notices).on_conflict_do_nothing(), rows)


async def claim_notices(connection: AsyncConnection, now: datetime, limit: int) -> list[Notice]:
    """What is to be told now and nobody else tells, the oldest first."""
    free = or_(notices.c.claimed_until.is_(None), notices.c.claimed_until <= now)
    due = select(notices.c.id).where(notices.c.state == "pending", notices.c.due_at <= now, free)
    heads = due.order_by(notices.c.due_at).limit(limit).with_for_update(skip_locked=True)
    claiming = update(notices).where(notices.c.id.in_(heads.scalar_subquery()))
    values = {"claimed_until": now + CLAIMED_FOR, "attempts": notices.c.attempts + 1}
    claimed = await connection.execute(claiming.values(**values).returning(*_COLUMNS))
    return [Notice(*row) for row in claimed]


async def settle_notice(
    connection: AsyncConnection, notice: Notice, state: NoticeState, now: datetime, error: str | None = None
) -> None:
    """Write what came of telling; what stays pending is tried again, after a longer pause each time."""
    values: dict[str, object] = {"state": state, "claimed_until": None, "last_error": error}
    if state == "pending" and now - notice.created_at > TRIED_FOR:
        values["state"] = state = "failed"
    if state == "pending":
        pause = FIRST_PAUSE_S * GROWTH ** min(notice.attempts - 1, 10)
        values["due_at"] = now + timedelta(seconds=pause)
    else:
        values["ended_at"] = now
    await connection.execute(update(notices).where(notices.c.id == notice.id).values(**values))


FORGET: Final = text(
    "DELETE FROM notices WHERE id = ANY(ARRAY("
    "SELECT id FROM notices WHERE created_at < :before ORDER BY created_at LIMIT :limit))"
)
