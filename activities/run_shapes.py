"""The shapes of runs in flight, counted from the steps that are kept of them: exact, and without asking Temporal."""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text

from activities.tables import HAS_WORKFLOW
from content.run_shapes import RunShape
from workflows.player_state.decisions import Arm

# A run's own lines say what a wait came to, which decides where it went; of an effect its name says that. That a run
# was moved does not tell where it stands.
_SHAPES: Final = text(
    f"""
    WITH flying AS (
        SELECT id, brand, arm, coalesce(moving_from, version) AS version, entered_at FROM runs
        WHERE journey = :journey AND state = 'active' AND {HAS_WORKFLOW}
    ), named AS (
        SELECT s.run_id, min(s.seq) AS first, max(s.seq) AS last, count(*) AS lines,
               CASE WHEN split_part(s.step, '#', 1) = ANY(:loops) THEN split_part(s.step, '#', 1) || '#n'
                    WHEN s.line > 0 THEN s.step || '=' || s.outcome
                    ELSE s.step END AS step
        FROM steps s JOIN flying ON flying.id = s.run_id
        WHERE s.step !~ '^(kept:|move#|migrate#)'
        GROUP BY s.run_id, 5
    ), told AS (
        SELECT run_id, array_agg(step ORDER BY first) AS steps, (array_agg(step ORDER BY last DESC))[1] AS last,
               sum(lines) AS lines
        FROM named GROUP BY run_id
    )
    SELECT version, coalesce(steps, '{{}}') AS steps, coalesce(last, '') AS last, arm, brand, count(*) AS runs,
           (array_agg(id ORDER BY entered_at, id))[1] AS oldest, min(entered_at) AS since,
           (array_agg(id ORDER BY entered_at DESC, id DESC))[1] AS newest, max(entered_at) AS until,
           (array_agg(id ORDER BY coalesce(lines, 0) DESC, id))[1] AS longest, max(coalesce(lines, 0)) AS most
    FROM flying LEFT JOIN told ON told.run_id = flying.id
    GROUP BY 1, 2, 3, 4, 5
    """  # noqa: S608 - our own words
).bindparams(bindparam("loops", type_=ARRAY(Text)))
_GONE: Final = text(
    f"""
    SELECT journey, count(*) AS runs, min(id) AS example FROM runs
    WHERE state = 'active' AND {HAS_WORKFLOW} AND journey <> ALL(:journeys) GROUP BY journey ORDER BY journey
    """  # noqa: S608 - our own words
).bindparams(bindparam("journeys", type_=ARRAY(Text)))


class GoneJourney(NamedTuple):
    """A journey that is not deployed here and has runs in flight."""

    journey: str
    runs: int
    example: str


class _OfBrand(NamedTuple):
    """The runs of one shape and brand."""

    version: int
    steps: list[str]
    last: str
    arm: Arm
    brand: str
    runs: int
    oldest: str
    since: datetime
    newest: str
    until: datetime
    longest: str
    most: int


async def run_shapes(connection: AsyncConnection, journey: str, loops: Collection[str]) -> list[RunShape]:
    """The shapes of a journey's runs in flight; `loops` are names of steps whose numbers do not matter."""
    rows = await connection.execute(_SHAPES, {"journey": journey, "loops": [*loops]})
    shapes: dict[tuple[int, tuple[str, ...], str, Arm], list[_OfBrand]] = {}
    for one in (_OfBrand(*row) for row in rows):
        shapes.setdefault((one.version, tuple(one.steps), one.last, one.arm), []).append(one)
    return [
        RunShape(version, steps, last, {one.brand: one.runs for one in brands}, _examples(brands), arm)
        for (version, steps, last, arm), brands in shapes.items()
    ]


async def gone_journeys(connection: AsyncConnection, journeys: Iterable[str]) -> list[GoneJourney]:
    """The journeys with runs in flight that are none of these."""
    return [GoneJourney(*row) for row in await connection.execute(_GONE, {"journeys": [*journeys]})]


def _examples(brands: Collection[_OfBrand]) -> tuple[str, ...]:
    oldest = min(brands, key=lambda one: (one.since, one.oldest)).oldest
    newest = max(brands, key=lambda one: (one.until, one.newest)).newest
    longest = max(brands, key=lambda one: one.most).longest
    return tuple(dict.fromkeys([oldest, newest, longest]))
