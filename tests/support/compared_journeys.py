"""A journey of which everybody is in the control group, and which begins another one."""

from workflows import DepositApproved, Player, SessionLogin, cash, days, journey, on


@journey(on(DepositApproved), ends_after=days(9), control=100)
async def leads_on(player: Player, _deposit: DepositApproved) -> None:
    """Sends the player on."""
    await player.start("is_led")


@journey(on(SessionLogin), ends_after=days(9))
async def is_led(player: Player, _login: SessionLogin | None) -> None:
    """Gives something."""
    await player.grant(cash(600))
