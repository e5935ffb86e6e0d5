"""J09: two weeks without a login."""

from typing import Annotated, Literal, NamedTuple

from workflows import (
    DepositApproved,
    Form,
    Inactive,
    Player,
    SessionLogin,
    amounts,
    days,
    every,
    free_spins,
    goal,
    inactive,
    journey,
)
from workflows.events import Pii

VIP_TIERS = ("gold", "platinum", "diamond", "black")
#: Of the house's own program (`workflows.programs.casino`); where it is not deployed nobody turns a wheel.
WHEEL, TURN_FOR = "daily_wheel", days(2)
#: From five spins to fifty, worth 3 to 10 % of a usual deposit.
SPIN_VALUE = amounts(EUR=10, GBP=10, USD=10, CAD=10, SEK=100, BRL=50, UAH=400)
LEAST = amounts(EUR=50, GBP=50, USD=50, CAD=50, SEK=500, BRL=250, UAH=2_000)
MOST = amounts(EUR=500, GBP=500, USD=500, CAD=500, SEK=5_000, BRL=2_500, UAH=20_000)
MOST_WON = amounts(EUR=10_000, GBP=10_000, USD=10_000, CAD=15_000, SEK=100_000, BRL=50_000, UAH=400_000)


class WinBackCall(Form):
    """Call the player and ask how they are. Offer nothing unless they ask."""

    outcome: Literal["reached", "no_answer", "voicemail", "declined", "escalated"]
    note: Annotated[str, Pii()] = ""


@journey(
    inactive(SessionLogin, days(14)),
    entry=every(days(60)),
    goal=goal(DepositApproved, within=days(30)),
    exit_on=[DepositApproved],
    ends_after=days(60),
    control=10,
)
async def win_back(player: Player, gone: Inactive) -> None:
    """News, then something small, then a person; over as soon as the player is back.

    A login ends it, although the catalogue only ends it with a deposit: nobody who is back is missed. Who comes back
    after a month finds a turn of the wheel. What becomes of the player in the weeks after is not watched.
    """
    await player.send("content-news", via=["email"], fallback=["push"])
    if await player.event(SessionLogin, within=days(7)):
        return
    await player.refresh()
    await offer_spins(player)
    if await player.event(SessionLogin, within=days(9)):
        return
    await player.send("other-channel", via=["sms"], fallback=["push"])
    if await player.event(SessionLogin, within=days(15)):
        await give_turn(player)
        return
    if player.tier in VIP_TIERS:
        await player.ask(
            WinBackCall,
            team="vip",
            due=days(1),
            escalate_to="vip-head",
            reason="No login for 45 days.",
            forbidden=["no offer in the script"],
        )
    if await player.event(SessionLogin, within=days(15)):
        await give_turn(player)
        return
    if (fits := spins_for(player)) is None:
        return
    if await player.grant(free_spins(fits.number, bet_value=fits.value, max_win=fits.most)):
        await player.send("final-offer", via=["email"], fallback=["sms"], spins=fits.number, max_win=fits.most)


async def give_turn(player: Player) -> None:
    """A turn of the wheel for who is back, while they are here."""
    if await player.give_spin(WHEEL, within=TURN_FOR):
        await player.send("wheel-turn", via=["in_app"], valid_days=TURN_FOR.days)


async def offer_spins(player: Player) -> None:
    """Spins that fit a usual deposit, granted before they are announced."""
    if (fits := spins_for(player)) is None:
        return
    if await player.grant(free_spins(fits.number, bet_value=fits.value, max_win=fits.most)):
        await player.send(
            "spins-offer", via=["email", "in_app"], fallback=["push"], spins=fits.number, max_win=fits.most
        )


class Spins(NamedTuple):
    """So many spins of a value each, and what may be won with all of them; minor units of the player's wallet."""

    number: int
    value: int
    most: int


def spins_for(player: Player) -> Spins | None:
    """The spins that fit this player's wallet; None where its currency is not known or nothing fits."""
    value, most = player.amount(SPIN_VALUE), player.amount(MOST_WON)
    worth = player.fit(3, 10, of=player.mean_deposit_minor, floor=LEAST, ceiling=MOST)
    return Spins(worth // value, value, most) if worth and value and most else None
