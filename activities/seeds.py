"""The tables `seeds` and `seed_players`: whom ad networks are to find more of. Only this module writes them.

`top_decile` holds those tenth of a brand's players, by currency, who were worth most in 90 days: by net gaming revenue,
or by deposits where a part of it is not told. Who has not agreed to be profiled is not ranked; of the others only those
are written down who agreed to `ads` and whom nothing protects. Both are asked again when the seed is read.
"""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Select, bindparam, delete, insert, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text

from activities.figures.figure_queries import NGR
from activities.figures.figure_taking import missing_part
from activities.tables import seed_players, seeds

TOP_DECILE: Final = "top_decile"
#: Days whose money counts.
DAYS: Final = 90
#: Players who have to be ranked: of fewer a tenth would be people one can name.
FEWEST: Final = 100
#: A seed that is older says nothing of today.
GOOD_FOR: Final = timedelta(days=3)


@dataclass(frozen=True)
class Seed:
    """What a seed was made of in one currency: how many were ranked by what, and how many of the best are in it."""

    name: str
    currency: str
    taken_on: date
    ranked_by: str
    why: str | None
    ranked: int
    players: int


async def ranked_best(connection: AsyncConnection, brand: str, today: date) -> list[tuple[Seed, list[str]]]:
    """By currency: what the best tenth was found by, and who is in it, yet to be judged."""
    asked = {"brand": brand, "today": today, "days": DAYS}
    granted = await connection.scalar(_GRANTED, asked) or 0
    totals = (await connection.execute(_TOTALS, asked)).all()
    missing = {row.currency: missing_part(games=row.games, granted=granted, ended=row.reward_ends) for row in totals}
    by_deposits = [currency for currency, why in missing.items() if why is not None]
    places: dict[str, list[str]] = {currency: [] for currency in missing}
    counted: dict[str, int] = {}
    for row in await connection.execute(_RANKED, asked | {"by_deposits": by_deposits}):
        counted[row.currency] = row.n
        if row.n >= FEWEST and row.place * 10 <= row.n:
            places[row.currency].append(row.player_id)
    found = []
    for currency, best in places.items():
        why, n = missing[currency], counted.get(currency, 0)
        by = "ngr" if why is None else "deposits"
        if n < FEWEST:
            why = f"{n} players can be ranked; a tenth of fewer than {FEWEST} would be people one can name"
        found.append((Seed(TOP_DECILE, currency, today, by, why, n, 0), best))
    return found


async def write_seed(
    connection: AsyncConnection, brand: str, name: str, found: Sequence[Seed], inside: Collection[str], today: date
) -> None:
    """Put a seed in the place of the one before."""
    await connection.execute(delete(seeds).where(seeds.c.brand == brand, seeds.c.name == name))
    await connection.execute(delete(seed_players).where(seed_players.c.brand == brand, seed_players.c.name == name))
    if found:
        await connection.execute(insert(seeds), [{"brand": brand} | asdict(one) for one in found])
    members = [{"brand": brand, "name": name, "player_id": one, "taken_on": today} for one in sorted(inside)]
    if members:
        await connection.execute(insert(seed_players), members)


async def list_seeds(connection: AsyncConnection, brand: str) -> list[Seed]:
    """The seeds of a brand as they were taken last."""
    columns = [seeds.c[name] for name in Seed.__dataclass_fields__]
    newest = select(*columns).where(seeds.c.brand == brand).order_by(seeds.c.name, seeds.c.currency)
    return [Seed(*row) for row in await connection.execute(newest)]


def members(brand: str, name: str, now: datetime) -> Select[Any]:
    """The players of a seed that is new enough."""
    at = seed_players.c
    return select(at.player_id).where(at.brand == brand, at.name == name, at.taken_on >= (now - GOOD_FOR).date())


_DAYS: Final = "d.brand = :brand AND d.day >= CAST(:today AS date) - :days AND d.day < :today AND d.known_on < :today"
_TOTALS: Final = text(
    f"""
    SELECT d.currency, CAST(sum(d.rounds + d.bets) AS bigint) AS games,
           CAST(sum(d.reward_ends) AS bigint) AS reward_ends
    FROM player_days d WHERE {_DAYS} GROUP BY d.currency
    HAVING sum(d.deposited) > 0 OR sum(d.rounds + d.bets) > 0 ORDER BY d.currency
    """  # noqa: S608 - our own words
)
_GRANTED: Final = text(
    """
    SELECT count(*) FROM grants WHERE brand = :brand AND status = 'confirmed'
      AND created_at >= (CAST(:today AS date) - :days)::timestamp AT TIME ZONE 'UTC'
    """
)
# Everybody of the best tenth, and of each currency the first, who says how many there are.
_RANKED: Final = text(
    f"""
    WITH sums AS (
        SELECT d.player_id, d.currency,
               CASE WHEN d.currency = ANY(:by_deposits) THEN sum(d.deposited) ELSE sum({NGR}) END AS worth
        FROM player_days d WHERE {_DAYS} GROUP BY d.player_id, d.currency
    ), ranked AS (
        SELECT s.player_id, s.currency, count(*) OVER (PARTITION BY s.currency) AS n,
               row_number() OVER (PARTITION BY s.currency ORDER BY s.worth DESC, s.player_id) AS place
        FROM sums s JOIN players p ON p.brand = :brand AND p.id = s.player_id
        WHERE s.worth > 0 AND p.state->'consents'->'profiling'->>0 = 'true'
    )
    SELECT player_id, currency, n, place FROM ranked WHERE place = 1 OR place * 10 <= n ORDER BY currency, place
    """  # noqa: S608 - our own words
).bindparams(bindparam("by_deposits", type_=ARRAY(Text)))
FORGET: Final = text(
    "DELETE FROM seed_players WHERE ctid = ANY(ARRAY("
    "SELECT ctid FROM seed_players WHERE taken_on < CAST(:before AS date) LIMIT :limit))"
)
ERASE: Final = text(
    """
    DELETE FROM seed_players WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM seed_players WHERE brand = :brand AND player_id = :player
          AND taken_on <= CAST(:before AS date) LIMIT :limit))
    """
)
