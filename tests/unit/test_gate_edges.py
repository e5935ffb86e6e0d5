"""Edges of the gate that a small change of its code would move: each test here answers a mutant nothing else found."""

import json
from dataclasses import asdict, replace
from datetime import date, time, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.gate import DAY, FREE, HOUSE, NOON, SPINS, block, message, reason
from workflows import ExclusionSet, deposit_match, free_spins, points
from workflows.events import DepositApproved, SessionEnded, SessionLogin, parse_event
from workflows.gate.bonus_fit import BonusFit
from workflows.gate.channel_plan import ChannelPlan
from workflows.gate.channel_rates import ChannelRates, HouseRate, chances
from workflows.gate.comparison import is_held_out
from workflows.gate.decide import may_grant, may_send, may_show, may_target
from workflows.gate.decision import Allowed, Refusal, Wait
from workflows.gate.exclusion_lengths import outside_lengths
from workflows.gate.facts import GrantFacts, facts_of, had_bonus, holdout_place
from workflows.gate.policy import Policy, strictest
from workflows.gate.policy_book import PolicyBook
from workflows.gate.prize_check import first_refusal, prize_facts
from workflows.gate.quiet_hours import Night
from workflows.gate.reasons import Reason
from workflows.gate.seen import seen_of_player
from workflows.loyalty.wheels import Wheel
from workflows.player_state.exclusion_blocks import Block, TimedStatus
from workflows.player_state.state import PlayerState

CENT: dict[str, int] = {"EUR": 500, "USD": 700}


def test_a_fit_says_its_share_and_its_floor() -> None:
    assert str(BonusFit(percent=10)) == "10 %"
    assert str(BonusFit(percent=10, floor=CENT)) == "10 % or 500 EUR, 700 USD"


def test_whoever_paid_in_nothing_fits_nothing() -> None:
    assert BonusFit(percent=100).most(0, "EUR") == BonusFit(percent=100).most(-5, "EUR") == 0
    assert BonusFit(percent=100).most(1, "EUR") == 1


def test_a_channel_that_is_left_to_another_attempt_is_used() -> None:
    plan = ChannelPlan(via=["email"], fallback=["sms"])
    plan.leave("email")
    assert (plan.used, plan.left) == ({"email"}, ["email"])


def test_a_channel_without_a_history_counts_as_nothing_sent() -> None:
    rates = ChannelRates(rates={"email": HouseRate(mean=0.2, spread=0.1)})
    nothing: dict[Any, tuple[int, float]] = {"email": (0, 0.0), "sms": (0, 0.0)}
    assert chances(["email", "sms"], {"email": (0, 0.0)}, rates, 0.05) == chances(
        ["email", "sms"], nothing, rates, 0.05
    )


@pytest.mark.parametrize("share", [1, 40])
def test_a_holdout_is_the_places_below_its_share_where_the_player_is(share: int) -> None:
    book = PolicyBook(own=(Policy(name="ours", since=date(2020, 1, 1), jurisdiction="GB", holdout=share),))
    names = [f"p{number}" for number in range(2_000)]
    by_place = {holdout_place("acme", name): name for name in names}
    assert is_held_out("acme", [by_place[share - 1]], "GB", book, NOON)
    assert not is_held_out("acme", [by_place[share]], "GB", book, NOON)
    assert not is_held_out("acme", [by_place[0]], "SE", book, NOON), "the holdout of another country"
    assert not is_held_out("acme", [by_place[share - 1]], "GB", book, NOON.replace(year=2019))


def test_where_a_consent_must_have_been_given_is_asked_by_either_rule() -> None:
    elsewhere = replace(FREE, jurisdiction="GB", consent_places=dict.fromkeys(FREE.consents or {}, "SE"))
    for policy in (Policy(consent_given_here=True), Policy(consent_given_in=frozenset({"GB"}))):
        assert reason(may_send(elsewhere, message(), policy, NOON)) is Reason.CONSENT_ELSEWHERE


