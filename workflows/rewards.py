"""What a journey can give: one typed model a kind of reward, and the functions designers call.

``player.grant(free_spins(10, max_win=500))``. Money is integer minor units of the player's currency, percent
is whole percent, wagering is how many times the bonus must be staked, time is ``timedelta``. Every reward
names its terms, because a player must be able to read them before taking it, and every offer ends.

A function refuses a wrong value with ``RewardDesignError`` and a sentence where the reward is written. The
classes themselves raise pydantic's ``ValidationError``, as data from outside deserves.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from workflows.errors import RewardDesignError
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
    """A thing in a parcel. A person approves and sends it; ``value_minor`` is what it may cost."""

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


def free_spins(
    count: int,
    *,
    games: Iterable[str] = (),
    bet_value: int | None = None,
    max_win: int | None = None,
    wager: int = 0,
    campaign: str | None = None,
    terms: str = "",
    valid: timedelta = WEEK,
) -> FreeSpins:
    """``count`` spins, wager-free by default; ``bet_value`` a spin and ``max_win`` in all, in minor units."""
    return _declare(
        FreeSpins,
        count=count,
        game_ids=_several(games),
        bet_value_minor=bet_value,
        max_win_minor=max_win,
        wager_x=wager,
        provider_campaign_id=campaign,
        terms=terms,
        valid=valid,
    )


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
    valid: timedelta = WEEK,
) -> DepositMatch:
    """``percent`` of a deposit on top, at most ``cap`` minor units.

    ``wager_basis="bonus_plus_deposit"`` about doubles the wagering of the same ``wager``.
    """
    return _declare(
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
        excluded_methods=_several(excluded_methods),
        terms=terms,
        valid=valid,
    )


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
    valid: timedelta = WEEK,
) -> Reload:
    """``percent`` of the next deposit on top, at most ``cap`` minor units, while ``valid`` lasts."""
    return _declare(
        Reload,
        match_pct=percent,
        cap_minor=cap,
        min_deposit_minor=min_deposit,
        wager_x=wager,
        max_bet_minor=max_bet,
        max_win_minor=max_win,
        weekdays=_several(weekdays),
        terms=terms,
        valid=valid,
    )


def bonus_money(
    amount: int,
    *,
    wager: int = USUAL_WAGER,
    max_win: int | None = None,
    terms: str = "",
    valid: timedelta = WEEK,
) -> BonusMoney:
    """``amount`` minor units of bonus balance, no deposit asked."""
    return _declare(BonusMoney, amount_minor=amount, wager_x=wager, max_win_minor=max_win, terms=terms, valid=valid)


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
    """``percent`` of the net loss of the last whole ``period``, at most ``cap`` minor units.

    Never offer it to a player with signs of harm: it is a bonus for losing.
    """
    return _declare(
        Cashback,
        pct=percent,
        cap_minor=cap,
        min_loss_minor=min_loss,
        period=period,
        wager_x=wager,
        terms=terms,
        valid=valid,
    )


def rakeback(
    percent: int,
    *,
    cap: int | None = None,
    period: Literal["day", "week"] = "week",
    terms: str = "",
    valid: timedelta = WEEK,
) -> Rakeback:
    """``percent`` of turnover times house edge over the last whole ``period``, paid as cash."""
    return _declare(Rakeback, pct=percent, cap_minor=cap, period=period, terms=terms, valid=valid)


def free_bet(
    stake: int,
    *,
    min_odds: float | None = None,
    sports: Iterable[str] = (),
    stake_returned: bool = False,
    terms: str = "",
    valid: timedelta = WEEK,
) -> FreeBet:
    """A bet of ``stake`` minor units at decimal odds of at least ``min_odds``."""
    return _declare(
        FreeBet,
        stake_minor=stake,
        min_odds_x1000=None if min_odds is None else round(min_odds * 1000),
        sports=_several(sports),
        stake_returned=stake_returned,
        terms=terms,
        valid=valid,
    )


def cash(amount: int, *, terms: str = "", valid: timedelta = WEEK) -> Cash:
    """``amount`` minor units straight to the real balance."""
    return _declare(Cash, amount_minor=amount, terms=terms, valid=valid)


def points(count: int, *, terms: str = "", valid: timedelta = WEEK) -> Points:
    """``count`` loyalty points."""
    return _declare(Points, points=count, terms=terms, valid=valid)


def multiplier(
    factor: float,
    window: timedelta,
    *,
    games: Iterable[str] = (),
    terms: str = "",
    valid: timedelta = WEEK,
) -> Multiplier:
    """Points earned within ``window`` count ``factor`` times; ``valid`` is how long it may be switched on."""
    return _declare(
        Multiplier,
        factor_x100=round(factor * 100),
        window=window,
        game_ids=_several(games),
        terms=terms,
        valid=valid,
    )


def mini_game(
    game: Literal["wheel", "scratch", "plinko", "gift_box", "prize_drop", "quiz", "lootbox", "coin_flip"],
    *,
    budget: int,
    prizes: Iterable[Prize] = (),
    terms: str = "",
    valid: timedelta = WEEK,
) -> MiniGame:
    """One play that costs at most ``budget`` minor units; without ``prizes`` the game's own table."""
    return _declare(MiniGame, game=game, budget_minor=budget, prizes=tuple(prizes), terms=terms, valid=valid)


