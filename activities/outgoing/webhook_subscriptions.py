"""The table `webhook_subscriptions`: who wants to hear what, and how the receiver does. Only this module writes it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from sqlalchemy import Select, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.database import Database, DatabaseUnreachable
from activities.outgoing.chat_messages import WebhookFormat
from activities.outgoing.outbox import BELIEVED_FOR
from activities.outgoing.signing_secrets import Generation
from activities.tables import webhook_subscriptions
from workflows.json_object import JsonObject

SubscriptionState = Literal["active", "disabled", "deleted"]
#: Why one is disabled: a person said so, nothing was taken for three days, or the receiver said it is gone (410).
DisabledBecause = Literal["by_hand", "failing", "gone"]

#: Subscriptions of one brand.
MOST: Final = 50
#: Attempts in a row that reached nobody, after which one at a time asks whether the receiver is back.
FAILURES: Final = 5
#: The longest pause between two of those, in seconds.
LONGEST_PAUSE: Final = 300
#: For how long nothing may be taken before a subscription is disabled.
FAILING_FOR: Final = timedelta(days=3)
#: What clocks may differ by in a second, and how often and how long transactions are waited for.
_MARGIN, _LOOK_EVERY, _SETTLED_AFTER = timedelta(seconds=0.25), 0.05, timedelta(seconds=20)


@dataclass(frozen=True, slots=True)
class Subscription:
    """A row of `webhook_subscriptions`."""

    id: str
    brand: str
    url: str
    types: list[str]
    description: str
    state: SubscriptionState
    reason: DisabledBecause | None
    secrets: list[JsonObject]
    failures: int
    failing_since: datetime | None
    last_error: str | None
    due_at: datetime
    created_by: str
    created_at: datetime
    updated_at: datetime
    format: WebhookFormat
    #: Of which teams' tasks it is told; none means all.
    teams: list[str]

    @property
    def generations(self) -> list[Generation]:
        """Its secrets, the newest first."""
        return [Generation.read(one) for one in self.secrets]

    @property
    def is_failing(self) -> bool:
        """Whether it is asked by one attempt at a time whether its receiver is back."""
        return self.failures >= FAILURES


def of_brand(brand: str) -> Select[Any]:
    """The subscriptions of a brand that were not deleted, as a query."""
    row = webhook_subscriptions.c
    return select(webhook_subscriptions).where(row.brand == brand, row.state != "deleted")


async def find(connection: AsyncConnection, brand: str, subscription_id: str) -> Subscription | None:
    """A brand's subscription, None if it has none of that id."""
    chosen = of_brand(brand).where(webhook_subscriptions.c.id == subscription_id)
    row = (await connection.execute(chosen)).one_or_none()
    return None if row is None else Subscription(*row)


async def create(connection: AsyncConnection, values: JsonObject, generations: Sequence[Generation]) -> None:
    """Make a subscription; it is not to be acknowledged before `settle`."""
    secrets = [one.as_json() for one in generations]
    await connection.execute(insert(webhook_subscriptions).values(**values, state="active", secrets=secrets))


async def count(connection: AsyncConnection, brand: str) -> int:
    """How many a brand has."""
    return await connection.scalar(select(func.count()).select_from(of_brand(brand).subquery())) or 0


async def change(connection: AsyncConnection, subscription_id: str, now: datetime, **values: Any) -> None:
    """Give a subscription other values. One that is made active again begins as if it had never failed."""
    if values.get("state") == "active":
        values |= {"reason": None, "failures": 0, "failing_since": None, "last_error": None, "due_at": now}
    mine = webhook_subscriptions.c.id == subscription_id
    await connection.execute(update(webhook_subscriptions).where(mine).values(**values, updated_at=now))


async def settle(database: Database) -> None:
    """Wait until nothing is committed any more by whoever did not know what has just been committed here.

    Every process forgets within `BELIEVED_FOR` what it knew; whoever went by that is in a transaction that has begun by
    then, so those are waited for. Raises `DatabaseUnreachable` if one of them takes too long.
    """
    await asyncio.sleep((BELIEVED_FOR + _MARGIN).total_seconds())
    waiting = await _transactions(database)
    end = asyncio.get_running_loop().time() + _SETTLED_AFTER.total_seconds()
    while waiting:
        if asyncio.get_running_loop().time() > end:
            raise DatabaseUnreachable
        await asyncio.sleep(_LOOK_EVERY)
        waiting &= await _transactions(database)


