"""J03: from the first deposit to the second."""

from datetime import datetime, timedelta
from typing import NamedTuple

from workflows import (
    DepositApproved,
    HarmSignal,
    LossStreak,
    Player,
    SessionLogin,
    amounts,
    days,
    goal,
    hours,
    journey,
    milestone,
    minutes,
    on,
    once,
    reload,
)

PERCENT = 50
#: By currency; in any other there is no offer.
CAP = amounts(EUR=5_000, USD=5_000, GBP=4_000, CAD=7_500, SEK=50_000, BRL=25_000, UAH=200_000)
VALID = hours(72)
#: The last offer is open for a day more when the last call says so.
LAST_VALID, LAST_CALL_AFTER = days(6), days(5)
#: Marketing that waits for the morning goes within twelve hours or not at all. So much longer than the text says an
#: offer is open, and an hour: what is read in the morning is true, and so is what is said in round hours.
GRACE, ROUNDING = hours(13), minutes(30)


def worrying(signal: HarmSignal) -> bool:
    """Whether a signal of harm ends every offer."""
    return signal.strength != "weak"


@journey(
    milestone(DepositApproved, 1),
    entry=once,
    goal=goal(DepositApproved, within=days(14)),
    exit_on=[DepositApproved, on(HarmSignal, where=worrying)],
    ends_after=days(14),
    control=10,
)
async def second_deposit(player: Player, deposit: DepositApproved) -> None:
    """Thank for the first deposit, and offer a reload to those whom it does not harm."""
    await player.send("deposit-thanks", via=["email", "in_app"], amount=deposit.amount_minor)
    if await player.event(LossStreak, within=hours(3)) is None:
        await offer_reload(player, VALID)
    if not await player.event(SessionLogin, within=hours(48)):
        await player.send("comeback-sms", via=["sms"])
    await player.sleep(days(1))
    await player.refresh()
    await player.send("favourite-tip", via=["in_app", "email"], about=player.favourite_category)
    # Only when the first offer is over, with its grace: two that are open at once would be taken together.
    await player.sleep(days(3))
    offer = await offer_reload(player, LAST_VALID)
    await player.sleep(LAST_CALL_AFTER)
    # Counted from the grant: how long its own message waited, or the run was held, makes no promise longer.
    left = 0 if offer is None else whole_hours(offer.open_until - player.now + ROUNDING)
    if offer is not None and left > 0:
        await player.send("last-call", via=["in_app"], percent=PERCENT, cap=offer.cap, valid_hours=left)


class Offer(NamedTuple):
    """An offer that was granted: the most it adds, in minor units, and until when it is said to be open."""

    cap: int
    open_until: datetime


async def offer_reload(player: Player, valid: timedelta) -> Offer | None:
    """The offer where it was granted. Grant first: what the gate or the bonus engine refuses is not announced."""
    cap = player.amount(CAP)
    if cap is None or not await player.grant(reload(PERCENT, cap, valid=valid + GRACE)):
        return None
    open_until = player.now + valid
    await player.send("reload-offer", via=["email", "in_app"], percent=PERCENT, cap=cap, valid_hours=whole_hours(valid))
    return Offer(cap, open_until)


def whole_hours(duration: timedelta) -> int:
    """How many hours a duration is."""
    return int(duration.total_seconds()) // 3600
