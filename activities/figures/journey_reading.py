"""What is counted of journeys, read for the API, the console and reports: one reading, so that all show the same."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, NamedTuple

from sqlalchemy import bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Date, Integer
from sqlalchemy.types import Text as SqlText

from activities.figures.followers import JOURNEYS, cursor_of


class DayCount(NamedTuple):
    """What happened of a kind on some days: to how many runs, and an amount in minor units."""

    journey: str
    day: date | None
    version: int | None
    arm: str
    part: str
    step: str
    what: str
    reason: str
    currency: str
    runs: int
    amount: int


class PlaceCount(NamedTuple):
    """How many runs under way stand at a step; '' is before the first one."""

    journey: str
    version: int
    arm: str
    step: str
    runs: int


@dataclass(frozen=True)
class CountQuery:
    """Which counts: of one journey or of all, of some days, of a release, by what they are split."""

    journey: str | None = None
    since: date | None = None
    until: date | None = None
    version: int | None = None
    split_by: str = ""
    by_day: bool = False


async def counted_until(connection: AsyncConnection) -> datetime | None:
    """Everything that happened before then is counted; None where nothing ever was."""
    return (await cursor_of(connection, JOURNEYS)).as_of


async def day_counts(connection: AsyncConnection, brand: str, asked: CountQuery) -> list[DayCount]:
    """What is counted, summed over the days unless they are asked for one by one."""
    given = {
        "brand": brand,
        "journey": asked.journey,
        "since": asked.since,
        "until": asked.until,
        "version": asked.version,
        "split_by": asked.split_by,
    }
    found = await connection.execute(_BY_DAY if asked.by_day else _SUMMED, given)
    return [DayCount(*row) for row in found]


async def place_counts(
    connection: AsyncConnection, brand: str, journey: str | None = None, version: int | None = None
) -> list[PlaceCount]:
    """Where the runs under way stand."""
    given = {"brand": brand, "journey": journey, "version": version}
    return [PlaceCount(*row) for row in await connection.execute(_PLACES, given)]


async def splits_of(connection: AsyncConnection, brand: str, journey: str) -> list[str]:
    """By what the counts of a journey can be split: `segment`, and its splits."""
    return [*(await connection.execute(_SPLITS, {"brand": brand, "journey": journey})).scalars()]


_WHERE: Final = """
    brand = :brand AND (:journey IS NULL OR journey = :journey) AND split_by = :split_by
    AND (:since IS NULL OR day >= :since) AND (:until IS NULL OR day < :until)
    AND (:version IS NULL OR version = :version)
"""
_TYPES: Final = (
    bindparam("journey", type_=SqlText),
    bindparam("since", type_=Date),
    bindparam("until", type_=Date),
    bindparam("version", type_=Integer),
)
_COUNTED: Final = "CAST(sum(runs) AS bigint), CAST(sum(amount) AS bigint)"
_SUMMED: Final = text(
    f"""
    SELECT journey, NULL, NULL, arm, part, step, what, reason, currency, {_COUNTED}
    FROM journey_days WHERE {_WHERE}
    GROUP BY journey, arm, part, step, what, reason, currency
    ORDER BY journey, arm, part, step, what, reason, currency
    """  # noqa: S608 - our own words
).bindparams(*_TYPES)
_BY_DAY: Final = text(
    f"""
    SELECT journey, day, version, arm, part, step, what, reason, currency, {_COUNTED}
    FROM journey_days WHERE {_WHERE}
    GROUP BY journey, day, version, arm, part, step, what, reason, currency
    ORDER BY journey, day, version, arm, part, step, what, reason, currency
    """  # noqa: S608 - our own words
).bindparams(*_TYPES)
_PLACES: Final = text(
    """
    SELECT journey, version, arm, step, runs FROM journey_places
    WHERE brand = :brand AND (:journey IS NULL OR journey = :journey) AND (:version IS NULL OR version = :version)
      AND runs <> 0
    ORDER BY journey, version, arm, step
    """
).bindparams(bindparam("journey", type_=SqlText), bindparam("version", type_=Integer))
_SPLITS: Final = text(
    """
    SELECT DISTINCT split_by FROM journey_days WHERE brand = :brand AND journey = :journey AND split_by <> ''
    ORDER BY split_by
    """
)
