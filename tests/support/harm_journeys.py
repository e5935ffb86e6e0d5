"""Journeys about signs of harm, for the tests of both theatres."""

from workflows import (
    DepositApproved,
    HarmSignal,
    Player,
    RoundCompleted,
    always,
    days,
    free_spins,
    hours,
    journey,
    on,
    points,
)


@journey(on(RoundCompleted, where=lambda played: played.stake_minor >= 100_000), entry=always, ends_after=days(4))
async def large_loss(player: Player, _played: RoundCompleted) -> None:
    """Three days of silence after a large loss."""
    await player.pause_promotions(72, why="a large loss")
    await player.grant(points(5))
    await player.sleep(hours(72))
    await player.grant(points(7))


@journey(on(DepositApproved), entry=always, ends_after=days(9))
async def spins(player: Player, _deposit: DepositApproved) -> None:
    """Spins for a deposit, to be taken within a week."""
    await player.grant(free_spins(10))
    await player.event(HarmSignal, within=days(8))
