"""J15: a withdrawal, from the request to the money."""

from datetime import timedelta
from typing import Annotated, Literal

from workflows import (
    Form,
    Player,
    WithdrawalCancelledByPlayer,
    WithdrawalCompleted,
    WithdrawalRejected,
    WithdrawalRequested,
    count,
    days,
    goal,
    hours,
    journey,
    on,
    per,
)
from workflows.events import Pii

VIP_TIERS = ("gold", "platinum", "diamond", "black")
USUAL_TIME = days(1)
DAYS_LATE = 5

cancelled_7d = count(WithdrawalCancelledByPlayer, last=days(7))


class WithdrawalComfort(Form):
    """Tell the player where their withdrawal stands, and stay with it until it is paid. Offer nothing."""

    outcome: Literal["reached", "no_answer", "passed_on"]
    note: Annotated[str, Pii()] = ""


@journey(
    on(WithdrawalRequested),
    entry=per("payment_id"),
    goal=goal(WithdrawalCompleted, within=days(3), same="payment_id"),
    ends_after=days(14),
    waives={"no-control": "Whoever asks for their money hears where it is."},
)
async def withdrawal(player: Player, requested: WithdrawalRequested) -> None:
    """Say where the money is: at once, half-way, when it is late, and when it has come. Nothing is sold meanwhile.

    Each payment has a run of its own, and only its own end moves it.
    """
    time = requested.eta or USUAL_TIME
    await player.send(
        "withdrawal-received",
        via=["in_app", "email"],
        amount=requested.amount_minor,
        hours=int(time.total_seconds()) // 3600 or None,
    )
    if requested.kyc_required:
        await player.start("kyc_completion")
    if player.tier in VIP_TIERS:
        await comfort(player, "A VIP has asked for their money.")
    end = await its_end(player, time / 2)
    if end is None:
        await player.send("withdrawal-on-its-way", via=["in_app"], fallback=["push"], amount=requested.amount_minor)
        end = await its_end(player, time / 2)
    for late in range(DAYS_LATE):
        if end is not None:
            break
        await player.send("withdrawal-delayed", via=["email", "in_app"], amount=requested.amount_minor, hours=24)
        if player.tier in VIP_TIERS:
            await comfort(player, f"A withdrawal is late, day {late + 1}.")
        end = await its_end(player, days(1))
    match end:
        case WithdrawalCompleted():
            await player.send("withdrawal-paid", via=["email", "in_app"], amount=requested.amount_minor)
            await player.sleep(hours(1))
            await player.send("quick-question", via=["in_app"], about="withdrawal")
        case WithdrawalRejected(reason=reason):
            documents = "missing" if reason == "documents_missing" else None
            await player.send(
                "withdrawal-rejected", via=["email", "in_app"], amount=requested.amount_minor, documents=documents
            )
            if documents is not None:
                await player.start("kyc_completion")
        case WithdrawalCancelledByPlayer():
            if await player.value(cancelled_7d) >= 2:
                await player.start("loss_checkin")
        case None:
            await comfort(player, "A withdrawal is days late and nobody told its end.")


async def its_end(
    player: Player, within: timedelta
) -> WithdrawalCompleted | WithdrawalRejected | WithdrawalCancelledByPlayer | None:
    """The end of this very payment, if it comes in time."""
    return await player.first(
        WithdrawalCompleted, WithdrawalRejected, WithdrawalCancelledByPlayer, within=within, same="payment_id"
    )


async def comfort(player: Player, reason: str) -> WithdrawalComfort | None:
    """Have a person stay with it."""
    return await player.ask(
        WithdrawalComfort,
        team="vip" if player.tier in VIP_TIERS else "payments",
        due=hours(1),
        escalate_to="payments-lead",
        reason=reason,
        forbidden=["no offer, no bonus, no word to keep the money in play"],
        priority=85,
    )
