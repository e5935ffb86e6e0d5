"""Play: casino rounds and sports bets (catalogue rows 17-22). Amounts are minor units of the account."""

from typing import Annotated, Literal

from pydantic import Field

from workflows.events.base import Event
from workflows.field_types import Category, Count, Currency, Id, Instant, Label, Money, Number, Seconds

__all__ = [
    "BetPlaced",
    "BetSettled",
    "BigWin",
    "GameFault",
    "GameSessionStarted",
    "RoundCompleted",
    "RoundVoided",
]


class GameSessionStarted(
    Event,
    type="game.session_started",
    example={
        "game_session_id": "gs-1",
        "game_id": "blackjack-classic",
        "game_name": "Blackjack Classic",
        "category": "table",
        "provider": "acme",
    },
):
    """The player opened a game. From the game platform."""

    game_session_id: Id
    game_id: Id
    game_name: Label = ""
    category: Category
    provider: Label = ""
    #: Play money, no stake.
    is_free: bool = False


class RoundCompleted(
    Event,
    type="game.round_completed",
    example={
        "round_id": "r-1",
        "game_id": "book-of-tests",
        "category": "slot",
        "stake_minor": 100,
        "win_minor": 0,
        "currency": "EUR",
        "duration": 4,
    },
):
    """One round ended; money in minor units, `duration` in seconds. From the game platform.

    `stake_minor` and `win_minor` are real money only; bonus money has its own two fields.
    """

    round_id: Id
    game_session_id: Id | None = None
    game_id: Id
    category: Category
    provider: Label = ""
    stake_minor: Money
    bonus_stake_minor: Money = 0
    win_minor: Money
    bonus_win_minor: Money = 0
    balance_after_minor: Money | None = None
    currency: Currency | None = None
    duration: Seconds | None = None
    #: The grant that paid for the round, a free spin for example.
    grant_id: Id | None = None


class RoundVoided(
    Event,
    type="game.round_voided",
    unique="round_id",
    example={
        "round_id": "r-1",
        "game_id": "book-of-tests",
        "category": "slot",
        "stake_minor": 100,
        "currency": "EUR",
        "played_at": "2026-01-15T11:00:00Z",
    },
):
    """A round was taken back; money in minor units as it was told when the round was played. From the game platform.

    A round is voided once: told again under another id it is a duplicate. It may come before the round itself.
    """

    round_id: Id
    game_id: Id
    category: Category
    provider: Label = ""
    stake_minor: Money
    bonus_stake_minor: Money = 0
    win_minor: Money = 0
    bonus_win_minor: Money = 0
    currency: Currency | None = None
    grant_id: Id | None = None
    #: When the round was played: points are taken back of that day.
    played_at: Instant


class BigWin(
    Event,
    type="game.big_win",
    example={"round_id": "r-2", "game_id": "book-of-tests", "win_minor": 50000, "multiplier_x100": 50000},
):
    """A win worth a word: at least 100 times the stake and above the player's own 99th percentile.

    `win_minor` in minor units; `multiplier_x100` is win over stake times 100. From the game platform.
    """

    round_id: Id
    game_id: Id
    win_minor: Money
    currency: Currency | None = None
    multiplier_x100: Count | None = None
    jackpot_id: Id | None = None


class GameFault(
    Event,
    type="game.fault",
    example={"round_id": "r-3", "game_id": "book-of-tests", "kind": "stuck_round", "stake_minor": 100},
):
    """The game broke under the player; money in minor units. From the game platform."""

    round_id: Id | None = None
    game_id: Id
    kind: Literal["disconnect", "stuck_round", "unpaid_win"]
    stake_minor: Money = 0
    potential_win_minor: Money | None = None
    currency: Currency | None = None


class BetPlaced(
    Event,
    type="sport.bet_placed",
    example={
        "bet_id": "b-1",
        "kind": "single",
        "stake_minor": 1000,
        "odds_x1000": 1850,
        "selections": 1,
        "live": False,
        "sport": "football",
    },
):
    """A sports bet was accepted. `stake_minor` in minor units, decimal odds times 1000. From the sportsbook."""

    bet_id: Id
    kind: Literal["single", "combo", "system"] = "single"
    stake_minor: Money
    currency: Currency | None = None
    odds_x1000: Annotated[Count, Field(ge=1000)] | None = None
    selections: Number = 1
    live: bool = False
    sport: Label = ""
    freebet_grant_id: Id | None = None


class BetSettled(
    Event,
    type="sport.bet_settled",
    example={"bet_id": "b-1", "outcome": "won", "payout_minor": 1850, "currency": "EUR"},
):
    """A sports bet is decided; `payout_minor` in minor units, stake included. From the sportsbook."""

    bet_id: Id
    outcome: Literal["won", "lost", "void", "cashout"]
    payout_minor: Money
    currency: Currency | None = None
