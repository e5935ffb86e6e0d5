"""A journey whose only effect calls a provider, for the tests of traces and of holds."""

from workflows import DepositApproved, Player, always, days, journey, on, points


@journey(on(DepositApproved), entry=always, ends_after=days(1))
async def gift(player: Player, _deposit: DepositApproved) -> None:
    """Points for a deposit."""
    await player.grant(points(5))
