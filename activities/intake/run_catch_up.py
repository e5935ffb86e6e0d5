"""Reads from the kept events what a run is still to hear, because a process took them in that knew less."""

import logging
from collections.abc import Iterable, Iterator
from typing import Any, Final

import orjson
from pydantic import ValidationError
from sqlalchemy import Row, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text

from workflows.errors import UnknownEventType
from workflows.events import CATALOGUE, Event
from workflows.events.base import parse_event
from workflows.player_state.active_run import Behind

logger = logging.getLogger(__name__)

#: Events a run hears at most when it catches up, the newest.
MOST_CAUGHT_UP: Final = 500
#: Events that are looked at of a run that moves; most of them are nothing to it.
MOST_PAST: Final = 5_000


async def missed_events(
    connection: AsyncConnection, brand: str, player_id: str, run_id: str, behind: Behind
) -> list[Event]:
    """The player's live events that the run is behind by, in the order intake took them in.

    Without what this transaction took in itself, and without the event the run began with.
    """
    return await _events(connection, brand, player_id, run_id, behind, MOST_CAUGHT_UP)


async def past_events(
    connection: AsyncConnection, brand: str, player_id: str, run_id: str, unheard: Behind
) -> list[Event]:
    """The player's live events since a run began that it was not told, in the order intake took them in.

    Of very many only the newest.
    """
    if not unheard.types and not unheard.missed:
        return []
    return await _events(connection, brand, player_id, run_id, unheard, MOST_PAST)


async def _events(
    connection: AsyncConnection, brand: str, player_id: str, run_id: str, behind: Behind, most: int
) -> list[Event]:
    identities = [{"source": source, "id": event_id} for source, event_id in behind.missed]
    asked = {
        "brand": brand,
        "player": player_id,
        "run": run_id,
        "types": [*behind.types],
        "missed": orjson.dumps(identities).decode(),
        "most": most,
    }
    rows = await connection.execute(_MISSED, asked)
    return [*_readable(rows.all())][::-1]


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


_MISSED = text(
    """
    SELECT e.source, e.id, e.type, e.occurred_at, e.data
    FROM events e LEFT JOIN runs r ON r.id = :run
    WHERE e.brand = :brand AND e.player_id = :player AND NOT e.history AND e.received_at <> now()
      AND (e.type = ANY(:types) AND e.received_at >= r.entered_at
             AND (r.trigger ->> 'id', r.trigger ->> 'source') IS DISTINCT FROM (e.id, e.source)
           OR (e.source, e.id) IN (SELECT source, id FROM json_to_recordset(CAST(:missed AS json))
                                     AS t (source text, id text)))
    ORDER BY e.seq DESC LIMIT :most
    """
).bindparams(bindparam("types", type_=ARRAY(Text)))
