"""J05, before the payment: the cashier was opened and left."""

from workflows import (
    DepositAbandoned,
    DepositApproved,
    HarmSignal,
    Player,
    days,
    every,
    goal,
    hours,
    journey,
    minutes,
    on,
)


def worrying(signal: HarmSignal) -> bool:
    """Whether a signal of harm ends every nudge."""
    return signal.strength != "weak"


@journey(
    on(DepositAbandoned),
    entry=every(days(1)),
    goal=goal(DepositApproved, within=hours(24)),
    exit_on=[DepositApproved, on(HarmSignal, where=worrying)],
    ends_after=hours(24),
    late_after=minutes(30),
    waives={"no-control": "Help is not withheld."},
)
async def abandoned_cashier(player: Player, left: DepositAbandoned) -> None:
    """Help within seconds, and no money: who changed their mind is left in peace."""
    if player.harm in {"medium", "strong"}:
        return
    await player.send("cashier-help", via=["in_app"], fallback=["push"], by=minutes(15))
    await player.mark("helped", method=left.method)
