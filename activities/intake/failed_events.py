"""The table `failed_events`: events that were taken in and could not be applied to their player.

Only this module writes it. One player whose row or whose rules' data fails must not cost the others of a batch their
events: theirs is kept here, with the reason, until a person has it tried again. Its identity stays free, so a sender
who sends it again has it tried again too.
"""

import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from prometheus_client import Counter
from sqlalchemy import ColumnElement, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.database import Database
from activities.intake.backpressure import protects
from activities.intake.receipts import Kept, Receipt
from activities.tables import failed_events
from workflows.events import Event
from workflows.json_object import JsonObject

logger = logging.getLogger(__name__)

#: Characters kept of what was raised.
MAX_ERROR: Final = 500

FAILED: Final = Counter("journeys_events_failed_total", "Events that could not be applied to their player.")

PlayerEvent = tuple[str, Event]
# What code raises over a value it did not expect, and Postgres over one it does not take.
_OWN: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
    DataError,
    IntegrityError,
)


class FailedEventRow(NamedTuple):
    """A row of `failed_events`; `event` is a CloudEvent, personal data in it."""

    id: int
    brand: str
    player_id: str
    source: str
    event_id: str
    event: JsonObject
    history: bool
    error: str
    at: datetime
    retried_at: datetime | None
    key_id: str | None


def concerns_one_player(error: BaseException) -> bool:
    """Whether what was raised may be one player's own: their row, their events. A database that is away is not."""
    return isinstance(error, _OWN)


async def apart(
    events: Sequence[PlayerEvent],
    take: Callable[[Sequence[PlayerEvent]], Awaitable[list[Receipt]]],
    keep: Callable[[PlayerEvent, Exception], Awaitable[Receipt]],
) -> list[Receipt]:
    """Take events of which some raise: by halves of their players, then one by one, in each player's order.

    `keep` answers for those that raise alone. Raises what concerns everybody.
    """
    players = sorted({player_id for player_id, _ in events})
    if len(players) > 1:
        first = frozenset(players[: len(players) // 2])
        parts = [[one for one, (player, _) in enumerate(events) if (player in first) == side] for side in (True, False)]
    else:
        parts = [[one] for one in range(len(events))]
    receipts: dict[int, Receipt] = {}
    for part in parts:
        some = [events[one] for one in part]
        try:
            told = await take(some)
        except Exception as error:
            if not concerns_one_player(error):
                raise
            told = [await keep(some[0], error)] if len(some) == 1 else await apart(some, take, keep)
        receipts.update(zip(part, told, strict=True))
    return [receipts[one] for one in range(len(events))]


async def keep(
    database: Database,
    brand: str,
    now: datetime,
    key_id: str | None,
    given: PlayerEvent,
    error: Exception,
    *,
    history: bool,
) -> Receipt:
    """Keep an event that its player cannot be advanced by. One that protects is to be sent again all the same.

    Sent again and failing again, it is still one.
    """
    player_id, event = given
    sentence = "An event of player %s of %s cannot be applied and is kept; correct what the traceback names."
    logger.error(sentence, player_id, brand, exc_info=error)
    values = {
        "brand": brand,
        "player_id": player_id,
        "source": event.event_source,
        "event_id": event.event_id,
        "event": event.to_wire(),
        "history": history,
        "error": f"{type(error).__name__}: {' '.join(str(error).split())}"[:MAX_ERROR],
        "at": now,
        "retried_at": None,
        "key_id": key_id,
    }
    written = insert(failed_events).values(values)
    anew = ("player_id", "event", "history", "error", "at", "retried_at", "key_id")
    again = {name: written.excluded[name] for name in anew}
    identity = [failed_events.c.brand, failed_events.c.source, failed_events.c.event_id]
    async with database.transaction() as connection:
        await connection.execute(written.on_conflict_do_update(index_elements=identity, set_=again))
    FAILED.inc()
    return "later" if protects(event) else Kept()


async def lock_untried(connection: AsyncConnection, brand: str, limit: int) -> list[FailedEventRow]:
    """A brand's failed events that wait for a person, locked; those first that failed longest ago."""
    oldest = select(failed_events).where(_untried(brand)).order_by(failed_events.c.at, failed_events.c.id).limit(limit)
    return [FailedEventRow(*row) for row in await connection.execute(oldest.with_for_update(skip_locked=True))]


async def count_untried(connection: AsyncConnection, brand: str) -> int:
    """How many of a brand's failed events wait for a person."""
    return (await connection.scalar(select(func.count()).select_from(failed_events).where(_untried(brand)))) or 0


async def mark_retried(connection: AsyncConnection, ids: Collection[int], now: datetime) -> None:
    """Note that these were tried again."""
    await connection.execute(update(failed_events).where(failed_events.c.id.in_(ids)).values(retried_at=now))


def _untried(brand: str) -> ColumnElement[bool]:
    return (failed_events.c.brand == brand) & failed_events.c.retried_at.is_(None)


FORGET: Final = text(
    "DELETE FROM failed_events"
    " WHERE id = ANY(ARRAY(SELECT id FROM failed_events WHERE retried_at < :before LIMIT :limit))"
)
#: Erases up to `:limit` events of a player that failed before `:before`: nobody may have them tried again.
ERASE: Final = text(
    """
    DELETE FROM failed_events WHERE id = ANY(ARRAY(
        SELECT id FROM failed_events WHERE brand = :brand AND player_id = :player AND at <= :before LIMIT :limit))
    """
)
