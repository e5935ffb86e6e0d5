# ruff: noqa: ARG001 - a journey takes the event that starts it
"""Journeys that look at the hour: by our clock, which is UTC, and by the player's."""

from workflows import DepositApproved, Player, PlayerRegistered, SessionLogin, days, goal, journey, local, on

IN_A_WEEK = goal(DepositApproved, within=days(7))


@journey(
    on(DepositApproved, where=lambda deposit: deposit.occurred_at.hour < 6),
    ends_after=days(60),
    goal=IN_A_WEEK,
    control=10,
)
async def begins_by_our_clock(player: Player, deposit: DepositApproved) -> None:
    """Begins before six in UTC."""
    await player.send("thanks")


@journey(
    on(DepositApproved, where=local("tuesday", hours=(0, 6))),
    ends_after=days(60),
    goal=IN_A_WEEK,
    control=10,
)
async def begins_by_their_clock(player: Player, deposit: DepositApproved) -> None:
    """Begins before six on the player's clock."""
    await player.event(SessionLogin, where=lambda login: login.local.hour < 6, within=days(1))
    await player.send("thanks")


@journey(on(PlayerRegistered), ends_after=days(60), goal=IN_A_WEEK, control=10)
async def waits_by_our_clock(player: Player, registered: PlayerRegistered) -> None:
    """Waits for a weekend in UTC."""
    await player.event(SessionLogin, where=lambda login: login.occurred_at.weekday() > 4, within=days(1))
    await player.send("thanks")
