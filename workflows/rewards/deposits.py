"""Rewards for a deposit: a match and a reload."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from workflows.field_types import Category, Label
from workflows.rewards.base import (
    USUAL_VALIDITY,
    USUAL_WAGER,
    Amount,
    Cost,
    Deposits,
    RewardBase,
    Wager,
    after_wagering,
    declare,
    first_deposit_within,
    several,
)

__all__ = ["deposit_match", "reload"]


MatchPercent = Annotated[int, Field(ge=1, le=500)]
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


class DepositMatch(RewardBase):
    """A percentage of a deposit on top, up to a cap, to be wagered."""

    for_deposit: ClassVar[bool] = True

    kind: Literal["deposit_match"] = "deposit_match"
    match_pct: MatchPercent
    cap_minor: Amount
    min_deposit_minor: Amount | None = None
    #: Which deposit of the player it is for, 1 is the first; None: the next one.
    deposit_number: Annotated[int, Field(ge=1)] | None = None
    wager_x: Wager = USUAL_WAGER
    #: `bonus_plus_deposit` counts that part of the deposit which was matched: a law's cap on wagering goes by it.
    wager_basis: Literal["bonus", "bonus_plus_deposit"] = "bonus"
    max_bet_minor: Amount | None = None
    max_win_minor: Amount | None = None
    #: Percent of a stake that counts towards wagering, by category; empty: the bonus engine's own table.
    contribution: dict[Category, Annotated[int, Field(ge=0, le=100)]] = Field(default_factory=dict)
    excluded_methods: Annotated[tuple[Label, ...], Field(max_length=50)] = ()

    @model_validator(mode="after")
    def _wagering_can_be_done(self) -> "DepositMatch":
        if self.contribution and not any(self.contribution.values()):
            raise ValueError("contribution counts no stake at all, so the wagering could never be done")
        return self

    def cost(self, granted_at: datetime, deposits: Deposits) -> Cost:
        """The match of the first deposit that the log shows within its validity."""
        return _cost_of_match(self, granted_at, deposits)


def deposit_match(
    percent: int,
    cap: int,
    *,
    min_deposit: int | None = None,
    deposit_number: int | None = None,
    wager: int = USUAL_WAGER,
    wager_basis: Literal["bonus", "bonus_plus_deposit"] = "bonus",
    max_bet: int | None = None,
    max_win: int | None = None,
    contribution: Mapping[Category, int] | None = None,
    excluded_methods: Iterable[str] = (),
    terms: str = "",
    valid: timedelta = USUAL_VALIDITY,
) -> DepositMatch:
    """`percent` of a deposit on top, at most `cap` minor units.

    `wager_basis="bonus_plus_deposit"` about doubles the wagering of the same `wager`.
    """
    return declare(
        DepositMatch,
        match_pct=percent,
        cap_minor=cap,
        min_deposit_minor=min_deposit,
        deposit_number=deposit_number,
        wager_x=wager,
        wager_basis=wager_basis,
        max_bet_minor=max_bet,
        max_win_minor=max_win,
        contribution=dict(contribution or {}),
        excluded_methods=several(excluded_methods),
        terms=terms,
        valid=valid,
    )


class Reload(RewardBase):
    """A match for players who deposited before; may be bound to weekdays of the player's zone."""

    for_deposit: ClassVar[bool] = True

    kind: Literal["reload"] = "reload"
    match_pct: MatchPercent
    cap_minor: Amount
    min_deposit_minor: Amount | None = None
    wager_x: Wager = USUAL_WAGER
    max_bet_minor: Amount | None = None
    max_win_minor: Amount | None = None
    #: Empty: any day.
    weekdays: Annotated[tuple[Weekday, ...], Field(max_length=7)] = ()

    def cost(self, granted_at: datetime, deposits: Deposits) -> Cost:
        """The match of the first deposit that the log shows within its validity."""
        return _cost_of_match(self, granted_at, deposits)


def reload(
    percent: int,
    cap: int,
    *,
    min_deposit: int | None = None,
    wager: int = USUAL_WAGER,
    max_bet: int | None = None,
    max_win: int | None = None,
    weekdays: Iterable[str] = (),
    terms: str = "",
    valid: timedelta = USUAL_VALIDITY,
) -> Reload:
    """`percent` of the next deposit on top, at most `cap` minor units, while `valid` lasts."""
    return declare(
        Reload,
        match_pct=percent,
        cap_minor=cap,
        min_deposit_minor=min_deposit,
        wager_x=wager,
        max_bet_minor=max_bet,
        max_win_minor=max_win,
        weekdays=several(weekdays),
        terms=terms,
        valid=valid,
    )


def _cost_of_match(match: DepositMatch | Reload, granted_at: datetime, deposits: Deposits) -> Cost:
    """What a match may cost. A shared base would say it once too, but change the order in which fields travel.

    Players whom the offer itself would have brought to the cashier are not in the log, so the figure is a floor,
    not a ceiling.
    """
    amount = first_deposit_within(deposits, granted_at, granted_at + match.valid)
    least = match.min_deposit_minor or 0
    bonus = min(match.cap_minor, amount * match.match_pct // 100) if amount >= least else 0
    how = "percent of the first deposit in the log within its validity, up to the cap, x (1 - edge x wagering)"
    return Cost(match.cap_minor, after_wagering(bonus, match.wager_x), how)
