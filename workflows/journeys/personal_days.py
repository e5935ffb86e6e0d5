"""J13: birthdays, anniversaries and round numbers."""

from typing import Annotated, Literal

from workflows import (
    Anniversary,
    Birthday,
    DepositApproved,
    Event,
    Form,
    HarmSignal,
    NotAwarded,
    Player,
    SessionLogin,
    always,
    amounts,
    anniversary,
    birthday,
    days,
    free_spins,
    goal,
    hours,
    journey,
    milestone,
    on,
    points,
)
from workflows.events import Pii

VIP_TIERS = ("gold", "platinum", "diamond", "black")
#: A birthday is for spins, everything that was reached for points of the house's own program
#: (`workflows.programs.casino`); where it is not deployed those are spins too.
POINTS = {"half_year": 250, "year": 500, "deposits": 100, "visits": 250}
SPIN_VALUE = amounts(EUR=10, GBP=10, USD=10, CAD=10, SEK=100, BRL=50, UAH=400)
MOST_WON = amounts(EUR=5_000, GBP=4_000, USD=5_000, CAD=7_000, SEK=50_000, BRL=25_000, UAH=200_000)
SPINS = {"birthday": 20, "half_year": 10, "year": 20, "deposits": 10, "visits": 10}


class GreetingCall(Form):
    """Call the player and congratulate in your own words. Speak of no offer unless they ask."""

    outcome: Literal["reached", "no_answer", "voicemail", "declined"]
    note: Annotated[str, Pii()] = ""


def worrying(signal: HarmSignal) -> bool:
    """Whether a signal of harm ends every offer."""
    return signal.strength != "weak"


@journey(
    birthday(at="10:00"),
    anniversary(months=6),
    anniversary(years=1),
    milestone(DepositApproved, 10),
    milestone(SessionLogin, 100),
    entry=always,
    goal=goal(SessionLogin, within=days(3)),
    exit_on=[on(HarmSignal, where=worrying)],
    ends_after=days(5),
    control=10,
)
async def personal_days(player: Player, day: Birthday | Anniversary | DepositApproved | SessionLogin) -> None:
    """A VIP is called by a person, on the day; everybody else is greeted, with something small beside it.

    A VIP who is not reached twice gets a personal line and no coupon. Who was born on 29 February is greeted every
    year. Players in whom harm was seen are greeted and offered nothing.
    """
    occasion = occasion_of(day)
    if player.tier in VIP_TIERS:
        if await called(player, occasion):
            return
        await player.sleep(hours(12))
        await player.until("11:00")
        if await called(player, occasion):
            return
        await player.send("occasion-greeting", via=["email"], fallback=["in_app"], occasion=occasion)
        return
    if player.harm not in {None, "weak"} or not await given(player, occasion):
        await player.send("occasion-greeting", via=["in_app"], fallback=["email"], occasion=occasion)


async def given(player: Player, occasion: str) -> bool:
    """Give something small for the day and tell of it; whether anything was given."""
    if occasion in POINTS:
        awarded = await player.award(points(POINTS[occasion]), into="house_points")
        if awarded:
            await player.send("occasion-points", via=["in_app", "email"], occasion=occasion, points=POINTS[occasion])
        if not isinstance(awarded, NotAwarded) or awarded.reason != "not_declared":
            return bool(awarded)
    value, most = player.amount(SPIN_VALUE), player.amount(MOST_WON)
    if not (value and most) or not await player.grant(free_spins(SPINS[occasion], bet_value=value, max_win=most)):
        return False
    await player.send("occasion-gift", via=["in_app", "email"], occasion=occasion, spins=SPINS[occasion], max_win=most)
    return True


async def called(player: Player, occasion: str) -> bool:
    """Have a person call; whether the player was reached, or would rather not be."""
    call = await player.ask(
        GreetingCall,
        team="vip",
        due=hours(8),
        escalate_to="vip-head",
        reason=f"The player's day: {occasion}.",
        forbidden=["no offer first"],
        priority=70,
    )
    return call is not None and call.outcome in {"reached", "declined"}


def occasion_of(day: Event) -> str:
    """What there is to greet."""
    match day:
        case Birthday():
            return "birthday"
        case Anniversary(months=6):
            return "half_year"
        case Anniversary():
            return "year"
        case DepositApproved():
            return "deposits"
        case _:
            return "visits"
