"""The day's points of the house in memory: the same question as `activities.loyalty_limits.house_gives`."""

from stage.world.state import WorldState
from workflows.loyalty.house_points import house_share
from workflows.loyalty.point_currencies import PointCurrency


def house_gives(world: WorldState, currency: PointCurrency | None, player_id: str, points: int) -> bool:
    """Take what is given to a player from what the house gives on a day; False where it gives no more."""
    share = house_share(currency, player_id, points, world.now)
    used = 0 if share is None else world.limits.get(share.limit, 0) + share.amount
    if share is None or used > share.most:
        return share is None
    world.limits[share.limit] = used
    return True
