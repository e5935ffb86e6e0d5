"""A gauge of tasks that lie because nobody is registered who may answer them."""

from datetime import datetime
from typing import Final

from prometheus_client import Gauge
from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text

from activities.roles import EXECUTIVE, ROLES
from workflows.task_notices import UNCLAIMED_AFTER

NOBODY: Final = Gauge(
    "journeys_tasks_nobody_may_answer",
    "Tasks that lie unclaimed in a team in which nobody is registered who may answer them.",
    ["team"],
)
_WHO_WORK: Final = [name for name, role in ROLES.items() if "tasks:work" in role.scopes]


async def count_unanswerable(connection: AsyncConnection, now: datetime) -> None:
    """Set the gauge anew."""
    given = {"now": now, "share": UNCLAIMED_AFTER, "roles": _WHO_WORK, "executive": EXECUTIVE}
    found = (await connection.execute(_UNANSWERABLE, given)).all()
    NOBODY.clear()
    for row in found:
        NOBODY.labels(row.team).set(row.waiting)


# Brand by brand, as the index of the inbox is: most tasks have long been closed.
_UNANSWERABLE: Final = text(
    """
    WITH RECURSIVE brands AS (
        (SELECT brand FROM tasks ORDER BY brand LIMIT 1)
        UNION ALL
        SELECT (SELECT min(brand) FROM tasks WHERE brand > b.brand) FROM brands b WHERE b.brand IS NOT NULL
    ), given AS (
        SELECT g.person_id, g.brand, g.kind, g.name FROM person_grants g
        JOIN people p ON p.id = g.person_id AND p.active
        WHERE g.revoked_at IS NULL AND (g.until IS NULL OR g.until > CAST(:now AS timestamptz))
    ), lying AS (
        SELECT brand, team, skill, count(*) AS waiting FROM brands JOIN tasks USING (brand)
        WHERE state = 'open' AND coalesce(escalated_at, created_at)
              + (due_at - coalesce(escalated_at, created_at)) * CAST(:share AS float8) <= CAST(:now AS timestamptz)
        GROUP BY brand, team, skill
    )
    SELECT l.team, sum(l.waiting) AS waiting FROM lying l
    WHERE NOT EXISTS (
        SELECT FROM given t
        JOIN given r ON r.person_id = t.person_id AND r.brand = t.brand AND r.kind = 'role' AND r.name = ANY(:roles)
        WHERE t.brand = l.brand AND t.kind = 'team' AND t.name = l.team
          AND (l.skill IS NULL OR EXISTS (
              SELECT FROM given s WHERE s.person_id = t.person_id AND s.brand = t.brand
              AND CASE WHEN l.skill = :executive THEN s.kind = 'role' AND s.name = 'executive'
                       ELSE s.kind = 'skill' AND s.name = l.skill END)))
    GROUP BY l.team
    """
).bindparams(bindparam("roles", type_=ARRAY(Text)))
