"""A small loyalty program with a journey that awards points, for the tests of both theatres."""

from workflows import (
    DepositApproved,
    Player,
    RoundCompleted,
    Statistics,
    always,
    currency,
    days,
    distinct,
    earn,
    journey,
    on,
    player_mission,
    points,
    sector,
    step,
    week,
    wheel,
)

house_points = currency("points", expires=days(90))
wagered = earn(
    house_points, RoundCompleted, "stake_minor", rate=(1, 1_000), product="casino", most=5_000, name="wagered"
)


daily = wheel(
    "daily",
    sector(600, points(20)),
    sector(399, points(50)),
    sector(1, points(500), stock=1),
    otherwise=points(10),
    into=house_points,
    product="casino",
    plays=2,
    budget=600,
)
jackpot = wheel(
    "jackpot",
    sector(1_000_000, points(100), stock=1),
    sector(1, points(90)),
    otherwise=points(10),
    into=house_points,
    product="casino",
    budget=150,
)


@player_mission(
    step("slots", distinct(RoundCompleted, "game_id", name="mission_games"), 3),
    gives=points(200),
    into=house_points,
    product="casino",
    budget=500,
    opt_in=True,
    again=week,
    claim=days(3),
)
def three_games(player: Statistics) -> bool:
    """Play three different games this week."""
    return not player.quiet(RoundCompleted, days(400))


@journey(on(DepositApproved), entry=always, ends_after=days(1))
async def thanks(player: Player, _deposit: DepositApproved) -> None:
    """Fifty points for a deposit."""
    if await player.award(points(50), into=house_points):
        await player.mark("thanked")
