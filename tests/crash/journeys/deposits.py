from datetime import timedelta

from workflows import (
    DepositApproved,
    LossStreak,
    Player,
    SessionLogin,
    bonus_money,
    free_spins,
    journey,
    milestone,
    minutes,
    on,
    once,
    per,
    points,
)


@journey(on(DepositApproved), entry=per("payment_id"), ends_after=minutes(30))
async def crash_deposit(player: Player, deposit: DepositApproved) -> None:
    """A message on every channel and a reward for each deposit, with a wait that always times out."""
    await player.send("crash-note", via=["email", "sms", "push", "in_app"], amount=deposit.amount_minor)
    await player.event(SessionLogin, within=timedelta(seconds=1))
    if await player.grant(points(5)):
        await player.mark("given", payment=deposit.payment_id)


@journey(milestone(DepositApproved, 1), entry=once, ends_after=minutes(30))
async def crash_first(player: Player, deposit: DepositApproved) -> None:
    """A reward at once, another after three lost rounds, and a journey of its own."""
    await player.grant(free_spins(5))
    await player.refresh()
    if await player.event(LossStreak, within=minutes(20)):
        await player.grant(bonus_money(100))
    await player.start("crash_child")


@journey(entry=once, ends_after=minutes(30))
async def crash_child(player: Player, nothing: None) -> None:
    """Started by another journey."""
    await player.send("crash-word", via=["email"], word="child")
