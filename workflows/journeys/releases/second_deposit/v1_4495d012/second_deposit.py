"""J03: from the first deposit to the second."""

from workflows import (
    DepositApproved,
    HarmSignal,
    LossStreak,
    Player,
    SessionLogin,
    days,
    goal,
    hours,
    journey,
    milestone,
    on,
    once,
    reload,
)


def worrying(signal: HarmSignal) -> bool:
    """Whether a signal of harm ends every offer."""
    return signal.strength != "weak"


@journey(
    milestone(DepositApproved, 1),
    entry=once,
    goal=goal(DepositApproved, within=days(14)),
    exit_on=[DepositApproved, on(HarmSignal, where=worrying)],
    ends_after=days(14),
    control=10,
)
async def second_deposit(player: Player, deposit: DepositApproved) -> None:
    """Thank for the first deposit, and offer a reload to those whom it does not harm."""
    await player.send("deposit-thanks", via=["email", "in_app"], amount=deposit.amount_minor)
    if await player.event(LossStreak, within=hours(3)) is None:
        await offer_reload(player)
    if not await player.event(SessionLogin, within=hours(48)):
        await player.send("comeback-sms", via=["sms"])
    await player.sleep(days(1))
    await player.refresh()
    await player.send("favourite-tip", via=["in_app", "email"], about=player.favourite_category)
    await player.sleep(days(2))
    await offer_reload(player)
    await player.sleep(days(5))
    await player.send("last-call", via=["in_app"])


async def offer_reload(player: Player) -> None:
    """Grant first: an offer that the gate or the bonus engine refuses is not announced."""
    if await player.grant(reload(50, 5000, valid=hours(72))):
        await player.send("reload-offer", via=["email", "in_app"], percent=50, cap=5000, valid_hours=72)
