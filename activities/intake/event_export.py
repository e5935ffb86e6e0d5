"""Reads the stored events of a brand as CloudEvents, for whoever plays them again."""

from collections.abc import AsyncIterator

import sqlalchemy as sa

from activities.database import Database
from activities.tables import events
from workflows.events import CATALOGUE
from workflows.json_object import JsonObject


async def stored_events(database: Database, brand: str) -> AsyncIterator[JsonObject]:
    """Every event of a brand as a CloudEvent, in the order intake took them in.

    They carry what the casino told us, personal data included: whoever passes them on redacts them first. A type that
    no loaded package declares any more is given as it was kept.
    """
    wire_types = {kind.type: kind.wire_type for kind in CATALOGUE.values()}
    query = sa.select(events).where(events.c.brand == brand).order_by(events.c.seq)
    async with database.reading() as connection:
        async for row in await connection.stream(query):
            yield {
                "specversion": "1.0",
                "type": wire_types.get(row.type, row.type),
                "source": row.source,
                "id": row.id,
                "subject": row.player_id,
                "time": row.occurred_at,
                "data": row.data,
            }
