"""The functions designers call: each reward as one short phrase, ``free_spins(10, max_win=500)``.

They take the values of the models and refuse the same mistakes, as a sentence, where the reward is written.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Final, Literal, TypeVar

from pydantic import ValidationError

from workflows.errors import RewardDesignError
from workflows.events import Category
from workflows.rewards.models import (
    USUAL_WAGER,
    WEEK,
    BonusMoney,
    Cash,
    Cashback,
    DepositMatch,
    FreeBet,
    FreeSpins,
    Gift,
    MiniGame,
    Mission,
    Multiplier,
    Points,
    Prize,
    RaffleTicket,
    Rakeback,
    Reload,
    RewardBase,
    TierUpgrade,
    TournamentTicket,
)


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
    """A parcel worth at most ``value`` minor units.

    It is granted through the bonus engine like any reward: nobody here approves or ships it.
    """
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
