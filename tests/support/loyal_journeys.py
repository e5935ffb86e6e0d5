"""A small loyalty program with a journey that awards points, for the tests of both theatres."""

from workflows import DepositApproved, Player, RoundCompleted, always, currency, days, earn, journey, on, points

house_points = currency("points", expires=days(90))
wagered = earn(
    house_points, RoundCompleted, "stake_minor", rate=(1, 1_000), product="casino", most=5_000, name="wagered"
)


@journey(on(DepositApproved), entry=always, ends_after=days(1))
async def thanks(player: Player, _deposit: DepositApproved) -> None:
    """Fifty points for a deposit."""
    if await player.award(points(50), into=house_points):
        await player.mark("thanked")
