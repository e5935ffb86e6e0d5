# ruff: noqa: ARG001 - a journey takes the event that starts it
"""Journeys that look at numbers and facts of their player."""

from workflows import (
    DepositApproved,
    Inactive,
    KycChanged,
    Player,
    RoundCompleted,
    SessionLogin,
    always,
    day,
    days,
    gap,
    inactive,
    journey,
    level,
    on,
    total,
    typical,
)

lost_today = total(RoundCompleted, lambda played: played.stake_minor - played.win_minor, per=day, name="lost")
usual_deposit = typical(DepositApproved, "amount_minor")
own_gap = gap(SessionLogin)
stakes = level(RoundCompleted, "stake_minor")


@journey(on(DepositApproved), entry=always, ends_after=days(1))
async def reads(player: Player, deposit: DepositApproved) -> None:
    """What is counted of the player, and what is usual for them."""
    usual = await player.usual(usual_deposit)
    why = usual.why_unusual(deposit.amount_minor)
    yesterday = await player.value(lost_today, previous=True)
    await player.mark("read", lost=await player.value(lost_today), yesterday=yesterday, p95=usual.p95, why=why)


@journey(on(KycChanged), entry=always, ends_after=days(1))
async def knows(player: Player, checked: KycChanged) -> None:
    """Facts of the player."""
    due = None if player.kyc_deadline is None else player.kyc_deadline.isoformat()
    said = {"kyc": player.kyc, "due": due, "harm": player.harm, "viewed": player.last_viewed}
    await player.mark("knows", weekday=f"{player.clock:%A}", consents=[*player.consents], **said)


@journey(inactive(SessionLogin, times_usual=2, most=days(7)), entry=always, ends_after=days(1))
async def misses(player: Player, gone: Inactive) -> None:
    """Somebody is silent for longer than is usual for them."""
    gap_now = await player.value(own_gap)
    await player.mark("missed", silent_days=gone.seconds // 86_400, usual_days=gap_now // 86_400)


@journey(on(KycChanged), entry=always, ends_after=days(1))
async def sees_change(player: Player, checked: KycChanged) -> None:
    """Whether the player stakes as before."""
    if change := await player.changed(stakes):
        await player.mark("changed", to=change.to, why=change.why)
    else:
        await player.mark("unchanged", known=change.known)
