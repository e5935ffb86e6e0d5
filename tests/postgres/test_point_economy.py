"""What the points of a house come to, from days that are added up once: as if the journal had just been read whole."""

import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from activities.loyalty_tables import point_days
from activities.point_economy import PointEconomy, flows
from tests.support.engine import Effects, effects, execute, rows
from tests.support.examples import examples
from workflows.loyalty.point_economy import PointFlow

BEGUN: Final = datetime(2026, 1, 30, 20, tzinfo=UTC)
SIDES: Final = [
    ("issued:wager", "available"),
    ("issued:award", "available"),
    ("available", "redeemed:shop"),
    ("available", "expired"),
    ("issued:wager", "debt"),
]
NUMBERS: Final = itertools.count(1)
BRANDS: Final = itertools.count(1)


@dataclass(frozen=True)
class Moved:
    """After so long points moved; they were written a moment before they were committed."""

    after: timedelta
    late: timedelta
    player: str
    sides: tuple[str, str]
    amount: int


@dataclass(frozen=True)
class Counted:
    """After so long somebody counted."""

    after: timedelta


MOVED = st.builds(
    Moved,
    st.timedeltas(timedelta(0), timedelta(hours=30)),
    st.timedeltas(timedelta(0), timedelta(minutes=50)),
    st.sampled_from(["a", "b", "c"]),
    st.sampled_from(SIDES),
    st.integers(1, 1_000),
)
COUNTED = st.builds(Counted, st.timedeltas(timedelta(0), timedelta(hours=30)))


@pytest.fixture(scope="module")
async def parts(module_postgres_url: str) -> AsyncIterator[Effects]:
    async with effects(module_postgres_url, journeys="tests.support.loyal_journeys") as built:
        yield built


async def move(parts: Effects, brand: str, moved: Moved, at: datetime) -> None:
    await execute(
        parts.database,
        """
        INSERT INTO point_transfers (brand, player_id, number, at, currency, debit, credit, cause, ref, amount)
        VALUES (:brand, :player, :number, :at, 'points', :debit, :credit, 'test', '', :amount)
        """,
        brand=brand,
        player=moved.player,
        number=next(NUMBERS),
        at=at,
        debit=moved.sides[0],
        credit=moved.sides[1],
        amount=moved.amount,
    )


async def whole(parts: Effects, brand: str) -> list[PointFlow]:
    """The same from the journal itself."""
    async with parts.database.reading() as connection:
        found = await connection.execute(
            text(
                """
                SELECT currency, date_trunc('month', at AT TIME ZONE 'UTC')::date, debit, credit, sum(amount)::bigint,
                       count(DISTINCT player_id) FILTER (WHERE debit = 'issued:wager')  -- of others nobody asks
                FROM point_transfers WHERE brand = :brand GROUP BY 1, 2, debit, credit
                """
            ),
            {"brand": brand},
        )
        return [PointFlow(*row) for row in found]


async def counted(parts: Effects, brand: str) -> list[PointFlow]:
    async with parts.database.reading() as connection:
        return await flows(connection, brand)


@given(st.lists(MOVED | COUNTED, max_size=25))
@settings(
    max_examples=examples(50, quick=8), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_what_is_counted_day_by_day_is_what_the_journal_says(
    parts: Effects, happened: list[Moved | Counted]
) -> None:
    brand = f"b{next(BRANDS)}"
    await execute(parts.database, "DELETE FROM point_days")
    clock = parts.casino.clock
    clock.now = BEGUN
    economy = PointEconomy(parts.database, parts.casino.intake.rules.loyalty, clock)
    for one in [*happened, Counted(timedelta(0))]:
        clock.now += one.after
        if isinstance(one, Counted):
            await economy.count_once()
        else:
            await move(parts, brand, one, clock.now - one.late)
    assert {*await counted(parts, brand)} == {*await whole(parts, brand)}


async def test_a_day_that_is_over_is_not_read_again(parts: Effects) -> None:
    brand, clock = f"b{next(BRANDS)}", parts.casino.clock
    await execute(parts.database, "DELETE FROM point_days")
    economy = PointEconomy(parts.database, parts.casino.intake.rules.loyalty, clock)
    played = Moved(timedelta(0), timedelta(0), "a", SIDES[0], 100)
    clock.now = datetime(2027, 5, 3, 12, tzinfo=UTC)
    await move(parts, brand, played, clock.now)
    await economy.count_once()
    clock.now += timedelta(days=1)
    await move(parts, brand, played, clock.now)
    await economy.count_once()
    first = clock.now
    clock.now += timedelta(hours=2)
    await move(parts, brand, played, clock.now)
    await economy.count_once()
    days = {row["day"]: row["counted_at"] for row in await rows(parts.database, point_days, brand=brand)}
    assert days == {date(2027, 5, 3): first, date(2027, 5, 4): clock.now}
    (month,) = await counted(parts, brand)
    assert (month.amount, month.players) == (300, 1)
