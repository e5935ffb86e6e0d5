"""What arms brought in money: by players who were drawn alike, once the plan is over, or why it is not told."""

import random

import pytest

from learning.experiment_money import MoneyFinding, PlayerMoney, money_of_arm
from tests.support.examples import examples
from workflows.experiment_draw import CONTROL

HALVES = {"push": 50, CONTROL: 50}


def crowd(
    players: int, *, seed: int, gain: float = 0.0, more: int = 0, cost: int = 0, shares: dict[str, int] = HALVES
) -> list[PlayerMoney]:
    """Players in two arms, of whom few bring most; the arm reaches more goals, and brings and costs more a player."""
    drawn, found = random.Random(seed), []
    for _ in range(players):
        arm = "push" if drawn.random() < shares["push"] / 100 else CONTROL
        treated = arm == "push"
        before = round(drawn.paretovariate(1.6) * 1_000) if drawn.random() < 0.6 else 0
        now = (before + round(drawn.gauss(0, 300)) if before else 0) + more * treated
        reached = drawn.random() < 0.3 + gain * treated
        given = cost if treated and reached else 0
        found.append(PlayerMoney(arm, shares, reached, {"EUR": now}, {"EUR": before}, {"EUR": given}))
    return found


def only(found: list[MoneyFinding]) -> MoneyFinding:
    (one,) = found
    return one


def of(people: list[PlayerMoney], missing: str | None = None) -> MoneyFinding:
    return only(money_of_arm("push", people, missing, seed="a test"))


def test_the_true_gain_lies_in_the_interval_and_is_of_all_treated_together() -> None:
    people = crowd(1_600, seed=2, more=400)
    one = of(people)
    treated = sum(person.arm == "push" for person in people)
    assert one.players == treated
    assert one.brought_from is not None
    assert one.brought_to is not None
    assert 0 < one.brought_from < 400 * treated < one.brought_to


def test_where_there_is_none_it_is_rarely_found() -> None:
    count = examples(40)
    found = [of(crowd(600, seed=seed)) for seed in range(count)]
    wrong = sum(not (one.brought_from or 0) <= 0 <= (one.brought_to or 0) for one in found)
    assert wrong <= 0.05 * count + 3 * (0.05 * 0.95 * count) ** 0.5


def test_what_one_more_player_cost_is_what_bonuses_cost_more_by_the_players_more() -> None:
    one = of(crowd(4_000, seed=3, gain=0.2, cost=500))
    assert one.price_from is not None
    assert one.price_to is not None
    # Half of the treated take a bonus of 500, and a fifth of them would not have come: 250 by 0.2.
    assert one.price_from < 1_250 < one.price_to


@pytest.mark.parametrize(
    ("people", "why"),
    [
        (crowd(2_000, seed=4, cost=500), "not shown to be above zero"),
        (crowd(2_000, seed=5, gain=0.2), "no bonus has cost anything yet"),
        (crowd(20, seed=6, gain=0.2, cost=500), "10 of each are needed"),
    ],
    ids=["no gain", "no cost", "too few"],
)
def test_a_price_is_told_only_of_a_gain_that_is_shown(people: list[PlayerMoney], why: str) -> None:
    one = of(people)
    assert one.price is None
    assert why in (one.no_price or "")


def test_a_part_that_nobody_tells_is_no_number_and_its_reason() -> None:
    one = of(crowd(1_000, seed=7, gain=0.2, cost=500), missing="no rounds or bets are told")
    assert (one.brought, one.no_number) == (None, "no rounds or bets are told")
    assert one.price is not None, "What bonuses cost is known all the same."


def test_few_players_are_no_number() -> None:
    assert "50 are needed" in (of(crowd(60, seed=8)).no_number or "")


def test_who_was_drawn_with_other_odds_is_not_compared() -> None:
    """Later players bring more, and more of them are treated: taken together that looks like a gain of the arm."""
    early = crowd(1_200, seed=9)
    late = [
        PlayerMoney(one.arm, one.shares, one.reached, {"EUR": one.ngr["EUR"] + 5_000}, one.ngr_before)
        for one in crowd(900, seed=10, shares={"push": 90, CONTROL: 10})
    ]
    one = of([*early, *late])
    assert one.players == sum(person.arm == "push" for person in early)
    assert one.brought_from is not None
    assert one.brought_to is not None
    assert one.brought_from < 0 < one.brought_to


def test_the_same_players_give_the_same_answer_in_whatever_currency() -> None:
    people = crowd(800, seed=11, more=300)
    pounds = [PlayerMoney(one.arm, one.shares, one.reached, {"GBP": 100}) for one in crowd(200, seed=12)]
    first, again = (money_of_arm("push", [*people, *pounds], None, seed="a") for _ in range(2))
    assert first == again
    assert [one.currency for one in first] == ["EUR", "GBP"]
