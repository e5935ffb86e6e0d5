"""J05: three failed deposits in a row."""

from typing import Annotated, Literal

from workflows import (
    DepositApproved,
    DepositFailed,
    Form,
    Player,
    days,
    every,
    goal,
    hours,
    journey,
    minutes,
    streak,
    typical,
)
from workflows.events import Pii

VIP_TIERS = ("gold", "platinum", "diamond", "black")
deposits = typical(DepositApproved, "amount_minor")


class LiveHelp(Form):
    """Contact the player now and help them through the cashier."""

    outcome: Literal["solved", "not_reached", "declined", "passed_on"]
    note: Annotated[str, Pii()] = ""


@journey(
    streak(DepositFailed, 3, broken_by=DepositApproved, within=hours(24)),
    entry=every(days(1)),
    goal=goal(DepositApproved, within=hours(1)),
    exit_on=[DepositApproved],
    ends_after=hours(24),
    waives={"no-control": "Help is not withheld."},
)
async def failed_deposit(player: Player, failed: DepositFailed) -> None:
    """Help, not money; and no nudge at all where a limit or an empty account stopped the player.

    There is no control arm: help is not withheld. A person helps VIPs, and whoever wanted to deposit more than 19 of 20
    of their own deposits were; with fewer than five of them nobody knows what is much.
    """
    if failed.failure in {"limit", "insufficient"}:
        await player.send("limit-info", via=["in_app", "email"])
        return
    await player.send("deposit-help", via=["in_app", "push"])
    usual = await player.usual(deposits)
    if player.tier in VIP_TIERS or (usual.known and failed.amount_minor > usual.p95):
        await player.ask(
            LiveHelp,
            team="support",
            due=minutes(5),
            escalate_to="support-lead",
            reason=f"Three deposits failed in a row, the last as {failed.failure}.",
            priority=90,
        )
    await player.sleep(minutes(30))
    await player.send("deposit-help-email", via=["email"])
