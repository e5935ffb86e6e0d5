"""J02: from an account to a first deposit."""

from workflows import (
    DepositApproved,
    FeedbackAnswered,
    HarmSignal,
    Inactive,
    Player,
    PlayerRegistered,
    days,
    deposit_match,
    goal,
    hours,
    inactive,
    journey,
    on,
    once,
)

PERCENT, CAP = 100, 10_000  # minor units
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
    offered = await player.grant(deposit_match(PERCENT, CAP, wager=10, deposit_number=1, valid=VALID))
    if offered:
        await player.send(
            "first-deposit-offer", via=["email"], fallback=["in_app"], percent=PERCENT, cap=CAP, valid_days=VALID.days
        )
    await player.sleep(days(2))
    await player.send("what-stopped-you", via=["in_app"], fallback=["email"])
    answer = await player.event(FeedbackAnswered, within=days(3))
    await player.mark("asked", answered=answer is not None)
    if offered:
        await player.send("first-deposit-last-day", via=["sms"], fallback=["in_app"], percent=PERCENT, cap=CAP)
