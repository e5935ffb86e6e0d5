"""What a reward is: one frozen model a kind, told apart by ``kind``.

Money is integer minor units of the player's currency, percent is whole percent, wagering is how many times the
bonus must be staked, time is ``timedelta`` (whole seconds on the wire).
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from workflows.events import Category, Id, Label, Seconds

#: The United Kingdom's ceiling since 19 January 2026 (LCCP SR 5.1.1), and so the default where one is needed.
USUAL_WAGER: Final = 10
WEEK: Final = timedelta(days=7)


def _lasting(duration: timedelta) -> timedelta:
    if not timedelta(minutes=1) <= duration <= timedelta(days=366):
        raise ValueError("should last between a minute and 366 days")
    return duration


Amount = Annotated[int, Field(ge=1, le=10**12)]
Ids = Annotated[tuple[Id, ...], Field(max_length=100)]
Wager = Annotated[int, Field(ge=0, le=100)]
Percent = Annotated[int, Field(ge=1, le=100)]
MatchPercent = Annotated[int, Field(ge=1, le=500)]
Window = Annotated[Seconds, AfterValidator(_lasting)]
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


class RewardBase(BaseModel):
    """What every reward has; use one of its kinds.

    An unknown field is an error: a worker that dropped a newer limit would give more than was meant.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: Which terms the player reads; ``terms-<kind>`` unless said otherwise.
    terms: Annotated[str, StringConstraints(max_length=64, pattern=r"^[a-z0-9][a-z0-9._-]*$")] = ""
    #: How long the player may take and use it, from the moment it is offered. Whole seconds on the wire.
    valid: Window = WEEK

    @model_validator(mode="before")
    @classmethod
    def _own_terms(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and not data.get("terms"):
            return {**data, "terms": f"terms-{cls.model_fields['kind'].default}"}
        return data

    @property
    def name(self) -> str:
        """The step's name in a run's story, which is the kind: ``grant:free_spins#1``."""
        return str(getattr(self, "kind", ""))


class FreeSpins(RewardBase):
    """Rounds of a slot at a fixed bet that the house pays."""

    kind: Literal["free_spins"] = "free_spins"
    count: Annotated[int, Field(ge=1, le=1000)]
    #: Empty: the games of the provider's campaign.
    game_ids: Ids = ()
    #: Minor units a spin; None: the campaign's.
    bet_value_minor: Amount | None = None
    max_win_minor: Amount | None = None
    wager_x: Wager = 0
    provider_campaign_id: Id | None = None


class DepositMatch(RewardBase):
    """A percentage of a deposit on top, up to a cap, to be wagered."""

    kind: Literal["deposit_match"] = "deposit_match"
    match_pct: MatchPercent
    cap_minor: Amount
    min_deposit_minor: Amount | None = None
    #: Which deposit of the player it is for, 1 is the first; None: the next one.
    deposit_number: Annotated[int, Field(ge=1)] | None = None
    wager_x: Wager = USUAL_WAGER
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


class Reload(RewardBase):
    """A match for players who deposited before; may be bound to weekdays of the player's zone."""

    kind: Literal["reload"] = "reload"
    match_pct: MatchPercent
    cap_minor: Amount
    min_deposit_minor: Amount | None = None
    wager_x: Wager = USUAL_WAGER
    max_bet_minor: Amount | None = None
    max_win_minor: Amount | None = None
    #: Empty: any day.
    weekdays: Annotated[tuple[Weekday, ...], Field(max_length=7)] = ()


class BonusMoney(RewardBase):
    """Bonus balance without a deposit. Dear and the favourite of abusers: keep it small."""

    kind: Literal["bonus_money"] = "bonus_money"
    amount_minor: Amount
    wager_x: Wager = USUAL_WAGER
    max_win_minor: Amount | None = None


class Cashback(RewardBase):
    """A percentage of the settled net loss of a period, up to a cap."""

    kind: Literal["cashback"] = "cashback"
    pct: Percent
    cap_minor: Amount
    min_loss_minor: Amount | None = None
    period: Literal["day", "week", "month"] = "week"
    wager_x: Wager = 0


class Rakeback(RewardBase):
    """A percentage of turnover times house edge, whether the player won or lost."""

    kind: Literal["rakeback"] = "rakeback"
    pct: Percent
    cap_minor: Amount | None = None
    period: Literal["day", "week"] = "week"


class FreeBet(RewardBase):
    """A sports bet the house pays."""

    kind: Literal["free_bet"] = "free_bet"
    stake_minor: Amount
    #: Decimal odds times 1000, 1500 is 1.5.
    min_odds_x1000: Annotated[int, Field(ge=1000, le=1_000_000)] | None = None
    sports: Annotated[tuple[Label, ...], Field(max_length=50)] = ()
    stake_returned: bool = False


class Cash(RewardBase):
    """Real money, nothing to wager."""

    kind: Literal["cash"] = "cash"
    amount_minor: Amount


class Points(RewardBase):
    """Loyalty points."""

    kind: Literal["points"] = "points"
    points: Amount


class Multiplier(RewardBase):
    """Points earned in a window count more; 200 is double."""

    kind: Literal["multiplier"] = "multiplier"
    factor_x100: Annotated[int, Field(gt=100, le=1000)]
    window: Window
    game_ids: Ids = ()


class TournamentTicket(RewardBase):
    """A seat in a tournament."""

    kind: Literal["tournament_ticket"] = "tournament_ticket"
    entity_id: Id


class RaffleTicket(RewardBase):
    """Chances in a raffle."""

    kind: Literal["raffle_ticket"] = "raffle_ticket"
    entity_id: Id
    count: Annotated[int, Field(ge=1, le=1000)] = 1


class Mission(RewardBase):
    """A mission the player may now take."""

    kind: Literal["mission"] = "mission"
    entity_id: Id


class TierUpgrade(RewardBase):
    """A loyalty tier. It never makes anyone a VIP: that is a person's decision."""

    kind: Literal["tier_upgrade"] = "tier_upgrade"
    tier: Annotated[Label, Field(min_length=1)]
    #: How long the tier is held; None: until the next regular review.
    lasts: Window | None = None


class Gift(RewardBase):
    """A thing in a parcel. ``value_minor`` is what it may cost, ``sku`` what it is."""

    kind: Literal["gift"] = "gift"
    sku: Id
    value_minor: Amount
    ship_within: Window = timedelta(days=5)


Prizeable = Annotated[FreeSpins | BonusMoney | Cash | Points | RaffleTicket, Field(discriminator="kind")]


class Prize(BaseModel):
    """One field of a mini game: ``reward`` None is a blank; ``weight`` against the sum of all weights."""

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


#: Any reward; ``kind`` tells which.
Reward = Annotated[
    FreeSpins
    | DepositMatch
    | Reload
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
