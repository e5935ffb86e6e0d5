"""Deposits as scores are learned from them and told by them: of some of a brand's players, or of all, part by part.

Who objected to being profiled is not read.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from sys import intern
from typing import Final, NamedTuple

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.database import Database
from learning.churn_features import PastDeposit
from learning.currencies import UsualDeposit, sticks_of, yardsticks
from workflows.events import DepositApproved

#: Rows that are fetched at once.
FETCH: Final = 5_000


class PastDeposits(NamedTuple):
    """Deposits by player, in one unit, and what the amounts of each currency were multiplied by for it."""

    players: dict[str, list[PastDeposit]]
    yardsticks: dict[str, float]


class PlayerRange(NamedTuple):
    """Players of a brand who stand together in the order of their ids, in Postgres' own order."""

    after: str
    last: str


class DepositWindow(NamedTuple):
    """Whose deposits of which time are read: of players who have deposited since `active`, those before `until`."""

    since: datetime
    active: datetime
    until: datetime


async def player_ranges(database: Database, brand: str, most: int) -> AsyncIterator[PlayerRange]:
    """All players of a brand in ranges of so many; who registers meanwhile is met where their id stands, or not."""
    after = ""
    while True:
        async with database.reading() as connection:
            last = await connection.scalar(_NEXT_RANGE, {"brand": brand, "after": after, "most": most})
        if last is None:
            return
        yield PlayerRange(after, last)
        after = last


async def deposits_to_learn_from(
    connection: AsyncConnection, brand: str, since: datetime, until: datetime, *, players: int, deposits: int
) -> PastDeposits:
    """Deposits of a brand's players; of about as many players, and of theirs as many deposits, where there are more.

    They are always the same players. Amounts of several currencies are brought to one yard.
    """
    whose = {"brand": brand, "since": since, "until": until}
    known = [await connection.scalar(query, whose) or 0 for query in (_PLAYERS, _COUNT)]
    share = max(1, -(-known[0] // players), -(-known[1] // deposits))
    read = await _read(connection, _OF_A_SHARE, {**whose, "active": since, "share": share})
    by = yardsticks((currency, one.amount_minor) for every in read.values() for currency, one in every)
    return PastDeposits(_in_one_unit(read, by), by)


async def yardsticks_now(
    connection: AsyncConnection, brand: str, window: DepositWindow, known: Mapping[str, float] | None
) -> dict[str, float]:
    """What amounts of each currency are multiplied by, of all players; `known` is what a model was learned by."""
    rows = await connection.execute(_USUAL, {"brand": brand, **window._asdict()})
    return sticks_of({row.currency: UsualDeposit(row.deposits, row.amount) for row in rows}, known)


async def deposits_among(
    connection: AsyncConnection, brand: str, among: PlayerRange, window: DepositWindow, sticks: Mapping[str, float]
) -> dict[str, list[PastDeposit]]:
    """Deposits of the players of a range, by player, in the unit of these yardsticks."""
    whose = {"brand": brand, **window._asdict(), **among._asdict()}
    return _in_one_unit(await _read(connection, _OF_A_RANGE, whose), sticks)


_Read = dict[str, list[tuple[str, PastDeposit]]]


async def _read(connection: AsyncConnection, query: TextClause, whose: Mapping[str, object]) -> _Read:
    told: defaultdict[str, list[tuple[str, PastDeposit]]] = defaultdict(list)
    # Read as they come: of a large brand everything at once would hold up whatever else this process does.
    async with connection.stream(query, whose, execution_options={"yield_per": FETCH}) as rows:
        async for row in rows:
            one = PastDeposit(row.occurred_at, row.amount_minor, row.known_at)
            told[row.player_id].append((intern(row.currency), one))
    return told


def _in_one_unit(read: _Read, by: Mapping[str, float]) -> dict[str, list[PastDeposit]]:
    found = {}
    for player in [*read]:
        found[player] = [
            one if by.get(currency, 1.0) == 1 else one._replace(amount_minor=round(by[currency] * one.amount_minor))
            for currency, one in read.pop(player)
        ]
    return found


# The type is written out, or a plan for any type could not use the index of deposits and scores.
_TYPE: Final = f"type = '{DepositApproved.type}'"
_SHARE: Final = "(CAST(hashtext(player_id) AS bigint) & 2147483647) % CAST(:share AS bigint) = 0"
_RANGE: Final = "player_id > :after AND player_id <= :last"


def _part(table: str, whose: str) -> str:
    return f"""
        SELECT player_id, occurred_at, CAST(data->>'amount_minor' AS bigint) AS amount_minor,
               CASE WHEN history THEN NULL ELSE received_at END AS known_at, coalesce(data->>'currency', '') AS currency
        FROM {table}
        WHERE brand = :brand AND {_TYPE} AND occurred_at >= :since AND occurred_at < :until AND {whose}
    """  # noqa: S608 - our own words


def _deposits(whose: str, of_players: str = "true") -> str:
    """Deposits of players who deposited lately and do not object, as a query named `deposits`."""
    return f"""
        WITH known AS ({_part("events", whose)} UNION ALL {_part("kept_events", whose)}),
        active AS (SELECT player_id FROM known GROUP BY player_id HAVING max(occurred_at) >= :active),
        deposits AS (
            SELECT k.* FROM known k JOIN active USING (player_id)
              JOIN players p ON p.brand = :brand AND p.id = k.player_id
            WHERE p.state->'consents'->'profiling'->>0 IS DISTINCT FROM 'false' AND {of_players}
        )
    """  # noqa: S608 - our own words


_ORDERED: Final = "SELECT * FROM deposits ORDER BY player_id, occurred_at"
_OF_A_SHARE: Final = text(_deposits(_SHARE) + _ORDERED)
# The players too by their range: else a plan might read all of a brand for each part.
_OF_A_RANGE: Final = text(_deposits(_RANGE, "p.id > :after AND p.id <= :last") + _ORDERED)
_USUAL: Final = text(
    f"""
    {_deposits("true")}
    SELECT currency, count(*) AS deposits,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY CAST(amount_minor AS float)) AS amount
    FROM deposits WHERE amount_minor > 0 GROUP BY currency
    """  # noqa: S608 - our own words
)
_PLAYERS: Final = text("SELECT count(*) FROM players WHERE brand = :brand")
_THESE: Final = f"WHERE brand = :brand AND {_TYPE} AND occurred_at >= :since AND occurred_at < :until"
_COUNT: Final = text(
    f"SELECT (SELECT count(*) FROM events {_THESE}) + (SELECT count(*) FROM kept_events {_THESE})"  # noqa: S608 - our own
)
_NEXT_RANGE: Final = text(
    "SELECT max(id) FROM (SELECT id FROM players WHERE brand = :brand AND id > :after ORDER BY id LIMIT :most) part"
)
