"""Branches of the gate that no case of a law walks; with the other tests of the gate all of `workflows/gate` is run."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.support.gate import DAY, FREE, HOUSE, NOON, SPINS, message, reason
from tests.unit.test_points import POINTS
from workflows import cash, free_spins, points, sector, wheel
from workflows.effects import Give, OfferSpin
from workflows.errors import DesignError
from workflows.gate import policy_book
from workflows.gate.channel_plan import ChannelPlan
from workflows.gate.comparison import gets_no_offers
from workflows.gate.decide import may_grant, may_send, may_target
from workflows.gate.decision import Allowed, Refusal
from workflows.gate.facts import GrantFacts, RegisterAnswer, give_facts, spin_facts
from workflows.gate.policy import Policy, policy, strictest
from workflows.gate.policy_book import PolicyBook
from workflows.gate.prize_check import first_refusal, prize_facts
from workflows.gate.reasons import Reason
from workflows.gate.send_choice import is_profiled


@pytest.mark.parametrize(("used", "asked"), [([], ["email", "sms"]), (["email"], ["email"])])
def test_a_fallback_is_asked_only_where_nothing_went(used: list[str], asked: list[str]) -> None:
    plan = ChannelPlan(["email"], ["sms"], "email")
    found = []
    for channel in plan.channels():
        found.append(channel)
        if channel in used:
            plan.used.add(channel)
    assert found == asked


def test_a_message_that_waits_on_its_channel_does_not_go_by_another_meanwhile() -> None:
    plan = ChannelPlan(["email"], ["sms"], "email")
    plan.waits["email"] = NOON
    assert ([*plan.channels()], plan.wait_until) == (["email"], NOON)
    assert ChannelPlan(["email"], [], "email").wait_until is None


@pytest.mark.parametrize(("arm", "place", "held"), [("control", 99, True), ("treated", 4, True), ("treated", 5, False)])
def test_no_offers_go_to_the_control_arm_and_to_the_lowest_places(arm: str, place: int, held: bool) -> None:  # noqa: FBT001 - a table
    assert gets_no_offers(arm, place, strictest([HOUSE, Policy(name="x", holdout=5)])) is held


def test_no_ads_are_made_by_the_likeness_of_whom_no_register_was_asked_about() -> None:
    agreed = replace(FREE, consents={**(FREE.consents or {}), "ads": True})
    asks = strictest([HOUSE, Policy(name="x", registers={"spelpaus": timedelta(seconds=30)})])
    assert may_target(agreed, None, HOUSE, NOON)
    for at, listed, may in ((NOON, False, True), (NOON, True, False), (NOON - timedelta(minutes=1), False, False)):
        answered = replace(agreed, registers={"spelpaus": RegisterAnswer(listed=listed, at=at)})
        assert may_target(answered, None, asks, NOON) is may
    assert not may_target(replace(agreed, registers={}), None, asks, NOON)


def test_without_the_rule_an_objection_to_profiling_ends_nothing() -> None:
    objects = replace(FREE, consents={**(FREE.consents or {}), "profiling": False})
    lax = HOUSE.model_copy(update={"profiling_objection": False})
    assert reason(may_send(objects, message(), HOUSE, NOON)) == Reason.PROFILING
    assert isinstance(may_send(objects, message(), lax, NOON), Allowed)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({}, Reason.NO_CONSENT),
        ({"in_app": True}, None),
        ({"in_app": True, "popup": False}, Reason.NO_CONSENT),
        ({"in_app": True, "popup/casino": False}, Reason.NO_CONSENT),
        ({"in_app": False, "popup": True}, None),
    ],
)
def test_what_was_said_of_a_channel_itself_goes_before_what_was_said_of_its_like(
    said: dict[str, bool], why: Reason | None
) -> None:
    assert reason(may_send(replace(FREE, consents=said), message("popup"), HOUSE, NOON)) == why


@pytest.mark.parametrize(
    ("sore", "why"),
    [(None, Reason.FACTS_UNREADABLE), ("none", None), ("loss", Reason.SORE), ("complaint", Reason.SORE)],
)
def test_a_survey_is_not_sent_to_who_is_sore_or_may_be(sore: str | None, why: Reason | None) -> None:
    asked = message(kind="survey", asks=True)
    assert reason(may_send(replace(FREE, sore=sore), asked, HOUSE, NOON)) == why


def test_a_budget_of_all_players_names_no_jurisdiction() -> None:
    with pytest.raises(DesignError, match="names no jurisdiction"):
        policy("x", since=NOON.date(), jurisdiction="GB", bonus_per_day={"EUR": 1})


def test_the_strictness_of_where_an_exclusion_was_set_goes_along() -> None:
    book = PolicyBook()
    for told, lapses in ((("GB",), False), (("UA",), True), ((), True)):
        facts = replace(FREE, jurisdiction="UA", excluded_in=told)
        assert book.of("acme", facts, NOON).exclusions_lapse is lapses
    assert book.of("acme", None, NOON) == book.at("acme", None, NOON)


def test_a_book_forgets_what_it_joined_when_there_is_too_much_and_says_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(policy_book, "REMEMBERED", 2)
    book = PolicyBook()
    first = book.at("acme", "GB", NOON)
    for brand in ("a", "b", "c"):
        book.at(brand, "GB", NOON)
    assert len(book._joined) <= 2
    assert book.at("acme", "GB", NOON) == first


def test_a_register_is_asked_for_where_a_wording_in_force_somewhere_says_so() -> None:
    def ours(name: str, day: int, **numbers: Any) -> Policy:
        return policy(name, since=NOON.date().replace(day=day), **numbers)

    own = (
        ours("a", 1, registers={"gamstop": DAY}),
        ours("b", 1, registers={"gamstop": DAY, "oasis": DAY}),
        # The next wording of b says nothing of registers, and that of c is of a day that has begun nowhere.
        ours("b", 9, per_day=1),
        ours("c", 12, registers={"cruks": DAY}),
    )
    book = PolicyBook(own=own)
    assert book.registers(NOON) == {"gamstop": ["a"], "spelpaus": ["SE"]}
    assert book.registers(NOON - 5 * DAY) == {"gamstop": ["a", "b"], "oasis": ["b"], "spelpaus": ["SE"]}
    # East of everywhere it is the twelfth already.
    assert book.registers(NOON.replace(day=11, hour=10))["cruks"] == ["c"]
    assert "cruks" not in book.registers(NOON.replace(day=11, hour=9))


def test_what_a_journey_gives_is_asked_about_with_all_that_it_says_of_it() -> None:
    common: dict[str, Any] = {"brand": "acme", "player_id": "p", "journey": "j", "run_id": "r", "step": "give:x#1"}
    reward = free_spins(10, wager=5)
    usual = give_facts(Give(**common, reward=reward), "bingo")
    assert (usual.kind, usual.wager_x, usual.product) == ("free_spins", 5, "casino")
    assert (usual.journey_product, usual.vip, usual.approved, usual.earned) == ("bingo", False, False, False)
    said = give_facts(Give(**common, reward=reward, product="betting", vip=True, approved=True, earned=True), "bingo")
    assert (said.journey_product, said.vip, said.approved, said.earned) == ("betting", True, True, True)
    spin = spin_facts(OfferSpin(**common, wheel="w", until=NOON, vip=True), "casino")
    assert spin == GrantFacts(kind="mini_game", journey_product="casino", vip=True, value=0)


def test_a_wheel_asks_about_the_spin_and_about_each_prize_once() -> None:
    made = wheel(
        "w", sector(1, points(20)), sector(1, points(20)), sector(2, cash(500)), otherwise=points(5), into=POINTS,
        product="casino", budget=100, budget_minor=1_000,
    )  # fmt: skip
    asked = prize_facts(made)
    assert [one.kind for one in asked] == list(dict.fromkeys(one.kind for one in asked))
    assert asked[0].kind == "mini_game"
    assert {one.journey_product for one in asked} == {"casino"}
    assert {"points", "cash"} <= {one.kind for one in asked}


def test_of_several_prizes_the_first_that_may_not_be_given_is_told_and_else_the_last() -> None:
    spins, cashback = SPINS, replace(SPINS, kind="cashback")
    banning = strictest([HOUSE, Policy(name="x", banned_rewards=frozenset({"cashback"}))])
    kind, refused = first_refusal(FREE, [spins, cashback, spins], banning, NOON)
    assert (kind, isinstance(refused, Refusal) and refused.reason) == ("cashback", Reason.BANNED_REWARD)
    assert first_refusal(FREE, [spins, spins], banning, NOON)[0] == "free_spins"


@pytest.mark.parametrize(("age", "why"), [(None, Reason.UNKNOWN_AGE), (24, Reason.TOO_YOUNG), (25, None)])
def test_a_vip_reward_is_for_who_is_old_enough(age: int | None, why: Reason | None) -> None:
    old = strictest([HOUSE, Policy(name="x", vip_min_age=25)])
    assert reason(may_grant(replace(FREE, age=age), replace(SPINS, vip=True), old, NOON)) == why
    assert isinstance(may_grant(replace(FREE, age=20), SPINS, old, NOON), Allowed)


def test_an_account_of_unknown_age_is_too_young_for_a_bonus() -> None:
    late = strictest([HOUSE, Policy(name="x", bonus_after=timedelta(days=30))])
    assert reason(may_grant(replace(FREE, registered_at=None), SPINS, late, NOON)) == Reason.FACTS_UNREADABLE


def test_bonuses_are_counted_where_a_policy_bounds_them() -> None:
    assert not HOUSE.counts_bonuses
    assert strictest([HOUSE, Policy(name="x", bonus_ceiling={"EUR": 1})]).counts_bonuses


def test_who_wants_no_part_of_loyalty_gets_no_points_and_may_get_money() -> None:
    out = replace(FREE, opted_out=True)
    refused = may_grant(out, GrantFacts(kind="points", journey_product="casino", value=0), HOUSE, NOON)
    assert isinstance(refused, Refusal)
    assert (refused.reason, refused.rule) == (Reason.OPTED_OUT, "loyalty-opt-out")
    assert isinstance(may_grant(out, SPINS, HOUSE, NOON), Allowed)


def test_of_two_ceilings_each_currency_keeps_the_lower_and_one_that_either_leaves_out_nothing() -> None:
    euro, both = Policy(name="a", bonus_ceiling={"EUR": 5}), Policy(name="b", bonus_ceiling={"EUR": 9, "USD": 7})
    assert strictest([euro, both]).bonus_ceiling == {"EUR": 5, "USD": 0}
    assert strictest([euro, Policy(name="c")]).bonus_ceiling == {"EUR": 5}


def test_of_two_pauses_for_one_strength_the_longer_holds() -> None:
    one, other = Policy(name="a", harm_pauses={"medium": DAY}), Policy(name="b", harm_pauses={"medium": 3 * DAY})
    assert strictest([one, other]).harm_pauses == {"medium": 3 * DAY}


def test_nothing_is_chosen_by_what_is_known_of_who_did_not_agree_to_that() -> None:
    agreed = replace(FREE, consents={**(FREE.consents or {}), "profiling": True})
    assert is_profiled(agreed, HOUSE, NOON)
    for other in (None, FREE, replace(agreed, harm="weak"), replace(agreed, limits_until=(NOON + DAY,))):
        assert not is_profiled(other, HOUSE, NOON)