def test_a_consent_to_the_channel_was_given_where_that_was_said() -> None:
    facts = replace(FREE, jurisdiction="GB", consents={"email": True}, consent_places={"email": "GB"})
    assert isinstance(may_send(facts, message(), Policy(consent_given_here=True), NOON), Allowed)


def test_a_time_out_that_is_too_long_is_told_what_to_tell() -> None:
    given = {"kind": "time_out", "scope": "brand", "until": None}
    event = parse_event(ExclusionSet.wire_type, given, event_id="e", event_source="/t", occurred_at=NOON)
    assert isinstance(event, ExclusionSet)
    assert outside_lengths(event, Policy(time_out_most=42 * DAY)) == (
        "It holds as it was told. A time-out lasts 42 days at most where the player is; "
        "tell a self_exclusion where one is meant."
    )


class TestPrizes:
    WHEEL: Any = SimpleNamespace(product="casino", prizes=[free_spins(5), deposit_match(50, cap=1_000)])

    def test_a_spin_itself_is_worth_nothing_and_each_prize_what_it_is(self) -> None:
        wheel: Wheel = self.WHEEL
        spin, *prizes = prize_facts(wheel)
        assert spin == GrantFacts(kind="mini_game", journey_product="casino", value=0)
        assert prizes == [GrantFacts.of(prize, "casino") for prize in wheel.prizes]

    def test_what_is_refused_first_is_told_and_else_the_last(self) -> None:
        asked = [GrantFacts(kind=kind) for kind in ("badge", "cash", "points", "piece")]
        kind, decision = first_refusal(FREE, asked, Policy(), NOON)
        assert (kind, isinstance(decision, Allowed)) == ("piece", True)
        kind, decision = first_refusal(FREE, asked, Policy(banned_rewards=frozenset({"cash", "points"})), NOON)
        assert (kind, isinstance(decision, Refusal)) == ("cash", True)


def test_a_night_begins_with_its_first_instant_and_one_without_length_is_none() -> None:
    assert Night(time(9), time(17)).covers(time(9))
    assert not Night(time(9), time(17)).covers(time(17))
    assert not Night(time(22), time(22)).covers(time(23))


def test_where_policies_serve_in_part_together_they_serve_what_all_do() -> None:
    one, other = Policy(jurisdictions=frozenset({"GB", "SE"})), Policy(jurisdictions=frozenset({"GB", "MT"}))
    assert strictest([one, other]).jurisdictions == frozenset({"GB"})


class TestTheBrandsOwnPolicy:
    BOOK = PolicyBook(
        own=(Policy(name="ours", since=date(2020, 1, 1), brand="acme", min_age=40, exclusions_lapse=False),)
    )

    def test_it_holds_for_somebody_nobody_knows(self) -> None:
        assert self.BOOK.of("acme", None, NOON).min_age == 40
        assert self.BOOK.of("another", None, NOON).min_age != 40

    def test_it_holds_where_an_exclusion_was_set_for_its_own_players_alone(self) -> None:
        lapse = Policy(name="ours", since=date(2020, 1, 1), brand="acme", jurisdiction="SE", exclusions_lapse=False)
        facts = replace(FREE, jurisdiction="UA", excluded_in=("SE",))
        book = PolicyBook(own=(lapse,), shipped=())
        assert not book.of("acme", facts, NOON).exclusions_lapse
        assert book.of("another", facts, NOON).exclusions_lapse


def test_who_has_no_zone_has_no_local_time() -> None:
    assert seen_of_player(replace(FREE, timezone=None), NOON)["local_time"] is None
    assert seen_of_player(replace(FREE, timezone="Mars/Olympus"), NOON)["local_time"] is None


