"""The table `figures`: each figure as it was taken once, of a period, with what was known at the end of a day.

Only this module writes it, and only by adding: what was shown once can be shown again.
"""

from collections.abc import Collection, Sequence
from dataclasses import fields
from datetime import date
from typing import Final

import orjson
from sqlalchemy import ARRAY, Text, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Date

from workflows.figures.definitions import SO_FAR, Period, Taken

_FIELDS: Final = tuple(one.name for one in fields(Taken))


async def store(connection: AsyncConnection, brand: str, as_of: date, taken: Sequence[Taken]) -> int:
    """Keep figures; how many were new. One that was taken before for that day stays as it was."""
    rows = [{name: getattr(one, name) for name in _FIELDS} for one in taken]
    given = {"brand": brand, "as_of": as_of, "rows": orjson.dumps(rows).decode()}
    return (await connection.execute(_STORE, given)).rowcount if rows else 0


async def newest_day(
    connection: AsyncConnection, brand: str, until: date | None = None, period: Period = "week"
) -> date | None:
    """The last day that figures of such periods were taken of, None where there is none; at most `until`."""
    found: date | None = await connection.scalar(_NEWEST, {"brand": brand, "until": until, "period": period})
    return found


async def first_day(connection: AsyncConnection, brand: str) -> date | None:
    """The first day that figures were taken of, None where there is none."""
    found: date | None = await connection.scalar(_FIRST, {"brand": brand})
    return found


async def days_taken(connection: AsyncConnection, brand: str, since: date) -> set[date]:
    """The days from then on that figures were taken of."""
    return {*(await connection.execute(_DAYS, {"brand": brand, "since": since})).scalars()}


async def figures_of(connection: AsyncConnection, brand: str, as_of: date) -> list[Taken]:
    """Every figure that was taken of a day."""
    return [Taken(*row) for row in await connection.execute(_OF_DAY, {"brand": brand, "as_of": as_of})]


async def course_of(
    connection: AsyncConnection, brand: str, as_of: date, periods_since: date, period: Period = "week"
) -> list[Taken]:
    """For everybody, each figure of each period since then, as known last until the end of a day; oldest first."""
    given = {"brand": brand, "as_of": as_of, "since": periods_since, "period": period}
    return [Taken(*row) for row in await connection.execute(_COURSE, given)]


async def courses_of(
    connection: AsyncConnection, brand: str, as_of: date, weeks_since: date, addresses: Collection[str]
) -> list[Taken]:
    """Of each of these managers, each figure of each week since then, as known last until a day; oldest first."""
    given = {"brand": brand, "as_of": as_of, "since": weeks_since, "parts": [*addresses]}
    return [Taken(*row) for row in await connection.execute(_COURSES, given)]


_COLUMNS: Final = ", ".join(f'"{name}"' for name in _FIELDS)
_STORE: Final = text(
    f"""
    INSERT INTO figures (brand, as_of, {_COLUMNS}) SELECT :brand, :as_of, {_COLUMNS}
    FROM json_to_recordset(CAST(:rows AS json))
      AS t (name text, period text, starts date, n bigint, value float8, low float8, high float8, "of" bigint,
            immature bigint, reason text, split_by text, part text, currency text)
    ON CONFLICT DO NOTHING
    """  # noqa: S608 - our own words
).bindparams(bindparam("as_of", type_=Date))
# A month so far is counted every day that a target asks for it, and makes no day of figures of a month.
_NEWEST: Final = text(
    f"SELECT max(as_of) FROM figures WHERE brand = :brand AND period = :period AND split_by <> '{SO_FAR}' "  # noqa: S608 - our own words
    "AND (:until IS NULL OR as_of <= :until)"
).bindparams(bindparam("until", type_=Date))
_FIRST: Final = text("SELECT min(as_of) FROM figures WHERE brand = :brand")
_DAYS: Final = text("SELECT DISTINCT as_of FROM figures WHERE brand = :brand AND as_of >= :since")
_OF_DAY: Final = text(
    f"""
    SELECT {_COLUMNS} FROM figures WHERE brand = :brand AND as_of = :as_of
    ORDER BY name, period, starts, split_by, part, currency
    """  # noqa: S608 - our own words
)
_COURSE: Final = text(
    f"""
    SELECT DISTINCT ON (name, currency, starts) {_COLUMNS} FROM figures
    WHERE brand = :brand AND as_of <= :as_of AND period = :period AND split_by = '' AND starts >= :since
    ORDER BY name, currency, starts, as_of DESC
    """  # noqa: S608 - our own words
)
_COURSES: Final = text(
    f"""
    SELECT DISTINCT ON (name, starts, part) {_COLUMNS} FROM figures
    WHERE brand = :brand AND as_of <= :as_of AND period = 'week' AND split_by = 'manager' AND starts >= :since
      AND part = ANY(:parts)
    ORDER BY name, starts, part, as_of DESC
    """  # noqa: S608 - our own words
).bindparams(bindparam("parts", type_=ARRAY(Text)))
#: Forgets up to `:limit` figures of periods from before `:before`.
FORGET: Final = text(
    """
    DELETE FROM figures WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM figures WHERE starts < CAST(:before AS date) LIMIT :limit))
    """
)
