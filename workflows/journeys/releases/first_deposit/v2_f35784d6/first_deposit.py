"""J02: from an account to a first deposit."""

from workflows import (
    DepositApproved,
    FeedbackAnswered,
    HarmSignal,
    Inactive,
    Player,
    PlayerRegistered,
    amounts,
    days,
    deposit_match,
    goal,
    hours,
    inactive,
    journey,
    on,
    once,
)

PERCENT = 100
CAP = amounts(EUR=10_000, USD=10_000, GBP=8_000, CAD=15_000, SEK=100_000, BRL=50_000, UAH=400_000)
VALID = days(7)


def worrying(signal: HarmSignal) -> bool:
    """Whether a signal of harm ends every offer."""
    return signal.strength != "weak"


@journey(
    inactive(PlayerRegistered, hours(1)),
    entry=once,
    goal=goal(DepositApproved, within=days(14)),
    exit_on=[DepositApproved, on(HarmSignal, where=worrying)],
    ends_after=days(14),
    control=10,
)
async def first_deposit(player: Player, _: Inactive) -> None:
    """An hour after the registration show the way, a day later make the offer, on the third day ask what was missing.

    It begins an hour after the registration and not with it: who has deposited by then needs none of this.
    """
    if player.deposits:
        return
    await player.send("how-to-deposit", via=["in_app"], fallback=["push"])
    await player.sleep(days(1))
    cap = player.amount(CAP)
    if cap is not None and not await player.grant(deposit_match(PERCENT, cap, wager=10, deposit_number=1, valid=VALID)):
        cap = None
    if cap is not None:
        await player.send(
            "first-deposit-offer", via=["email"], fallback=["in_app"], percent=PERCENT, cap=cap, valid_days=VALID.days
        )
    await player.sleep(days(2))
    await player.send("what-stopped-you", via=["in_app"], fallback=["email"])
    answer = await player.event(FeedbackAnswered, within=days(3))
    await player.mark("asked", answered=answer is not None)
    if cap is not None:
        await player.send("first-deposit-last-day", via=["sms"], fallback=["in_app"], percent=PERCENT, cap=cap)
