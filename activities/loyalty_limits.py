"""The table `loyalty_limits`: what all players share, a budget of points or a stock, and how much of it is used."""

from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


async def take_of(connection: AsyncConnection, brand: str, limit: str, amount: int, *, most: int) -> bool:
    """Take from what all players share; False, and nothing is taken, where too little is left."""
    asked = {"brand": brand, "limit": limit, "amount": amount, "most": most}
    return (await connection.execute(_TAKE, asked)).first() is not None


_TAKE: Final = text(
    """
    INSERT INTO loyalty_limits AS l (brand, name, used)
    SELECT :brand, :limit, CAST(:amount AS bigint) WHERE CAST(:amount AS bigint) <= CAST(:most AS bigint)
    ON CONFLICT (brand, name) DO UPDATE SET used = l.used + EXCLUDED.used
    WHERE l.used + EXCLUDED.used <= CAST(:most AS bigint)
    RETURNING used
    """
)