async def _transactions(database: Database) -> set[str]:
    async with database.reading() as connection:
        return set((await connection.execute(_TRANSACTIONS)).scalars())


# ---- how the receiver does ------------------------------------------------------------------------


async def due(connection: AsyncConnection) -> list[str]:
    """The subscriptions that have something to hear now."""
    return [*(await connection.execute(_DUE)).scalars()]


async def serving(connection: AsyncConnection, subscription_id: str) -> Subscription | None:
    """A subscription that may be told something now, None if it may not."""
    row = webhook_subscriptions.c
    mine = select(webhook_subscriptions).where(
        row.id == subscription_id, row.state == "active", row.due_at <= func.now()
    )
    found = (await connection.execute(mine)).one_or_none()
    return None if found is None else Subscription(*found)


async def note_taken(connection: AsyncConnection, subscription_id: str) -> bool:
    """The receiver took something; True where it did not before."""
    noted = await connection.execute(_TAKEN, {"id": subscription_id})
    return noted.one_or_none() is not None


async def note_failed(
    connection: AsyncConnection,
    subscription_id: str,
    failures: int,
    error: str,
    *,
    pause: float = 0,
    gone: bool = False,
) -> DisabledBecause | None:
    """Attempts that the receiver did not take, `failures` of them because it could not be reached at all.

    After `FAILURES` in a row it is left alone for a while, longer each time; `pause` is what it asked for, in seconds.
    Why it is disabled now, if it is.
    """
    given = {"id": subscription_id, "more": failures, "error": error[:500], "pause": pause, "gone": gone}
    row = (await connection.execute(_FAILED, given)).one_or_none()
    return None if row is None or row.state == "active" else row.reason


_TRANSACTIONS: Final = text(
    """
    SELECT l.virtualtransaction FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE l.locktype = 'virtualxid' AND l.mode = 'ExclusiveLock' AND a.pid <> pg_backend_pid()
      AND a.datname = current_database() AND a.usename = current_user
    """
)
_DUE: Final = text(
    """
    SELECT s.id FROM webhook_subscriptions s
    WHERE s.state = 'active' AND s.due_at <= now() AND EXISTS (
        SELECT FROM webhook_deliveries d
        WHERE d.subscription_id = s.id AND d.state = 'pending' AND d.due_at <= now()
          AND (d.claimed_until IS NULL OR d.claimed_until <= now()))
    """
)
_TAKEN: Final = text(
    """
    UPDATE webhook_subscriptions SET failures = 0, failing_since = NULL, last_error = NULL, due_at = now()
    WHERE id = :id AND failing_since IS NOT NULL RETURNING id
    """
)
_FAILED: Final = text(
    f"""
    UPDATE webhook_subscriptions
    SET failures = failures + :more, failing_since = coalesce(failing_since, now()), last_error = :error,
        due_at = greatest(
            CASE WHEN :pause > 0 THEN clock_timestamp() + interval '1 second' * CAST(:pause AS float8) ELSE due_at END,
            CASE WHEN :more > 0 AND failures + :more >= {FAILURES}
                 THEN clock_timestamp() + interval '1 second' * (0.8 + 0.4 * random())
                      * least({LONGEST_PAUSE}, power(2, least(failures + :more - {FAILURES}, 20)))
                 ELSE due_at END),
        state = CASE WHEN :gone OR failing_since < now() - interval '{FAILING_FOR.days} days' THEN 'disabled'
                     ELSE state END,
        reason = CASE WHEN :gone THEN 'gone'
                      WHEN failing_since < now() - interval '{FAILING_FOR.days} days' THEN 'failing'
                      ELSE reason END
    WHERE id = :id AND state = 'active'
    RETURNING state, reason
    """  # noqa: S608 - our own numbers
)

#: Forgets subscriptions that were deleted before `:before` and have nothing left.
FORGET: Final = text(
    """
    DELETE FROM webhook_subscriptions WHERE id = ANY(ARRAY(
        SELECT id FROM webhook_subscriptions s WHERE state = 'deleted' AND updated_at < :before
          AND NOT EXISTS (SELECT FROM webhook_deliveries d WHERE d.subscription_id = s.id) LIMIT :limit))
    """
)
