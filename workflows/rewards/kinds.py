"""Every kind of reward. A new one is its model and its function in a family's module, and its line here."""

from typing import Annotated, Final, get_args

from pydantic import Field

from workflows.rewards.cash_and_bonus import BonusMoney, Cash, Cashback, Rakeback
from workflows.rewards.deposits import DepositMatch, Reload
from workflows.rewards.loyalty import Gift, Mission, Multiplier, Points, RaffleTicket, TierUpgrade, TournamentTicket
from workflows.rewards.play import FreeBet, FreeSpins, MiniGame, Prize

__all__ = [
    "KINDS",
    "BonusMoney",
    "Cash",
    "Cashback",
    "DepositMatch",
    "FreeBet",
    "FreeSpins",
    "Gift",
    "MiniGame",
    "Mission",
    "Multiplier",
    "Points",
    "Prize",
    "RaffleTicket",
    "Rakeback",
    "Reload",
    "Reward",
    "TierUpgrade",
    "TournamentTicket",
]

#: Any reward; `kind` tells which.
Reward = Annotated[
    FreeSpins
    | Reload
    | DepositMatch
    | BonusMoney
    | Cashback
    | Rakeback
    | FreeBet
    | Cash
    | Points
    | Multiplier
    | MiniGame
    | TournamentTicket
    | RaffleTicket
    | Mission
    | TierUpgrade
    | Gift,
    Field(discriminator="kind"),
]
#: The names of the kinds, as they stand in a grant and in the events about it.
KINDS: Final[tuple[str, ...]] = tuple(reward.model_fields["kind"].default for reward in get_args(get_args(Reward)[0]))
#: Those of them that a player takes up after they were given, so that an offer can be taken back until then.
OFFERED_KINDS: Final[tuple[str, ...]] = tuple(
    str(reward.model_fields["kind"].default)
    for reward in (FreeSpins, Reload, DepositMatch, BonusMoney, FreeBet, MiniGame, TournamentTicket)
)
#: Those of them whose cost hangs on a deposit that comes after them.
DEPOSIT_KINDS: Final[tuple[str, ...]] = tuple(
    reward.model_fields["kind"].default for reward in get_args(get_args(Reward)[0]) if reward.for_deposit
)
