"""Rounds and bets the house pays: spins, sports bets, mini games with prizes."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated, ClassVar, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from workflows.field_types import Id, Label, Product
from workflows.rewards.base import (
    HOUSE_EDGE,
    USUAL_VALIDITY,
    Amount,
    Cost,
    Deposits,
    Ids,
    RewardBase,
    Wager,
    after_wagering,
    declare,
    several,
)
from workflows.rewards.cash_and_bonus import BonusMoney, Cash
from workflows.rewards.loyalty import Points, RaffleTicket

__all__ = ["free_bet", "free_spins", "mini_game"]


#: The stake of a free spin whose value is left to the provider, in minor units.
USUAL_SPIN: Final = 10


class FreeSpins(RewardBase):
    """Rounds of a slot at a fixed bet that the house pays."""

    product: ClassVar[Product | None] = "casino"
    kind: Literal["free_spins"] = "free_spins"
    count: Annotated[int, Field(ge=1, le=1000)]
    #: Empty: the games of the provider's campaign.
    game_ids: Ids = ()
    #: Minor units a spin; None: the campaign's.
    bet_value_minor: Amount | None = None
    max_win_minor: Amount | None = None
    wager_x: Wager = 0
    provider_campaign_id: Id | None = None

    def cost(self, granted_at: datetime, deposits: Deposits) -> Cost:  # noqa: ARG002 - whenever, to whomever
        """The spins at their stake; where the campaign knows the stake, at the usual one."""
        stake = self.count * (self.bet_value_minor or USUAL_SPIN)
        played = "spins x stake of a spin x (1 - house edge)"
        unknown = f", a spin taken as {USUAL_SPIN} minor units" if self.bet_value_minor is None else ""
        most = self.max_win_minor
        expected = after_wagering(stake * (1 - HOUSE_EDGE), self.wager_x)
        return Cost(most, expected if most is None else min(most, expected), played + unknown)


def free_spins(
    count: int,
    *,
    games: Iterable[str] = (),
    bet_value: int | None = None,
    max_win: int | None = None,
    wager: int = 0,
    campaign: str | None = None,
    terms: str = "",
    valid: timedelta = USUAL_VALIDITY,
) -> FreeSpins:
    """`count` spins, wager-free by default; `bet_value` a spin and `max_win` in all, in minor units."""
    return declare(
        FreeSpins,
        count=count,
        game_ids=several(games),
        bet_value_minor=bet_value,
        max_win_minor=max_win,
        wager_x=wager,
        provider_campaign_id=campaign,
        terms=terms,
        valid=valid,
    )


class FreeBet(RewardBase):
    """A sports bet the house pays."""

    product: ClassVar[Product | None] = "betting"
    kind: Literal["free_bet"] = "free_bet"
    stake_minor: Amount
    #: Decimal odds times 1000, 1500 is 1.5.
    min_odds_x1000: Annotated[int, Field(ge=1000, le=1_000_000)] | None = None
    sports: Annotated[tuple[Label, ...], Field(max_length=50)] = ()
    stake_returned: bool = False

    def cost(self, granted_at: datetime, deposits: Deposits) -> Cost:  # noqa: ARG002 - whenever, to whomever
        """The stake, less the house edge; odds have no ceiling, and so has the cost none."""
        return Cost(None, round(self.stake_minor * (1 - HOUSE_EDGE)), "stake x (1 - house edge)")


def free_bet(
    stake: int,
    *,
    min_odds: float | None = None,
    sports: Iterable[str] = (),
    stake_returned: bool = False,
    terms: str = "",
    valid: timedelta = USUAL_VALIDITY,
) -> FreeBet:
    """A bet of `stake` minor units at decimal odds of at least `min_odds`."""
    return declare(
        FreeBet,
        stake_minor=stake,
        min_odds_x1000=None if min_odds is None else round(min_odds * 1000),
        sports=several(sports),
        stake_returned=stake_returned,
        terms=terms,
        valid=valid,
    )


Prizeable = Annotated[FreeSpins | BonusMoney | Cash | Points | RaffleTicket, Field(discriminator="kind")]


class Prize(BaseModel):
    """One field of a mini game: `reward` None is a blank; `weight` against the sum of all weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weight: Annotated[int, Field(ge=1, le=1_000_000)]
    reward: Prizeable | None = None


class MiniGame(RewardBase):
    """One play of a wheel, scratch card or the like, with our prizes and a budget for the play."""

    kind: Literal["mini_game"] = "mini_game"
    game: Literal["wheel", "scratch", "plinko", "gift_box", "prize_drop", "quiz", "lootbox", "coin_flip"]
    #: Empty: the game's own table.
    prizes: Annotated[tuple[Prize, ...], Field(max_length=50)] = ()
    #: The most one play may cost, in minor units.
    budget_minor: Amount

    @model_validator(mode="after")
    def _prizes_fit(self) -> "MiniGame":
        for prize in self.prizes:
            if isinstance(prize.reward, Cash | BonusMoney) and prize.reward.amount_minor > self.budget_minor:
                raise ValueError(
                    f"a prize of {prize.reward.amount_minor} is above the budget of {self.budget_minor} minor units"
                )
        return self

    def cost(self, granted_at: datetime, deposits: Deposits) -> Cost:  # noqa: ARG002 - whenever, to whomever
        """The budget of the play."""
        return Cost(self.budget_minor, self.budget_minor, "the budget of the play")


def mini_game(
    game: Literal["wheel", "scratch", "plinko", "gift_box", "prize_drop", "quiz", "lootbox", "coin_flip"],
    *,
    budget: int,
    prizes: Iterable[Prize] = (),
    terms: str = "",
    valid: timedelta = USUAL_VALIDITY,
) -> MiniGame:
    """One play that costs at most `budget` minor units; without `prizes` the game's own table."""
    return declare(MiniGame, game=game, budget_minor=budget, prizes=tuple(prizes), terms=terms, valid=valid)
