"""J01: from registration to a first deposit."""

from workflows import (
    ContactVerified,
    DepositApproved,
    LossStreak,
    Player,
    PlayerRegistered,
    days,
    free_spins,
    goal,
    hours,
    journey,
    on,
    once,
)


@journey(
    on(PlayerRegistered),
    entry=once,
    goal=goal(DepositApproved, within=days(7)),
    ends_after=days(14),
    control=10,
)
async def welcome(player: Player, registered: PlayerRegistered) -> None:
    """From registration to a first deposit, without selling on day one.

    Left out until their verbs exist: the mission of day 3 (`award`) and the double points of day
    7 (`multiply`); the reward of day 3 is the spins alone, without the wheel (`spin`).
    """
    await player.send("welcome", via=["email", "in_app"])
    match await player.first(ContactVerified, DepositApproved, within=hours(1)):
        case DepositApproved():
            return
        case None:
            await player.send("verify-email", via=["email"])
    if await player.event(DepositApproved, within=days(1)):
        return
    await player.refresh()
    await player.send("guide", via=["email"], about=player.favourite_category)
    match await player.first(LossStreak, DepositApproved, within=days(2)):
        case LossStreak():
            await player.grant(free_spins(10, max_win=500))
        case DepositApproved():
            return
    await player.event(DepositApproved, within=days(10))
