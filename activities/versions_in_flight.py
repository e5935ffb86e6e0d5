"""Which versions of journeys have runs in flight, how many, and until when at the latest."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.tables import HAS_WORKFLOW, runs

#: The version that a run plays: it may have been told to move and not have come to a wait.
PLAYED: Final = func.coalesce(runs.c.moving_from, runs.c.version)


@dataclass(frozen=True)
class VersionInFlight:
    """The runs that play one version of a journey and have a workflow, of one brand.

    `moving` of them were told to move to another and have not come to a wait since.
    """

    journey: str
    version: int
    brand: str
    runs: int
    oldest: datetime
    over_by: datetime
    moving: int


async def versions_in_flight(
    connection: AsyncConnection, journeys: Collection[str] | None = None
) -> list[VersionInFlight]:
    """What is in flight of these journeys, of all if none are named, by journey, version and brand."""
    columns = (runs.c.journey, PLAYED, runs.c.brand)
    figures = (func.count(), func.min(runs.c.entered_at), func.max(runs.c.ends_at), func.count(runs.c.moving_from))
    query = (
        select(*columns, *figures)
        .where(runs.c.state == "active", text(HAS_WORKFLOW))
        .group_by(*columns)
        .order_by(*columns)
    )
    if journeys is not None:
        query = query.where(runs.c.journey.in_(journeys))
    return [VersionInFlight(*row) for row in await connection.execute(query)]
