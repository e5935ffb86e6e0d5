"""A small shop, for the tests of both theatres: something of each kind, and a way to get points."""

from workflows import (
    DepositApproved,
    Player,
    RoundCompleted,
    Statistics,
    always,
    badge,
    count,
    currency,
    days,
    distinct,
    earn,
    free_spins,
    gift,
    hours,
    item,
    journey,
    ladder,
    multiplier,
    on,
    player_mission,
    points,
    sector,
    shop,
    step,
    tier,
    week,
    wheel,
)

house_points = currency("points", expires=days(90))
gems = currency("gems", given_a_day=10)
wagered = earn(
    house_points, RoundCompleted, "stake_minor", rate=(1, 100), product="casino", most=1_000_000, name="wagered"
)
house = ladder("house", by=count(DepositApproved), tiers=[tier("bronze", 1), tier("silver", 2)])


def came_back(player: Statistics) -> bool:
    """Whoever has deposited."""
    return player.deposits > 0


market = shop(
    "market",
    item("spins-20", free_spins(20, max_win=10_000), price=500, stock=1_000, each=1, per=week),
    item("last-mug", gift("mug", value=800), price=200, stock=1),
    item("double", multiplier(2, hours(2)), price=100, into=house_points, product="casino"),
    item("gems-5", points(5), price=50, into=gems),
    item("badge", badge("patron"), price=10, each=1),
    item("for-silver", free_spins(5, max_win=1_000), price=10, tier="silver"),
    item("for-depositors", points(1), price=1, into=gems, seen_by=came_back),
    item("for-betting", points(1), price=1, into=gems, product="betting"),
    paid_in=house_points,
)


daily = wheel(
    "daily",
    sector(3, points(20)),
    sector(1, points(50)),
    otherwise=points(10),
    into=house_points,
    product="casino",
    budget=10_000,
)


@player_mission(
    step("games", distinct(RoundCompleted, "game_id", name="page_games"), 3),
    gives=points(200),
    into=house_points,
    product="casino",
    budget=10_000,
    opt_in=True,
)
def three_games(_player: Statistics) -> bool:
    """Play three different games."""
    return True


@journey(on(DepositApproved), entry=always, ends_after=days(1))
async def thanks(player: Player, _deposit: DepositApproved) -> None:
    """Points for a deposit that any product may use."""
    await player.award(points(1_000), into=house_points)
