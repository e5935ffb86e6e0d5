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
    step,
    week,
)

house_points = currency("points", expires=days(90))
wagered = earn(
    house_points, RoundCompleted, "stake_minor", rate=(1, 1_000), product="casino", most=5_000, name="wagered"
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
