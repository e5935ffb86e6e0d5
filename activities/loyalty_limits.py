"""The table `loyalty_limits`: what all players share, a budget of points or a stock, and how much of it is used."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from workflows.loyalty.house_points import house_share
from workflows.loyalty.point_currencies import PointCurrency
from workflows.loyalty.shared_limits import LimitShare


async def take_of(connection: AsyncConnection, brand: str, limit: str, amount: int, *, most: int) -> bool:
    """Take from what all players share; False, and nothing is taken, where too little is left."""
    asked = {"brand": brand, "limit": limit, "amount": amount, "most": most}
    return (await connection.execute(_TAKE, asked)).first() is not None


async def house_gives(
    connection: AsyncConnection, brand: str, currency: PointCurrency | None, player_id: str, points: int, now: datetime
) -> bool:
    """Take what is given to a player from what the house gives all of them on a day; False where it gives no more."""
    share = house_share(currency, player_id, points, now)
    return share is None or await take_of(connection, brand, share.limit, share.amount, most=share.most)


async def give_back(connection: AsyncConnection, brand: str, limit: str, amount: int) -> None:
    """Give back what was taken and not used."""
    await connection.execute(_GIVE_BACK, {"brand": brand, "limit": limit, "amount": amount})


async def used_of(connection: AsyncConnection, brand: str, limits: Sequence[str]) -> dict[str, int]:
    """How much of each of these limits is used; of one that nobody has touched nothing is said."""
    rows = await connection.execute(_USED, {"brand": brand, "limits": limits})
    return {row.name: row.used for row in rows}


_GIVE_BACK: Final = text(
    "UPDATE loyalty_limits SET used = greatest(used - :amount, 0) WHERE brand = :brand AND name = :limit"
)
_USED: Final = text("SELECT name, used FROM loyalty_limits WHERE brand = :brand AND name = ANY(:limits)").bindparams(
    bindparam("limits", type_=ARRAY(Text))
)


async def take_shares(connection: AsyncConnection, brand: str, shares: Sequence[LimitShare]) -> bool:
    """Take all of them, in their order, or none; everybody takes in one order, so nobody waits in a circle."""
    for number, one in enumerate(shares):
        if not await take_of(connection, brand, one.limit, one.amount, most=one.most):
            for taken in shares[:number]:
                await take_of(connection, brand, taken.limit, -taken.amount, most=taken.most)
            return False
    return True


_TAKE: Final = text(
    """
    INSERT INTO loyalty_limits AS l (brand, name, used)
    SELECT :brand, :limit, CAST(:amount AS bigint) WHERE CAST(:amount AS bigint) <= CAST(:most AS bigint)
    ON CONFLICT (brand, name) DO UPDATE SET used = l.used + EXCLUDED.used
    WHERE l.used + EXCLUDED.used <= CAST(:most AS bigint)
    RETURNING used
    """
)
#: What is of a day, or of a week, long ago. The stock of a shop's item is for good.
FORGET: Final = text(
    """
    DELETE FROM loyalty_limits WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM loyalty_limits
        WHERE (name ~ '^(house|wheel|tournament):'
               AND split_part(name, ':', 3) < to_char(CAST(:before AS timestamptz), 'YYYY-MM-DD'))
           OR (name ~ '^mission:' AND split_part(name, ':', 3) < to_char(CAST(:before AS timestamptz), 'IYYY-"W"IW'))
        LIMIT :limit))
    """
)
