"""What was taken of grants and what it cost, counted where they were granted."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.figures.journey_days import CountGrowth, add, counted_runs
from workflows.figures.journey_counts import CountKey, parts_of

_ALL: Final = 2**62


async def count_lives(connection: AsyncConnection, told: Sequence[Row[Any]]) -> None:
    """Count by how much grants have changed, as the statement that changed them answered, in its transaction."""
    runs = await counted_runs(connection, {row.run_id for row in told}, until_step=_ALL)
    added = []
    for row in told:
        if (run := runs.get(row.run_id)) is None:
            continue
        for split_by, part in parts_of(run.segments, dict(run.splits)):
            key = CountKey(
                run.brand, run.journey, row.at.date(), run.version, run.arm, split_by, part, row.step, "claimed", ""
            )
            if row.is_claimed:
                added.append(CountGrowth(key, 1))
            if row.cost:
                added.append(CountGrowth(key._replace(what="cost", currency=row.currency or ""), 0, row.cost))
    await add(connection, _summed(added))


def _summed(added: list[CountGrowth]) -> list[CountGrowth]:
    """One for each key: a statement may touch a row only once."""
    sums: dict[CountKey, tuple[int, int]] = {}
    for one in added:
        runs, amount = sums.get(one.key, (0, 0))
        sums[one.key] = runs + one.runs, amount + one.amount
    return [CountGrowth(key, *both) for key, both in sorted(sums.items())]
