"""Puts casino rounds together from their bets and wins: a round becomes one event when all its parts are there.

Fast Track's feed sends each bet and each win by itself, and only together do they say what a round cost and paid.
The parts are events of their own kind, under a source that names their round, so they survive everything that
events survive; the round follows from them, whatever their order.
"""

from collections.abc import Sequence
from typing import Literal
from urllib.parse import quote

from api.integrations.outcomes import Fact
from workflows.events import Category, Currency, Event, Id, Label, Money, RoundCompleted


class RoundPart(
    Event,
    type="fasttrack.round_part",
    example={
        "kind": "bet",
        "round_id": "r-1",
        "game_id": "10911",
        "category": "slot",
        "real_minor": 2000,
        "currency": "EUR",
    },
):
    """A bet, a win or a loss within a round; money in minor units. From a Fast Track casino feed.

    It says nothing about the round as a whole: count `RoundCompleted`, not this.
    """

    kind: Literal["bet", "win", "loss"]
    #: It takes an earlier one of the same kind and amount back.
    reversed: bool = False
    #: Whether the round is over with it. None: the sender does not say, and a win or a loss ends it.
    ends: bool | None = None
    round_id: Id
    game_id: Id
    category: Category
    provider: Label = ""
    real_minor: Money
    bonus_minor: Money = 0
    currency: Currency
    balance_after_minor: Money | None = None

    @property
    def is_end(self) -> bool:
        """Whether nothing more is expected of the round."""
        return not self.reversed and (self.kind != "bet" if self.ends is None else self.ends)


def source_of(player_id: str, round_id: str) -> str:
    """The source of a round's parts. Tables are shared: a round's id may be another player's too."""
    return f"/fasttrack/rounds/{quote(player_id, safe='')}/{quote(round_id, safe='', errors='replace')}"


def whole_round(player_id: str, parts: Sequence[RoundPart]) -> Fact | None:
    """The round that the parts kept so far make up, or None while something is missing.

    It needs an end and a bet that was not taken back: a win may overtake its bet on the way here, and a stake of
    nothing would be a lie. Whoever asks again gets the same identity, so a round is told once; what comes after
    that changes it no more.
    """
    bets = [part for part in parts if part.kind == "bet"]
    bets_in_force = sum(-1 if bet.reversed else 1 for bet in bets)
    ends = [part for part in parts if part.is_end]
    if bets_in_force < 1 or not ends or len({part.currency for part in parts}) > 1:
        return None
    first = min(bets, key=lambda part: part.occurred_at)
    last = max(ends, key=lambda part: part.occurred_at)
    data = {
        "round_id": first.round_id,
        "game_id": first.game_id,
        "category": first.category,
        "provider": first.provider,
        "currency": first.currency,
        "stake_minor": _sum(parts, "bet", "real_minor"),
        "bonus_stake_minor": _sum(parts, "bet", "bonus_minor"),
        "win_minor": _sum(parts, "win", "real_minor"),
        "bonus_win_minor": _sum(parts, "win", "bonus_minor"),
        "duration": max(0, int((last.occurred_at - first.occurred_at).total_seconds())),
    }
    if last.balance_after_minor is not None:
        data["balance_after_minor"] = last.balance_after_minor
    source = source_of(player_id, first.round_id)
    at = last.occurred_at.isoformat()
    return Fact(player_id, RoundCompleted.wire_type, data, "round", source, at, first_counts=True)


def _sum(parts: Sequence[RoundPart], kind: str, field: Literal["real_minor", "bonus_minor"]) -> int:
    amounts: list[int] = [
        -getattr(part, field) if part.reversed else getattr(part, field) for part in parts if part.kind == kind
    ]
    return max(0, sum(amounts))