class TestFactsOfARow:
    def known(self) -> PlayerState:
        state = PlayerState("acme", "p-1", status="active")
        state.facts = {
            "timezone": "Europe/Kyiv", "country": "GB", "currency": "EUR", "is_test": True,
            "registered_at": "2025-01-01T00:00:00+00:00",
        }  # fmt: skip
        state.counts = {DepositApproved.type: 3}
        state.last = {DepositApproved.type: NOON - DAY, "session.login": NOON - DAY / 2}
        state.exclusions = [Block("time_out", "brand", NOON - DAY, NOON - 2 * DAY)]
        state.excluded_in = ["GB"]
        state.watch.paused_until = NOON + DAY
        state.limits = {"loss week": NOON}
        return state

    def test_all_that_is_known_arrives(self) -> None:
        facts = facts_of(
            self.known(), addresses=["email"], contacts=(), now=NOON, birth_date=date(1990, 1, 1), had_bonus=True
        )
        assert facts.is_test is True
        assert (facts.deposits, facts.currency, facts.had_bonus, facts.age) == (3, "EUR", True, 36)
        assert facts.activity is not None
        assert sorted(facts.activity) == [NOON - DAY, NOON - DAY / 2]
        assert (facts.excluded_in, facts.paused_until) == (("GB",), (NOON + DAY,))
        assert (facts.registered_at and facts.registered_at.isoformat()) == "2025-01-01T00:00:00+00:00"
        assert (facts.registers, facts.sore, facts.opted_out, facts.net_deposits) == ({}, "none", False, 0)
        assert json.dumps(asdict(facts), default=str)

    def test_of_a_row_that_says_nothing_only_harm_and_the_test_mark_are_known(self) -> None:
        facts = facts_of(PlayerState("acme", "p-1"), addresses=(), contacts=(), now=NOON)
        assert (facts.deposits, facts.is_test, facts.harm) == (0, False, "none")
        assert (facts.currency, facts.net_deposits, facts.had_bonus) == (None, None, None)
        assert facts.paused_until == ()

    def test_a_register_s_answer_arrives(self) -> None:
        answers: Any = {"spelpaus": object()}
        facts = facts_of(self.known(), addresses=(), contacts=(), now=NOON, registers=answers)
        assert facts.registers == answers

    def test_an_exclusion_ends_with_its_very_instant(self) -> None:
        state = self.known()
        state.exclusions = [Block("operator", "brand", NOON, NOON - DAY)]
        assert facts_of(state, addresses=(), contacts=(), now=NOON).ended_exclusions == [NOON]

    def test_a_status_with_an_end_adds_its_block_and_one_without_adds_none(self) -> None:
        state = self.known()
        state.status, state.exclusions = "self_excluded", []
        assert facts_of(state, addresses=(), contacts=(), now=NOON).exclusions == ()
        state.timed_status = TimedStatus("self_excluded", NOON + DAY, NOON)
        (block,) = facts_of(state, addresses=(), contacts=(), now=NOON).exclusions or ()
        assert block.until == NOON + DAY

    @pytest.mark.parametrize(("status", "heard"), [("active", "merged"), ("closed", "closed")])
    def test_an_account_that_lives_on_as_another_is_merged_unless_it_has_ended(self, status: str, heard: str) -> None:
        state = self.known()
        assert facts_of(state, addresses=(), contacts=(), now=NOON).status == "active"
        state.status, state.merged_into = status, "p-2"
        assert facts_of(state, addresses=(), contacts=(), now=NOON).status == heard

    def test_a_session_that_ended_as_it_began_is_over(self) -> None:
        state = self.known()
        state.last = {SessionLogin.type: NOON, SessionEnded.type: NOON}
        assert facts_of(state, addresses=(), contacts=(), now=NOON).in_play is False

    def test_who_was_first_heard_of_a_day_after_registering_had_no_bonus_before(self) -> None:
        state = self.known()
        registered = state.registered_at
        assert registered is not None
        assert had_bonus(state, granted_here=False, heard_since=registered + DAY) is False
        assert had_bonus(state, granted_here=False, heard_since=registered + DAY + timedelta(seconds=1)) is None


