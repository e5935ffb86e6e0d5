"""J06: cashback for the week before, by tier."""

from collections.abc import Mapping
from typing import Final

from workflows import (
    HarmSignal,
    Player,
    RewardClaimed,
    Scheduled,
    SessionLogin,
    amounts,
    cashback,
    days,
    every,
    goal,
    hours,
    journey,
    on,
    schedule,
)
from workflows.journeys.releases.loss_back.v3_c2dbc352.segments import here_lately, lost_this_week, lost_today

#: Percent of the net loss, by tier.
SHARES: Final[Mapping[str | None, int]] = {"silver": 8, "gold": 10, "platinum": 12, "diamond": 15, "black": 15}
USUAL_SHARE = 5
CAP = amounts(EUR=50_000, USD=50_000, GBP=40_000, CAD=75_000, SEK=500_000, BRL=250_000, UAH=2_000_000)
LEAST_LOSS = amounts(EUR=2_000, USD=2_000, GBP=2_000, CAD=3_000, SEK=20_000, BRL=10_000, UAH=80_000)
VALID = hours(72)


def worrying(signal: HarmSignal) -> bool:
    """Whether a signal of harm ends every offer."""
    return signal.strength != "weak"


@journey(
    schedule("09:00", weekday="monday", segment=here_lately),
    entry=every(days(6)),
    goal=goal(RewardClaimed, within=days(3)),
    exit_on=[on(HarmSignal, where=worrying)],
    ends_after=days(4),
    control=10,
)
async def loss_back(player: Player, _: Scheduled) -> None:
    """On Monday a share of last week's net loss, by tier and up to a cap; nothing where harm may be, no word of luck.

    It is silent for who lost yesterday and today as well: three losing days are a person's to speak about
    (`loss_checkin`), and money for losing would speak against them.
    """
    cap, least = player.amount(CAP), player.amount(LEAST_LOSS)
    if cap is None or least is None:
        return
    lost = await player.value(lost_this_week, previous=True)
    if lost < least or player.harm in {"medium", "strong"}:
        return
    if await player.value(lost_today, previous=True) > 0 and await player.value(lost_today) > 0:
        return
    share = SHARES.get(player.tier, USUAL_SHARE)
    if not await player.grant(cashback(share, cap, min_loss=least, period="week", valid=VALID)):
        return
    await player.send("loss-back-ready", via=["in_app", "email"], percent=share, cap=cap, valid_hours=72)
    if await player.event(RewardClaimed, within=hours(48)):
        return
    if await player.event(SessionLogin, within=hours(12)):
        await player.send("loss-back-reminder", via=["in_app"])
