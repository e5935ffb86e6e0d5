"""Reads from the kept events what a run is still to hear, because a process took them in that knew less."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import orjson
from pydantic import ValidationError
from sqlalchemy import Row, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text

from workflows.errors import UnknownEventType
from workflows.events import CATALOGUE, Event
from workflows.events.base import parse_event
from workflows.inbox import MOST_EVENTS
from workflows.player_state.active_run import Behind

logger = logging.getLogger(__name__)

#: Events a run hears at most when it catches up, the newest.
MOST_CAUGHT_UP: Final = 500
#: Events of its past that a run hears of at most when it moves, the newest: more it would let go of again.
MOST_PAST: Final = MOST_EVENTS


async def missed_events(
    connection: AsyncConnection, brand: str, player_id: str, run_id: str, behind: Behind
) -> list[Event]:
    """The player's live events that the run is behind by, in the order intake took them in.

    Without what this transaction took in itself, and without the event the run began with.
    """
    asked = {
        "brand": brand,
        "player": player_id,
        "run": run_id,
        "types": [*behind.types],
        "missed": orjson.dumps(_identities(behind)).decode(),
        "most": MOST_CAUGHT_UP,
    }
    rows = await connection.execute(_MISSED, asked)
    return [*_readable(rows.all())][::-1]


class Past(NamedTuple):
    """Whose past is asked for: a run, its player, when it began and what it has not heard yet."""

    run_id: str
    player_id: str
    since: datetime
    unheard: Behind


async def past_events(connection: AsyncConnection, brand: str, wanted: Sequence[Past]) -> dict[str, list[Event]]:
    """By run the player's live events since it began that it was not told, in the order intake took them in.

    Of very many only the newest.
    """
    wanted = [one for one in wanted if one.unheard.types or one.unheard.missed]
    if not wanted:
        return {}
    asked = [
        {
            "run": one.run_id,
            "player": one.player_id,
            "since": one.since,
            "types": [*one.unheard.types],
            "missed": _identities(one.unheard),
        }
        for one in wanted
    ]
    given = {
        "brand": brand,
        "wanted": orjson.dumps(asked).decode(),
        "oldest": min(one.since for one in wanted),
        "most": MOST_PAST,
    }
    found = await connection.execute(_PAST, given)
    by_run: dict[str, list[Row[Any]]] = {}
    for row in found:
        by_run.setdefault(row.run, []).append(row)
    return {run_id: [*_readable(rows)][::-1] for run_id, rows in by_run.items()}


def _identities(behind: Behind) -> list[dict[str, str]]:
    return [{"source": source, "id": event_id} for source, event_id in behind.missed]


def _readable(rows: Iterable[Row[Any]]) -> Iterator[Event]:
    wire_types = {kind.type: kind.wire_type for kind in CATALOGUE.values()}
    for row in rows:
        try:
            yield parse_event(
                wire_types.get(row.type, row.type),
                row.data,
                event_id=row.id,
                event_source=row.source,
                occurred_at=row.occurred_at,
                stored=True,
            )
        except (UnknownEventType, ValidationError):
            logger.warning("An event of type %s that a run missed cannot be read any more.", row.type)


# What began a run, if that was an event which is known still: what was told before it is not the run's, though it came
# in the same transaction or before the run's transaction began. Of an entry by hand the moment decides alone.
_TRIGGER: Final = """
    LEFT JOIN event_ids i
      ON i.identity = event_identity(CAST(:brand AS text), r.trigger ->> 'source', r.trigger ->> 'id')
"""
_SINCE: Final = """
    e.seq > coalesce(i.seq, 0) AND (r.trigger ->> 'id', r.trigger ->> 'source') IS DISTINCT FROM (e.id, e.source)
"""
# The bound on `received_at` stands by itself, so that months before the run are not looked at.
_MISSED = text(
    f"""
    SELECT e.source, e.id, e.type, e.occurred_at, e.data
    FROM runs r {_TRIGGER}
    CROSS JOIN LATERAL (
        SELECT * FROM events e
        WHERE e.brand = :brand AND e.player_id = :player AND e.received_at >= r.entered_at
          AND NOT e.history AND e.received_at <> now()
          AND (e.type = ANY(:types) AND {_SINCE}
               OR (e.source, e.id) IN (SELECT source, id FROM json_to_recordset(CAST(:missed AS json))
                                         AS t (source text, id text)))
        ORDER BY e.seq DESC LIMIT :most
    ) e
    WHERE r.id = :run ORDER BY e.seq DESC
    """  # noqa: S608 - of the constants above
).bindparams(bindparam("types", type_=ARRAY(Text)))
_PAST = text(
    f"""
    SELECT w.run, e.source, e.id, e.type, e.occurred_at, e.data
    FROM json_to_recordset(CAST(:wanted AS json))
      AS w (run text, player text, since timestamptz, types text[], missed jsonb)
    JOIN runs r ON r.id = w.run {_TRIGGER}
    CROSS JOIN LATERAL (
        SELECT * FROM events e
        WHERE e.brand = :brand AND e.player_id = w.player AND e.received_at >= :oldest AND e.received_at >= w.since
          AND NOT e.history AND e.received_at <> now()
          AND (e.type = ANY(w.types) AND {_SINCE}
               OR (e.source, e.id) IN (SELECT source, id FROM jsonb_to_recordset(w.missed)
                                         AS t (source text, id text)))
        ORDER BY e.seq DESC LIMIT :most
    ) e
    ORDER BY w.run, e.seq DESC
    """  # noqa: S608 - of the constants above
)
