"""What a grant gives is said in the player's language, from the grant itself."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from content.offer_words import offer_variables
from workflows.rewards import bonus_money, cash, deposit_match, free_spins, points
from workflows.rewards.base import RewardBase

UNTIL = datetime(2026, 7, 5, 18, tzinfo=UTC)
KYIV = ZoneInfo("Europe/Kyiv")


def said(reward: RewardBase, language: str = "en", currency: str | None = "EUR") -> dict[str, str]:
    return offer_variables(reward.model_dump(mode="json"), UNTIL, language, KYIV, currency)


@pytest.mark.parametrize(
    ("reward", "language", "words"),
    [
        (free_spins(10), "en", "10 free spins"),
        (free_spins(1), "en-GB", "1 free spin"),
        (free_spins(3), "ru", "3 бесплатных вращения"),
        (free_spins(5), "uk-UA", "5 безкоштовних обертань"),
        (points(2), "uk", "2 бали"),
        (bonus_money(500), "en", "a bonus of €5.00"),
        (cash(500), "ru", "5,00 € деньгами"),
        (deposit_match(50, cap=10_000), "en", "50% on top of a deposit, up to €100.00"),
        (free_spins(10), "de", "10 free spins"),
    ],
)
def test_a_value_is_said_as_people_say_it(reward: RewardBase, language: str, words: str) -> None:
    assert said(reward, language)["offer"].replace("\N{NO-BREAK SPACE}", " ") == words


def test_the_conditions_are_those_of_the_reward_and_its_end_is_on_the_players_clock() -> None:
    told = said(free_spins(10, max_win=500, wager=3))
    terms = told["terms"].replace("\N{NARROW NO-BREAK SPACE}", " ")
    assert terms == "wagering x3; winnings of up to €5.00; until July 5, 2026, 9:00 PM"
    assert told["offer_until"] == UNTIL.isoformat()


def test_without_a_currency_no_amount_is_guessed() -> None:
    told = said(bonus_money(500), currency=None)
    assert told["offer"] == "a gift"
    assert "5" not in told["terms"].partition("until")[0]


def test_a_reward_without_words_of_its_own_is_a_gift() -> None:
    made: Any = {"kind": "lootbox", "valid": 60}
    assert offer_variables(made, UNTIL, "uk", KYIV, "UAH")["offer"] == "подарунок"
