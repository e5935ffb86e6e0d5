"""J08: silent for longer than is usual for this player."""

from typing import Annotated, Literal

from workflows import (
    DepositApproved,
    Form,
    HarmSignal,
    Inactive,
    Player,
    SessionLogin,
    days,
    every,
    free_spins,
    goal,
    inactive,
    journey,
    on,
)
from workflows.events import Pii

VIP_TIERS = ("gold", "platinum", "diamond")
SPIN_VALUE, MOST_WON = 10, 5000  # minor units


class InactivityCall(Form):
    """Call the player, who is silent for longer than is usual for them. Ask how they are; offer nothing unasked."""

    outcome: Literal["reached", "no_answer", "voicemail", "declined"]
    note: Annotated[str, Pii()] = ""


def worrying(signal: HarmSignal) -> bool:
    """Whether a signal of harm ends every offer."""
    return signal.strength != "weak"


@journey(
    inactive(SessionLogin, times_usual=2, least=days(2), most=days(7)),
    entry=every(days(30)),
    goal=goal(DepositApproved, within=days(7)),
    exit_on=[SessionLogin, on(HarmSignal, where=worrying)],
    ends_after=days(14),
    control=10,
)
async def churn_risk(player: Player, gone: Inactive) -> None:
    """Twice the player's own usual gap has passed: a VIP is called, others hear news at an hour they are usually here.

    Only then something small that fits a usual deposit. Who comes back by themselves is left in peace.
    """
    if not player.deposits:
        return
    if player.tier in VIP_TIERS:
        await player.ask(
            InactivityCall,
            team="vip",
            due=days(1),
            escalate_to="vip-head",
            reason=f"Silent for {gone.seconds // 86_400} days, twice what is usual for this player.",
            forbidden=["no offer unasked"],
        )
        return
    hour = player.usual_hours[0] if player.usual_hours else 18
    await player.until(f"{hour:02d}:00")
    await player.send("content-news", via=["push"], fallback=["email"])
    if await player.event(SessionLogin, within=days(3)):
        return
    spins = max(5, min(30, player.mean_deposit_minor // 20 // SPIN_VALUE))
    if await player.grant(free_spins(spins, bet_value=SPIN_VALUE, max_win=MOST_WON)):
        await player.send("spins-offer", via=["email"], fallback=["in_app"], spins=spins, max_win=MOST_WON)
