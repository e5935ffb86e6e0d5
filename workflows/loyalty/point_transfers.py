"""Transfers: the double-entry journal that explains every point of a player.

A transfer is one row and both sides: points leave the account `debit` and come to the account `credit`. It is never
changed; what was wrong is corrected by another. The row of the player decides, and the journal proves it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

#: Accounts of a player. `debt` goes below nothing: what was reversed after it was spent.
PlayerAccount = Literal["available", "held", "debt"]
PLAYER_ACCOUNTS: Final = ("available", "held", "debt")
#: Accounts of the house are names and never rows: a balance that everybody posts to would be one hot row.
HouseAccount = Literal[
    "issued:wager",
    "issued:award",
    "issued:manual",
    "issued:mission",
    "issued:wheel",
    "issued:tournament",
    "issued:raffle",
    "redeemed:shop",
    "expired",
    "reversed",
    "lapsed",
    "merged",
]
Account = PlayerAccount | HouseAccount
#: Why points moved, as the player reads it in a statement.
Cause = Literal[
    "wager",
    "journey",
    "mission",
    "wheel",
    "raffle",
    "tournament",
    "shop",
    "expiry",
    "reversal",
    "debt",
    "merge",
    "manual",
]


@dataclass(frozen=True, slots=True)
class PointTransfer:
    """Points moved from one account to another. `number` counts the player's transfers, 1 the first."""

    number: int
    currency: str
    amount: int
    debit: Account
    credit: Account
    cause: Cause
    #: What it is about: a rule, a run and its step, a mission.
    ref: str
    at: datetime
    #: By slice, what of the amount left `available` or came to it.
    slices: Mapping[str, int] = field(default_factory=dict)
    #: Of an accrual: the bucket as it stands with this transfer, so that the journal alone gives it back.
    bucket: str | None = None
    units: Mapping[str, int] | None = None

    def __post_init__(self) -> None:
        """What the database holds as well: something moves, and between two accounts."""
        assert self.amount > 0
        assert self.debit != self.credit


def statement_words(transfer: PointTransfer) -> str:
    """The sentence of a line in the player's statement."""
    amount = f"{transfer.amount:,}"
    match transfer.cause:
        case "wager":
            return f"{amount} points earned by {transfer.ref}"
        case "expiry":
            return f"{amount} points expired"
        case "reversal":
            return f"{amount} points taken back: {transfer.ref}"
        case "debt":
            return f"{amount} points set against what was taken back before"
        case "shop":
            done = {"held": "reserved for", "redeemed:shop": "paid for"}.get(transfer.credit, "given back for")
            return f"{amount} points {done} {transfer.ref.partition(' ')[0]}"
        case _:
            return f"{amount} points: {transfer.cause} {transfer.ref}"
