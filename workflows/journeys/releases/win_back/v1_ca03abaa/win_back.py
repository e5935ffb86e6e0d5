"""J09: two weeks without a login."""

from typing import Annotated, Literal

from workflows import (
    DepositApproved,
    Form,
    Inactive,
    Player,
    SessionLogin,
    days,
    every,
    free_spins,
    goal,
    inactive,
    journey,
)
from workflows.events import Pii

VIP_TIERS = ("gold", "platinum", "diamond")
SPIN_VALUE = 10  # minor units


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

    A login ends it, although the catalogue only ends it with a deposit: nobody who is back is
    missed. What becomes of the player in the weeks after is not watched.
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
        return
    spins = spins_for(player)
    if await player.grant(free_spins(spins, bet_value=SPIN_VALUE, max_win=10000)):
        await player.send("final-offer", via=["email"], fallback=["sms"], spins=spins, max_win=10000)


async def offer_spins(player: Player) -> None:
    """Spins worth a twentieth of a usual deposit, granted before they are announced."""
    spins = spins_for(player)
    if await player.grant(free_spins(spins, bet_value=SPIN_VALUE, max_win=10000)):
        await player.send("spins-offer", via=["email", "in_app"], fallback=["push"], spins=spins, max_win=10000)


def spins_for(player: Player) -> int:
    """How many spins fit this player's wallet: 5 % of the mean deposit, from 5 to 50 spins."""
    return max(5, min(50, player.mean_deposit_minor // 20 // SPIN_VALUE))
