"""How much bonus value fits a player and a day: what the house gives at most, what fits a wallet, what is left."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.gate import FREE, NOON, reason
from tests.support.player_events import Life, declared
from workflows import (
    DepositApproved,
    WithdrawalCompleted,
    bonus_money,
    cash,
    deposit_match,
    free_spins,
    points,
    rakeback,
)
from workflows.errors import DesignError
from workflows.gate.bonus_fit import BonusFit
from workflows.gate.bonus_value import DayBudget, day_budgets, over_budget
from workflows.gate.decide import may_grant
from workflows.gate.decision import Allowed
from workflows.gate.facts import GateFacts, GrantFacts, facts_of
from workflows.gate.policies import HOUSE
from workflows.gate.policy import Policy, policy, strictest
from workflows.gate.reasons import Reason
from workflows.rewards import Reward

RICH = replace(FREE, currency="EUR", net_deposits=100_000, bonus_value=0)


def asked(reward: Reward, **more: Any) -> GrantFacts:
    return GrantFacts.of(reward, "casino", **more)


def under(**numbers: Any) -> Policy:
    return strictest([HOUSE, Policy(name="acme", **numbers)])


def told(facts: GateFacts, reward: Reward, house: Policy, **more: Any) -> Reason | None:
    return reason(may_grant(facts, asked(reward, **more), house, NOON))


OVER = Reason.OVER_VALUE


@pytest.mark.parametrize(
    ("had", "more", "why"), [(0, 5_000, None), (1, 5_000, OVER), (4_999, 1, None), (5_000, 1, OVER)]
)
def test_the_ceiling_is_reached_and_never_exceeded(had: int, more: int, why: Reason | None) -> None:
    assert told(replace(RICH, bonus_value=had), cash(more), under(bonus_ceiling={"EUR": 5_000})) == why


@pytest.mark.parametrize(("deposits", "had", "more", "why"), [
    (100_000, 0, 10_000, None),
    (100_000, 0, 10_001, OVER),
    (100_000, 9_000, 1_000, None),
    (0, 0, 500, None),
    (0, 0, 501, OVER),
    (-70_000, 0, 500, None),
    (4_000, 0, 500, None),
])  # fmt: skip
def test_a_share_of_what_was_paid_in_fits_and_the_floor_fits_everybody(
    deposits: int, had: int, more: int, why: Reason | None
) -> None:
    facts = replace(RICH, net_deposits=deposits, bonus_value=had)
    assert told(facts, cash(more), under(bonus_fit={BonusFit(10, {"EUR": 500})})) == why


@pytest.mark.parametrize("unknown", [{"currency": None}, {"bonus_value": None}, {"net_deposits": None}])
def test_what_is_not_known_is_a_no(unknown: dict[str, Any]) -> None:
    house = under(bonus_ceiling={"EUR": 5_000}, bonus_fit={BonusFit(10)})
    assert told(replace(RICH, **unknown), cash(1), house) == Reason.FACTS_UNREADABLE


def test_a_currency_that_the_ceiling_leaves_out_gets_nothing() -> None:
    assert told(replace(RICH, currency="USD"), cash(1), under(bonus_ceiling={"EUR": 5_000})) == Reason.OVER_VALUE


def test_a_reward_of_which_nobody_can_say_what_it_costs_is_refused() -> None:
    assert told(RICH, rakeback(10), under(bonus_ceiling={"EUR": 5_000})) == Reason.OVER_VALUE
    assert told(RICH, rakeback(10, cap=5_000), under(bonus_ceiling={"EUR": 5_000})) is None


@pytest.mark.parametrize("house", [under(bonus_ceiling={"EUR": 0}), under(bonus_fit={BonusFit(0)})])
def test_points_cost_nothing_and_what_a_person_let_pass_is_not_reckoned(house: Policy) -> None:
    assert told(replace(RICH, bonus_value=None), points(1_000), house) is None
    assert told(RICH, cash(1_000), house, approved=True) is None
    assert told(replace(RICH, bonus_value=None), cash(1_000), house, earned=True) is None
    assert told(replace(RICH, status="self_excluded"), cash(1_000), house, approved=True) == Reason.SELF_EXCLUDED


def test_nobody_is_asked_where_nothing_is_declared() -> None:
    allowed = may_grant(replace(FREE, currency=None, bonus_value=None), asked(cash(10**9)), HOUSE, NOON)
    assert isinstance(allowed, Allowed)
    assert "bonus-value" not in allowed.rules


AMOUNT = st.integers(0, 10**6)


@given(AMOUNT, AMOUNT, AMOUNT, st.integers(0, 1_000), st.integers(-(10**6), 10**6))
def test_what_is_allowed_never_exceeds_the_ceiling_nor_the_share(
    had: int, more: int, ceiling: int, share: int, deposits: int
) -> None:
    facts, value = replace(RICH, bonus_value=had, net_deposits=deposits), more + 1
    fits = had + value <= ceiling and 100 * (had + value) <= max(deposits, 0) * share
    house = under(bonus_ceiling={"EUR": ceiling}, bonus_fit={BonusFit(share)})
    assert (told(facts, cash(value), house) is None) == fits


@pytest.mark.parametrize(("reward", "worth"), [
    (cash(500), 500),
    (bonus_money(1_000, wager=10), 600),
    (bonus_money(1_000, wager=10, max_win=5_000), 5_000),
    (deposit_match(100, cap=7_500), 7_500),
    (free_spins(10, bet_value=20), 192),
    (free_spins(10, bet_value=20, max_win=10_000), 10_000),
    (points(50), 0),
    (rakeback(10), None),
])  # fmt: skip
def test_a_reward_is_worth_what_it_may_cost_at_most_or_else_what_it_is_expected_to(
    reward: Reward, worth: int | None
) -> None:
    assert asked(reward).value == worth


def test_what_was_paid_in_is_known_for_a_month_and_less_what_was_paid_out() -> None:
    life = Life()
    life.happens(DepositApproved, amount_minor=5_000, currency="EUR")
    life.happens(WithdrawalCompleted, amount_minor=2_000, currency="EUR")
    life.state.facts["currency"] = "EUR"
    for after, net in ((timedelta(0), 3_000), (timedelta(days=30), 3_000), (timedelta(days=32), 0)):
        facts = facts_of(life.state, addresses=(), contacts=(), now=life.now + after)
        assert facts.net_deposits == net


def test_a_reward_is_taken_from_the_journeys_budget_and_then_from_the_brands() -> None:
    mine = declared("mine", budget={"EUR": 700})
    both = day_budgets(mine, under(bonus_per_day={"EUR": 9_000}), "EUR")
    assert both == [DayBudget("mine", "EUR", 700), DayBudget("", "EUR", 9_000)]
    assert day_budgets(mine, HOUSE, "USD") == [DayBudget("mine", "USD", 0)]
    assert day_budgets(mine, HOUSE, None) == [DayBudget("mine", "XXX", 0)]
    assert day_budgets(declared("free"), HOUSE, "EUR") == day_budgets(None, HOUSE, "EUR") == []


def test_a_spent_budget_says_whose_it_is() -> None:
    allowed = Allowed({"at": "now"}, "house@1")
    refused = [over_budget(one, allowed, 5) for one in (DayBudget("mine", "EUR", 700), DayBudget("", "EUR", 9_000))]
    assert [one.reason for one in refused] == [Reason.OVER_JOURNEY_BUDGET, Reason.OVER_BRAND_BUDGET]
    assert {(one.rule, one.policy, *one.seen) for one in refused} == {("bonus-budget", "house@1", "at")}
    assert "nobody can say" in over_budget(DayBudget("", "EUR", 1), allowed, None).detail


@pytest.mark.parametrize("wrong", [{"euro": 5}, {"EUR": -1}, {"EUR": True}, {"EUR": 1.5}])
def test_a_budget_that_cannot_be_meant_is_refused(wrong: Any) -> None:
    with pytest.raises(DesignError, match="budget="):
        declared("mine", budget=wrong)


def test_a_budget_of_all_players_is_no_law_of_a_place() -> None:
    with pytest.raises(DesignError, match="names no jurisdiction"):
        policy("acme", since=date(2026, 1, 1), jurisdiction="GB", bonus_per_day={"EUR": 1})
