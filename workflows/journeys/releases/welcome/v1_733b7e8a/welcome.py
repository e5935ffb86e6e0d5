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

    Three losing rounds in a row bring spins at once, but only to players who have not deposited yet: the first deposit
    ends the run. A streak of the first day is remembered and brings them right after the guide.
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
