"""J08: silent for longer than is usual for this player."""

from typing import Annotated, Literal

from workflows import (
    DepositApproved,
    Form,
    HarmSignal,
    Inactive,
    Player,
    PlayerScore,
    SessionLogin,
    amounts,
    best_channel,
    best_hour,
    days,
    every,
    free_spins,
    goal,
    inactive,
    journey,
    on,
)
from workflows.events import Pii

VIP_TIERS = ("gold", "platinum", "diamond", "black")
SPIN_VALUE = amounts(EUR=10, USD=10, GBP=10, CAD=15, SEK=100, BRL=50, UAH=400)
MOST_WON = amounts(EUR=5_000, USD=5_000, GBP=4_000, CAD=7_500, SEK=50_000, BRL=25_000, UAH=200_000)
LIKELY = 30  # of a hundred such players so many do not come back


class InactivityCall(Form):
    """Call the player, who is silent for longer than is usual for them. Ask how they are; offer nothing unasked."""

    outcome: Literal["reached", "no_answer", "voicemail", "declined"]
    note: Annotated[str, Pii()] = ""


def said(risk: PlayerScore) -> str:
    """What the churn score says and why; nothing where it is an estimate."""
    return "" if risk.estimated else f" {risk.percent} % likely not to come back: {', '.join(risk.why)}."


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

    Only then something small that fits a usual deposit. Who comes back by themselves is left in peace, and so is whom
    the churn score says to stay, where the house has a model; without one the silence alone counts. Nor does it do
    anything about who objected to being profiled.
    """
    if not player.deposits or player.objects_to_profiling:
        return
    risk = await player.score("churn")
    if not risk.estimated and risk.percent < LIKELY:
        return
    if player.tier in VIP_TIERS:
        await player.ask(
            InactivityCall,
            team="vip",
            due=days(1),
            escalate_to="vip-head",
            reason=f"Silent for {gone.seconds // 86_400} days, twice what is usual for this player.{said(risk)}",
            forbidden=["no offer unasked"],
        )
        return
    await player.send("content-news", via=best_channel("push", "email"), at=best_hour("18:00"))
    if await player.event(SessionLogin, within=days(3)):
        return
    value, most_won = player.amount(SPIN_VALUE), player.amount(MOST_WON)
    if value is None or most_won is None:
        return
    spins = max(5, min(30, player.mean_deposit_minor // 20 // value))
    if await player.grant(free_spins(spins, bet_value=value, max_win=most_won)):
        await player.send("spins-offer", via=["email"], fallback=["in_app"], spins=spins, max_win=most_won)