def test_what_a_shop_sells_is_looked_at_as_what_it_gives() -> None:
    gives: Any = SimpleNamespace(gives=free_spins(5), kind="reward")
    assert GrantFacts.of_item(gives, "betting") == GrantFacts.of(free_spins(5), "betting", earned=True)
    ticket: Any = SimpleNamespace(gives="a ticket", kind="raffle_ticket")
    assert GrantFacts.of_item(ticket, "betting") == GrantFacts(
        kind="raffle_ticket", journey_product="betting", earned=True
    )


class TestWhatADecisionIsMadeOf:
    @pytest.mark.parametrize("policy", [HOUSE, Policy(per_day=7)])
    def test_what_is_allowed_bears_the_policy_it_was_allowed_under(self, policy: Policy) -> None:
        assert may_send(FREE, message(), policy, NOON).policy == policy.version
        assert may_grant(FREE, SPINS, policy, NOON).policy == policy.version

    def test_news_reaches_who_was_excluded_once_that_is_over_by_the_policy(self) -> None:
        over, news = block("self_exclusion", NOON - DAY), message(kind="service")
        assert isinstance(may_send(over, news, HOUSE, NOON), Allowed)
        assert reason(may_send(over, news, Policy(exclusions_lapse=False), NOON)) is Reason.SELF_EXCLUDED

    def test_news_that_lies_in_an_inbox_is_shown_during_a_time_out_and_offers_are_not(self) -> None:
        paused = block("time_out", NOON + DAY)
        assert may_show(paused, message("in_app", kind="service"), HOUSE, NOON)
        assert not may_show(paused, message("in_app"), HOUSE, NOON)
        assert may_show(FREE, message("in_app"), HOUSE, NOON)

    def test_ads_are_for_who_agreed_to_them_for_the_product_and_is_not_protected(self) -> None:
        agreed = replace(FREE, consents={**(FREE.consents or {}), "ads": True, "ads/betting": False})
        assert may_target(agreed, "casino", HOUSE, NOON)
        assert not may_target(agreed, "betting", HOUSE, NOON)
        assert not may_target(replace(agreed, status="self_excluded"), "casino", HOUSE, NOON)
        assert not may_target(FREE, "casino", HOUSE, NOON)
        assert not may_target(None, "casino", HOUSE, NOON)

    def test_who_goes_behind_others_was_asked_whether_they_leave_room(self) -> None:
        allowed = may_send(replace(FREE, ahead=1), message(), Policy(per_day=2), NOON)
        assert isinstance(allowed, Allowed)
        assert "outranked" in allowed.rules

    def test_what_is_earned_is_withheld_from_nobody(self) -> None:
        control = replace(FREE, arm="control")
        assert isinstance(may_grant(control, replace(SPINS, earned=True), HOUSE, NOON), Allowed)
        assert reason(may_grant(control, SPINS, HOUSE, NOON)) is Reason.WITHHELD_CONTROL

    def test_a_naive_moment_is_refused_with_the_reason(self) -> None:
        with pytest.raises(ValueError, match=r"^The gate needs an aware now: a naive one would be") as no:
            may_grant(FREE, SPINS, HOUSE, NOON.replace(tzinfo=None))
        assert str(no.value).endswith("read in the machine's own zone.")

    def test_what_is_never_too_late_goes_its_delay_after_the_morning(self) -> None:
        night, morning = NOON.replace(hour=23), NOON.replace(hour=8) + DAY
        waits = may_send(FREE, message(delay=timedelta(minutes=7)), HOUSE, night)
        assert isinstance(waits, Wait)
        assert waits.until == morning + timedelta(minutes=7)


def test_a_reward_that_says_nothing_of_wagering_has_none() -> None:
    given = GrantFacts.of(points(5))
    assert (given.wager_x, given.wager_basis, given.match_pct, given.wager_factor) == (0, "bonus", 100, 0)
