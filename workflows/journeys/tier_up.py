"""J12, upwards: Gold at the fiftieth deposit."""

from typing import Annotated, Literal

from workflows import (
    DepositApproved,
    Form,
    Player,
    RewardActivated,
    amounts,
    days,
    free_spins,
    goal,
    journey,
    milestone,
    once,
    tier_upgrade,
)
from workflows.events import Pii

SPINS = 20
#: By currency; in any other Gold comes without spins.
SPIN_VALUE = amounts(EUR=10, USD=10, GBP=10, CAD=15, SEK=100, BRL=50, UAH=400)
MOST_WON = amounts(EUR=10_000, USD=10_000, GBP=10_000, CAD=15_000, SEK=100_000, BRL=50_000, UAH=400_000)


class PersonalNote(Form):
    """Write the player a personal note on reaching Gold, by hand where an address is known."""

    outcome: Literal["written", "not_possible"]
    note: Annotated[str, Pii()] = ""


@journey(
    milestone(DepositApproved, 50),
    entry=once,
    goal=goal(RewardActivated, within=days(30)),
    ends_after=days(30),
    control=10,
)
async def tier_up(player: Player, deposit: DepositApproved) -> None:
    """Gold at once: the tier and its perks open first, then the player is told, then a person writes.

    Only the way up: nobody is moved down. The casino tells the new tier with `loyalty.tier_changed`; until then it is
    not known here, whatever was granted.
    """
    if not await player.grant(tier_upgrade("gold")):
        return
    value, most = player.amount(SPIN_VALUE), player.amount(MOST_WON)
    if value and most:
        await player.grant(free_spins(SPINS, bet_value=value, max_win=most))
    await player.send("tier-gold", via=["in_app", "push", "email"])
    await player.ask(
        PersonalNote,
        team="vip",
        due=days(5),
        escalate_to="vip-head",
        reason=f"Reached Gold with deposit number {player.deposits}.",
        forbidden=["no new offer"],
    )