def tournament_ticket(tournament: str, *, terms: str = "", valid: timedelta = WEEK) -> TournamentTicket:
    """A seat in ``tournament``."""
    return _declare(TournamentTicket, entity_id=tournament, terms=terms, valid=valid)


def raffle_ticket(raffle: str, count: int = 1, *, terms: str = "", valid: timedelta = WEEK) -> RaffleTicket:
    """``count`` chances in ``raffle``."""
    return _declare(RaffleTicket, entity_id=raffle, count=count, terms=terms, valid=valid)


def mission(mission_id: str, *, terms: str = "", valid: timedelta = WEEK) -> Mission:
    """Open ``mission_id`` to the player; ``valid`` is the time to finish it."""
    return _declare(Mission, entity_id=mission_id, terms=terms, valid=valid)


def tier_upgrade(tier: str, *, lasts: timedelta | None = None, terms: str = "", valid: timedelta = WEEK) -> TierUpgrade:
    """The loyalty tier ``tier``, held for ``lasts`` or until the next regular review."""
    return _declare(TierUpgrade, tier=tier, lasts=lasts, terms=terms, valid=valid)


def gift(
    sku: str,
    *,
    value: int,
    ship_within: timedelta = timedelta(days=5),
    terms: str = "",
    valid: timedelta = timedelta(days=30),
) -> Gift:
    """A parcel worth at most ``value`` minor units; a person approves and ships it."""
    return _declare(Gift, sku=sku, value_minor=value, ship_within=ship_within, terms=terms, valid=valid)


_R = TypeVar("_R", bound=RewardBase)
#: Fields whose parameter has another name than the field without its unit.
_PARAMETERS: Final = {
    "match_pct": "percent",
    "pct": "percent",
    "game_ids": "games",
    "provider_campaign_id": "campaign",
    "entity_id": "the id",
    "factor_x100": "factor times 100",
    "min_odds_x1000": "min_odds times 1000",
    "points": "count",
}


def _several(names: Iterable[str]) -> tuple[str, ...]:
    # One name where several may stand would otherwise become its letters.
    return (names,) if isinstance(names, str) else tuple(names)


def _declare(cls: type[_R], **values: object) -> _R:
    try:
        return cls.model_validate(values)
    except ValidationError as error:
        kind = cls.model_fields["kind"].default
        wrong = "; ".join(_sentence(part["loc"], part["msg"], part["input"]) for part in error.errors())
        raise RewardDesignError(f"{kind}(...) cannot be granted: {wrong}.") from error


def _sentence(place: tuple[int | str, ...], message: str, given: object) -> str:
    message = message.removeprefix("Value error, ").removeprefix("Input ").replace("String should", "should")
    if not place:
        return message
    field = str(place[0])
    shown = str(given) if isinstance(given, timedelta) else repr(given)
    return f"{_PARAMETERS.get(field, field.removesuffix('_minor').removesuffix('_x'))} {message}, not {shown}"
