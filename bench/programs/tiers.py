"""A ladder whose gold opens something at once: points of the house, spins of the bonus engine, and the word of it."""

from workflows import (
    DepositApproved,
    Player,
    TierChanged,
    always,
    count,
    currency,
    days,
    free_spins,
    journey,
    ladder,
    on,
    points,
    tier,
)

house_points = currency("bench_points", expires=days(365))
house = ladder("house", by=count(DepositApproved), tiers=[tier("bronze", 1), tier("silver", 10), tier("gold", 50)])


@journey(on(TierChanged, where=lambda change: change.to == "gold"), entry=always, ends_after=days(1))
async def bench_risen(player: Player, _change: TierChanged) -> None:
    """What gold opens, and the word that it does."""
    await player.award(points(500), into=house_points)
    await player.grant(free_spins(20, max_win=10_000))
    await player.send("tier-gold", via=["in_app"])
