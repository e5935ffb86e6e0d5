"""Which versions of journeys have runs in flight, how many, and until when at the latest."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.tables import runs


@dataclass(frozen=True)
class VersionInFlight:
    """The runs of one version of a journey that have a workflow, of one brand."""

    journey: str
    version: int
    brand: str
    runs: int
    oldest: datetime
    over_by: datetime


async def versions_in_flight(
    connection: AsyncConnection, journeys: Collection[str] | None = None
) -> list[VersionInFlight]:
    """What is in flight of these journeys, of all if none are named, by journey, version and brand."""
    columns = (runs.c.journey, runs.c.version, runs.c.brand)
    query = (
        select(*columns, func.count(), func.min(runs.c.entered_at), func.max(runs.c.ends_at))
        .where(runs.c.state == "active", runs.c.arm == "treated")
        .group_by(*columns)
        .order_by(*columns)
    )
    if journeys is not None:
        query = query.where(runs.c.journey.in_(journeys))
    return [VersionInFlight(*row) for row in await connection.execute(query)]
