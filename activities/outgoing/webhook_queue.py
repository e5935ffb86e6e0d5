"""The tables `outgoing_events` and `webhook_deliveries`: what happened, and which subscriptions have yet to hear it.

Only this module writes them. A subscription hears what concerns one player in the order of `seq`, the next only when it
has taken the one before: whoever claims sees of each player the oldest pending event alone. A claim ends by itself, so
a process that dies delays what it had claimed and loses nothing.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple
from uuid import uuid4

import orjson
from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Integer, Text

from activities.notifications import notify_after_commit
from workflows.json_object import JsonObject
from workflows.outgoing_events import OutgoingEvent, filters_of

#: What Postgres notifies senders of webhooks on.
CHANNEL: Final = "webhooks"
#: Beyond what an attempt can take, so that nobody else claims what is still under way.
CLAIMED_FOR: Final = timedelta(seconds=30)
#: The lock that orders what concerns one player: `pg_advisory_xact_lock(ORDER, …)`.
ORDER: Final = 7_061_127

DeliveryState = Literal["pending", "delivered", "failed"]


class ClaimedDelivery(NamedTuple):
    """An event that a subscription is to hear now. `attempts` counts this one, and tells this claim from others."""

    seq: int
    attempts: int
    id: str
    brand: str
    player_id: str
    type: str
    at: datetime
    data: JsonObject
    #: How many seconds ago it happened.
    age: float


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """What an attempt came to, as it is written: `state` pending means again, after `pause` seconds."""

    seq: int
    attempts: int
    state: DeliveryState
    status: int | None
    error: str | None
    pause: float


async def write(connection: AsyncConnection, events: Sequence[OutgoingEvent]) -> None:
    """Write events and who is to hear them; one that nobody hears leaves no row, one of a known id none anew.

    To be called last in its transaction: of each player it takes a lock until the commit, which is what makes `seq` the
    order of commits.
    """
    rows = [
        {
            "place": place,
            "id": event.id or uuid4().hex,
            "brand": event.brand,
            "player_id": event.player_id,
            "type": event.type,
            "filters": filters_of(event.type),
            "at": event.at,
            "data": event.data,
        }
        for place, event in enumerate(events)
    ]
    await connection.execute(_WRITE, {"rows": _json(rows)})
    notify_after_commit(connection, CHANNEL)


async def write_for(connection: AsyncConnection, subscription_id: str, event: OutgoingEvent) -> str:
    """Write an event that one subscription alone is to hear; its id."""
    event_id = event.id or uuid4().hex
    values: JsonObject = {"subscription": subscription_id, "id": event_id, "brand": event.brand}
    values |= {"player": event.player_id, "type": event.type, "at": event.at, "data": _json(event.data)}
    await connection.execute(_WRITE_FOR, values)
    notify_after_commit(connection, CHANNEL)
    return event_id


async def claim(connection: AsyncConnection, subscription_id: str, most: int) -> list[ClaimedDelivery]:
    """Up to `most` events that a subscription is to hear now and nobody else tells it, of each player the oldest."""
    wanted = {"subscription": subscription_id, "most": most, "claimed": CLAIMED_FOR.total_seconds()}
    return [ClaimedDelivery(*row) for row in await connection.execute(_CLAIM, wanted)]


async def record(connection: AsyncConnection, subscription_id: str, attempts: Sequence[AttemptRecord]) -> None:
    """Write what attempts came to. That an event was taken is true whoever says it; the rest the last claim says."""
    if attempts:
        await connection.execute(_RECORD, {"subscription": subscription_id, "rows": _json([*attempts])})


async def hasten(connection: AsyncConnection, subscription_id: str) -> None:
    """Have everything told now that a subscription has yet to hear: its receiver is back."""
    await connection.execute(_HASTEN, {"subscription": subscription_id})


async def tell_again(
    connection: AsyncConnection,
    subscription_id: str,
    *,
    event_ids: Collection[str] = (),
    since: datetime | None = None,
    until: datetime | None = None,
    only_failed: bool = True,
    most: int,
) -> int:
    """Have events told once more, those of `event_ids` or those that happened from `since` until `until`; how many.

    They keep nobody waiting and come in no promised order.
    """
    wanted = {"subscription": subscription_id, "ids": [*event_ids], "since": since, "until": until}
    told = await connection.execute(_AGAIN, wanted | {"only_failed": only_failed, "most": most})
    notify_after_commit(connection, CHANNEL)
    return told.rowcount


def _json(value: object) -> str:
    return orjson.dumps(value, option=orjson.OPT_UTC_Z).decode()


_WRITE: Final = text(
    f"""
    WITH given AS MATERIALIZED (
        SELECT * FROM json_to_recordset(CAST(:rows AS json)) AS t
          (place integer, id text, brand text, player_id text, type text, filters text[], at timestamptz, data jsonb)
    ), players AS MATERIALIZED (
        SELECT DISTINCT hashtext(brand || '/' || player_id) AS player FROM given ORDER BY player
    ), turns AS MATERIALIZED (
        SELECT count(pg_advisory_xact_lock({ORDER}, player) IS NULL) AS taken FROM players
    ), wanted AS MATERIALIZED (
        SELECT given.*, ARRAY(
            SELECT s.id FROM webhook_subscriptions s
            WHERE s.brand = given.brand AND s.state = 'active' AND s.types && given.filters
              AND (s.teams = '{{}}' OR given.data ->> 'team' = ANY(s.teams))
        ) AS subscriptions
        FROM given CROSS JOIN turns
    ), new AS (
        INSERT INTO outgoing_events (id, brand, player_id, type, at, data)
        SELECT id, brand, player_id, type, at, data FROM wanted WHERE subscriptions <> '{{}}' ORDER BY place
        ON CONFLICT (id) DO NOTHING
        RETURNING seq, id
    )
    INSERT INTO webhook_deliveries (subscription_id, event_seq, brand, player_id)
    SELECT unnest(wanted.subscriptions), new.seq, wanted.brand, wanted.player_id
    FROM new JOIN wanted ON wanted.id = new.id
    """  # noqa: S608 - our own number
)
_WRITE_FOR: Final = text(
    """
    WITH new AS (
        INSERT INTO outgoing_events (id, brand, player_id, type, at, data)
        VALUES (:id, :brand, :player, :type, :at, CAST(:data AS jsonb)) RETURNING seq, brand, player_id
    )
    INSERT INTO webhook_deliveries (subscription_id, event_seq, brand, player_id)
    SELECT :subscription, seq, brand, player_id FROM new
    """
)
_CLAIM: Final = text(
    """
    WITH heads AS MATERIALIZED (
        SELECT d.event_seq FROM webhook_deliveries d
        WHERE d.subscription_id = :subscription AND d.state = 'pending' AND d.due_at <= now()
          AND (d.claimed_until IS NULL OR d.claimed_until <= now())
          AND (d.again OR NOT EXISTS (
              SELECT FROM webhook_deliveries e
              WHERE e.subscription_id = d.subscription_id AND e.player_id = d.player_id
                AND e.state = 'pending' AND NOT e.again AND e.event_seq < d.event_seq))
        ORDER BY d.due_at, d.event_seq
        LIMIT :most
        FOR UPDATE OF d SKIP LOCKED
    ), claimed AS (
        UPDATE webhook_deliveries d
        SET attempts = d.attempts + 1, claimed_until = clock_timestamp() + interval '1 second' * :claimed
        FROM heads WHERE d.subscription_id = :subscription AND d.event_seq = heads.event_seq
        RETURNING d.event_seq, d.attempts
    )
    SELECT e.seq, claimed.attempts, e.id, e.brand, e.player_id, e.type, e.at, e.data,
           extract(epoch FROM clock_timestamp() - e.created_at)::float8 AS age
    FROM claimed JOIN outgoing_events e ON e.seq = claimed.event_seq ORDER BY e.seq
    """
)
_RECORD: Final = text(
    """
    UPDATE webhook_deliveries d
    SET state = t.state, last_status = t.status, last_error = t.error, claimed_until = NULL,
        due_at = clock_timestamp() + interval '1 second' * t.pause,
        ended_at = CASE t.state WHEN 'pending' THEN NULL ELSE clock_timestamp() END
    FROM json_to_recordset(CAST(:rows AS json)) AS t
      (seq bigint, attempts integer, state text, status integer, error text, pause float8)
    WHERE d.subscription_id = :subscription AND d.event_seq = t.seq
      AND (d.attempts = t.attempts OR t.state = 'delivered') AND d.state <> 'delivered'
    """
)
_HASTEN: Final = text(
    """
    UPDATE webhook_deliveries SET due_at = now()
    WHERE subscription_id = :subscription AND state = 'pending' AND due_at > now()
    """
)
_AGAIN: Final = text(
    """
    UPDATE webhook_deliveries d
    SET state = 'pending', again = true, attempts = 0, due_at = now(), claimed_until = NULL, ended_at = NULL
    WHERE d.subscription_id = :subscription AND d.event_seq = ANY(ARRAY(
        SELECT o.event_seq FROM webhook_deliveries o JOIN outgoing_events e ON e.seq = o.event_seq
        WHERE o.subscription_id = :subscription AND o.state <> 'pending'
          AND (o.state = 'failed' OR NOT CAST(:only_failed AS boolean))
          AND (e.id = ANY(:ids) OR (e.at >= CAST(:since AS timestamptz) AND e.at < CAST(:until AS timestamptz)))
        ORDER BY o.event_seq LIMIT :most))
    """
).bindparams(bindparam("ids", type_=ARRAY(Text)), bindparam("most", type_=Integer))
#: What runs of a player said themselves in their journeys' words; that they said it, and when, is told all the same.
ERASE: Final = text(
    """
    UPDATE outgoing_events SET data = data - 'given' WHERE seq = ANY(ARRAY(
        SELECT e.seq FROM outgoing_events e
        WHERE e.brand = :brand AND e.player_id = :player AND e.data ? 'given'
          AND (e.created_at <= :before
               OR EXISTS (SELECT FROM runs r WHERE r.id = e.data ->> 'run_id' AND r.entered_at <= :before))
        LIMIT :limit))
    """
)

#: Forget what was told, or was to be told, before `:before`; the deliveries first.
FORGET_DELIVERIES: Final = text(
    """
    DELETE FROM webhook_deliveries WHERE event_seq = ANY(ARRAY(
        SELECT seq FROM outgoing_events WHERE created_at < :before ORDER BY seq LIMIT :limit))
    """
)
FORGET: Final = text(
    """
    DELETE FROM outgoing_events WHERE seq = ANY(ARRAY(
        SELECT seq FROM outgoing_events WHERE created_at < :before ORDER BY seq LIMIT :limit))
    """
)
