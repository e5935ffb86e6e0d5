"""Money without a deposit: bonus balance, cash, and shares of what was lost or staked."""

from datetime import datetime, timedelta
from typing import Literal

from workflows.rewards.base import (
    USUAL_VALIDITY,
    USUAL_WAGER,
    Amount,
    Cost,
    Deposits,
    Percent,
    RewardBase,
    Wager,
    after_wagering,
    declare,
)

__all__ = ["bonus_money", "cash", "cashback", "rakeback"]


class BonusMoney(RewardBase):
    """Bonus balance without a deposit. Dear and the favourite of abusers: keep it small."""

    kind: Literal["bonus_money"] = "bonus_money"
    amount_minor: Amount
    wager_x: Wager = USUAL_WAGER
    max_win_minor: Amount | None = None

    def cost(self, granted_at: datetime, deposits: Deposits) -> Cost:  # noqa: ARG002 - whenever, to whomever
        """The amount, less what its wagering costs the player; never more than may be won with it."""
        most, expected = self.max_win_minor, after_wagering(self.amount_minor, self.wager_x)
        how = "amount x (1 - house edge x wagering)"
        return Cost(most, expected if most is None else min(most, expected), how)


def bonus_money(
    amount: int,
    *,
    wager: int = USUAL_WAGER,
    max_win: int | None = None,
    terms: str = "",
    valid: timedelta = USUAL_VALIDITY,
) -> BonusMoney:
    """`amount` minor units of bonus balance, no deposit asked."""
    return declare(BonusMoney, amount_minor=amount, wager_x=wager, max_win_minor=max_win, terms=terms, valid=valid)


class Cash(RewardBase):
    """Real money, nothing to wager."""

    kind: Literal["cash"] = "cash"
    amount_minor: Amount

    def cost(self, granted_at: datetime, deposits: Deposits) -> Cost:  # noqa: ARG002 - whenever, to whomever
        """The amount."""
        return Cost(self.amount_minor, self.amount_minor, "the amount")


def cash(amount: int, *, terms: str = "", valid: timedelta = USUAL_VALIDITY) -> Cash:
    """`amount` minor units straight to the real balance."""
    return declare(Cash, amount_minor=amount, terms=terms, valid=valid)


class Cashback(RewardBase):
    """A percentage of the settled net loss of a period, up to a cap."""

    kind: Literal["cashback"] = "cashback"
    pct: Percent
    cap_minor: Amount
    min_loss_minor: Amount | None = None
    period: Literal["day", "week", "month"] = "week"
    wager_x: Wager = 0

    def cost(self, granted_at: datetime, deposits: Deposits) -> Cost:  # noqa: ARG002 - whenever, to whomever
        """At most the cap; what is expected nobody can say without the player's rounds."""
        return Cost(self.cap_minor, None, "a share of losses, which need rounds in the log")


def cashback(
    percent: int,
    cap: int,
    *,
    min_loss: int | None = None,
    period: Literal["day", "week", "month"] = "week",
    wager: int = 0,
    terms: str = "",
    valid: timedelta = timedelta(hours=72),
) -> Cashback:
    """`percent` of the net loss of the last whole `period`, at most `cap` minor units.

    Never offer it to a player with signs of harm: it is a bonus for losing.
    """
    return declare(
        Cashback,
        pct=percent,
        cap_minor=cap,
        min_loss_minor=min_loss,
        period=period,
        wager_x=wager,
        terms=terms,
        valid=valid,
    )


class Rakeback(RewardBase):
    """A percentage of turnover times house edge, whether the player won or lost."""

    kind: Literal["rakeback"] = "rakeback"
    pct: Percent
    cap_minor: Amount | None = None
    period: Literal["day", "week"] = "week"

    def cost(self, granted_at: datetime, deposits: Deposits) -> Cost:  # noqa: ARG002 - whenever, to whomever
        """At most the cap; what is expected nobody can say without the player's rounds."""
        return Cost(self.cap_minor, None, "a share of losses, which need rounds in the log")


def rakeback(
    percent: int,
    *,
    cap: int | None = None,
    period: Literal["day", "week"] = "week",
    terms: str = "",
    valid: timedelta = USUAL_VALIDITY,
) -> Rakeback:
    """`percent` of turnover times house edge over the last whole `period`, paid as cash."""
    return declare(Rakeback, pct=percent, cap_minor=cap, period=period, terms=terms, valid=valid)
