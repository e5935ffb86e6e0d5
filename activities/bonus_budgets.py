"""The table `budget_slices`: what all players together may be given in a day, by a journey and by a brand.

A budget of a day lies in slices, so that grants of many players at once seldom wait for each other. A grant takes from
one slice that nobody else holds and that has enough, or else from all of them together: what is taken never exceeds
the budget, and nothing of it is out of reach. It is taken in the transaction that reserves the grant.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from workflows.gate.bonus_value import DayBudget

SLICES: Final = 8


async def spend(
    connection: AsyncConnection, brand: str, budgets: Sequence[DayBudget], amount: int, now: datetime
) -> DayBudget | None:
    """Take an amount from each of these budgets of today (UTC), or from none: then the one that has too little left.

    The trap: all callers name them in one order, the brand's last, or two could wait for each other.
    """
    async with connection.begin_nested() as taken:
        for budget in budgets:
            if not await _take(connection, brand, budget, amount, now):
                await taken.rollback()
                return budget
    return None


async def _take(connection: AsyncConnection, brand: str, budget: DayBudget, amount: int, now: datetime) -> bool:
    """Whether there was enough. What the budget is was settled with the first amount of the day."""
    which = {
        "brand": brand,
        "journey": budget.journey,
        "currency": budget.currency,
        "day": now.astimezone(UTC).date(),
        "amount": amount,
    }
    if (await connection.execute(_TAKE_OF_ONE, which)).first() is not None:
        return True
    found = await _all(connection, which)
    if not found:
        quotas = [budget.most * (n + 1) // SLICES - budget.most * n // SLICES for n in range(SLICES)]
        await connection.execute(_CUT, [{**which, "slice": n, "quota": quota} for n, quota in enumerate(quotas)])
        found = await _all(connection, which)
    if sum(left for _, left in found) < amount:
        return False
    for number, left in found:
        share = min(left, amount)
        amount -= share
        if share:
            await connection.execute(_TAKE, {**which, "slice": number, "amount": share})
    return True


async def _all(connection: AsyncConnection, which: dict[str, object]) -> Sequence[tuple[int, int]]:
    """What is left in each slice, all of them locked, in one order for everybody."""
    return [(row.slice, row.left) for row in await connection.execute(_LOCK, which)]


_MINE: Final = "brand = :brand AND journey = :journey AND currency = :currency AND day = :day"
# In a subquery it could be chosen anew for every row, and taken from several.
_TAKE_OF_ONE: Final = text(
    f"""
    WITH free AS MATERIALIZED (
        SELECT slice FROM budget_slices WHERE {_MINE} AND used + :amount <= quota
        ORDER BY used, slice LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    UPDATE budget_slices SET used = used + :amount WHERE {_MINE} AND slice = (SELECT slice FROM free)
    RETURNING slice
    """  # noqa: S608 - our own words
)
_LOCK: Final = text(
    f"SELECT slice, quota - used AS left FROM budget_slices WHERE {_MINE} ORDER BY slice FOR UPDATE"  # noqa: S608 - our own words
)
_CUT: Final = text(
    """
    INSERT INTO budget_slices (brand, journey, currency, day, slice, quota, used)
    VALUES (:brand, :journey, :currency, :day, :slice, :quota, 0) ON CONFLICT DO NOTHING
    """
)
_TAKE: Final = text(
    f"UPDATE budget_slices SET used = used + :amount WHERE {_MINE} AND slice = :slice"  # noqa: S608 - our own words
)
#: Forgets up to `:limit` slices of days before `:before`.
FORGET: Final = text(
    """
    DELETE FROM budget_slices WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM budget_slices WHERE day < CAST(:before AS timestamptz)::date LIMIT :limit))
    """
)
