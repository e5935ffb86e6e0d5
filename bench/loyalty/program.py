"""A small program for figures of the player's own site: points, a ladder, missions and a shop with one hot item."""

from workflows import (
    DepositApproved,
    RoundCompleted,
    Statistics,
    badge,
    collection,
    count,
    currency,
    days,
    distinct,
    earn,
    hours,
    item,
    ladder,
    multiplier,
    piece,
    player_mission,
    points,
    shop,
    step,
    tier,
    week,
)

house_points = currency("points", expires=days(90))
wagered = earn(
    house_points, RoundCompleted, "stake_minor", rate=(1, 1_000), most=1_000_000, product="casino", name="wagered"
)
house = ladder("house", by=count(DepositApproved), tiers=[tier("bronze", 1), tier("silver", 10), tier("gold", 50)])
spring = collection("spring", pieces=["bud", "leaf"], gives=badge("gardener"))


@player_mission(
    step("slots", distinct(RoundCompleted, "game_id", name="mission_games"), 3),
    gives=points(200),
    into=house_points,
    product="casino",
    budget=500_000,
    again=week,
)
def three_games(player: Statistics) -> bool:
    """Play three different games this week."""
    return player.tier != "gold"


@player_mission(
    step("first", count(DepositApproved), 1), gives=piece(spring, "bud"), product="casino", after=[three_games]
)
def first_bud(_player: Statistics) -> bool:
    """Deposit once, when you have played your three games."""
    return True


market = shop(
    "market",
    item("hot-badge", badge("hot"), price=10, stock=1_000_000, each=1),
    item("double-hour", multiplier(2, hours(1)), price=300, into=house_points, product="casino"),
    paid_in=house_points,
)
