"""What of a currency the house gives to all players on a day, and in which part of it the points of one of them lie."""

from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

from workflows.loyalty.point_currencies import PointCurrency
from workflows.loyalty.shared_limits import LimitShare

#: Parts that a day's points of the house lie in, where each part is as large as this or larger.
HOUSE_PARTS: Final = 16
LARGE: Final = 100_000


def house_share(currency: PointCurrency | None, player_id: str, points: int, now: datetime) -> LimitShare | None:
    """What giving points to a player takes of the day; None where nothing is counted.

    The day's points lie in parts, of which a player's id chooses one, so that not everybody waits for one row: together
    they are never more than 120 % of what was meant, and one part may be used up before the others.
    """
    if currency is None or not currency.given_a_day or not points:
        return None
    parts = HOUSE_PARTS if currency.most_given_a_day >= LARGE * HOUSE_PARTS else 1
    part = int.from_bytes(sha256(player_id.encode()).digest()[:4], "big") % parts
    limit = f"house:{currency.name}:{now.astimezone(UTC):%Y-%m-%d}:{part}"
    return LimitShare(limit, points, currency.most_given_a_day // parts)
