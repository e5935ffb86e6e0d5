"""Gauges of the runs under way: how many of each journey and version stand where, and how many are stuck or held.

Counted in the books every few minutes by the dispatcher's process, of all brands together, and with them the months
that events may still go to, the prizes that are due and the tasks that nobody may answer. Where runs stand is worked
out from a sample of each version, because a journey may have a million of them.
"""

import asyncio
from collections import defaultdict
from typing import Final

from prometheus_client import Gauge
from sqlalchemy import text

from activities.clock import Clock
from activities.database import Database
from activities.failing_effects import MAX_STEP_LABELS, OTHER_STEPS
from activities.month_partitions import count_ahead
from activities.prize_gauges import count_prizes
from activities.repeating import repeat
from activities.run_problems import GRACE
from activities.tables import HAS_WORKFLOW
from activities.task_gauges import count_unanswerable

#: Seconds between two counts, and runs of a version that are looked at to see where they stand.
COUNT_EVERY: Final = 120.0
SAMPLE: Final = 500
#: Where a run stands that has done nothing yet.
BEGINNING: Final = "begin"

ACTIVE = Gauge(
    "journeys_active_runs",
    "Runs under way by journey, version and the last step they are known to have reached; the step is estimated.",
    ["journey", "version", "step"],
)
PROBLEMS = Gauge("journeys_run_problems", "Runs under way that are stuck, by what is wrong.", ["journey", "problem"])
HELD = Gauge("journeys_held_runs", "Runs that wait for the end of a hold.", ["journey"])


class RunGauges:
    """Counts the runs under way."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock

    async def count_once(self) -> None:
        """Set every gauge anew. Raises what the database raises."""
        async with self.database.reading() as connection:
            standing = (await connection.execute(_STANDING, {"sample": SAMPLE})).all()
            now = self.clock()
            problems = (await connection.execute(_PROBLEMS, {"now": now, "grace": GRACE})).all()
            held = (await connection.execute(_HELD)).all()
            await count_ahead(connection, now)
            await count_prizes(connection, now)
            await count_unanswerable(connection, now)
        for gauge in (ACTIVE, PROBLEMS, HELD):
            gauge.clear()
        known: dict[str, set[str]] = defaultdict(set)
        looked_at: dict[tuple[str, int], int] = defaultdict(int)
        for row in standing:
            looked_at[row.journey, row.version] += row.seen
        for row in standing:
            step = (row.step or BEGINNING).partition("#")[0]
            if len(known[row.journey]) >= MAX_STEP_LABELS and step not in known[row.journey]:
                step = OTHER_STEPS
            known[row.journey].add(step)
            share = row.seen / looked_at[row.journey, row.version]
            ACTIVE.labels(row.journey, f"v{row.version}", step).inc(row.runs * share)
        for row in problems:
            PROBLEMS.labels(row.journey, row.problem).set(row.runs)
        for row in held:
            HELD.labels(row.journey).set(row.runs)

    async def watch(self, stop: asyncio.Event) -> None:
        """Count again and again until told to stop."""
        await repeat(self.count_once, stop, every_s=COUNT_EVERY, what="counting the runs under way")


# The sample is by a hash, so that old and new runs are in it alike; of few runs it is all.
_STANDING = text(
    f"""
    WITH counted AS (
        SELECT journey, version, count(*) AS runs FROM runs
        WHERE state = 'active' AND {HAS_WORKFLOW} GROUP BY journey, version
    ), sampled AS (
        SELECT r.id, r.journey, r.version, c.runs FROM counted c
        JOIN runs r ON r.journey = c.journey AND r.version = c.version AND r.state = 'active' AND {HAS_WORKFLOW}
        WHERE (hashtext(r.id)::bigint + 2147483648) / 4294967296.0 < CAST(:sample AS float8) / c.runs
    )
    SELECT s.journey, s.version, s.runs, last.step, count(*) AS seen FROM sampled s
    LEFT JOIN LATERAL (
        SELECT step FROM steps WHERE run_id = s.id AND step !~ '^(kept:|move#|migrate#)' ORDER BY seq DESC LIMIT 1
    ) last ON true
    GROUP BY s.journey, s.version, s.runs, last.step
    ORDER BY s.journey, s.version, last.step
    """  # noqa: S608 - our own words
)
_PROBLEMS = text(
    f"""
    SELECT journey, problem, count(*) AS runs FROM runs
    WHERE problem IS NOT NULL AND state = 'active' GROUP BY journey, problem
    UNION ALL
    SELECT journey, 'past_end', count(*) FROM runs
    WHERE state = 'active' AND {HAS_WORKFLOW} AND ends_at < CAST(:now AS timestamptz) - CAST(:grace AS interval)
    GROUP BY journey
    """  # noqa: S608 - our own words
)
_HELD = text(
    """
    SELECT h.journey, count(*) AS runs FROM held_runs h JOIN runs r ON r.id = h.run_id AND r.state = 'active'
    GROUP BY h.journey
    """
)
