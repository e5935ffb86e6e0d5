"""What of the gate only other parts of the engine ask for: each answer, told here in a sentence."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from tests.support.gate import DAY, FREE, HOUSE, NOON, SPINS, block, message, reason
from workflows import badge, cash, item, policy
from workflows.errors import DesignError
from workflows.gate.channel_plan import ChannelPlan
from workflows.gate.decide import held, may_grant, may_send, may_show
from workflows.gate.decision import Allowed, Wait
from workflows.gate.facts import GrantFacts, RegisterAnswer
from workflows.gate.policy import Policy, strictest
from workflows.gate.reason_sentences import told_of
from workflows.gate.reasons import Reason
from workflows.gate.register_check import as_if_unlisted
from workflows.gate.rule_catalogue import LegalSource


def test_what_lies_in_an_inbox_is_shown_while_the_player_may_see_it() -> None:
    shown = message("in_app", by=NOON)
    assert may_show(FREE, shown, HOUSE, NOON)
    assert not may_show(FREE, shown, HOUSE, NOON + timedelta(seconds=1))
    assert not may_show(None, shown, HOUSE, NOON)
    assert not may_show(block("self_exclusion"), shown, HOUSE, NOON)
    assert not may_show(replace(FREE, consents={}), shown, HOUSE, NOON)


def test_a_held_journey_waits_from_now_on() -> None:
    assert held(NOON) == Wait(NOON, "hold", "Somebody holds the journey; its runs go on when it is resumed.")


def test_the_gate_takes_no_naive_moment() -> None:
    for asked in (may_send, may_show):
        with pytest.raises(ValueError, match="aware"):
            asked(FREE, message(), HOUSE, NOON.replace(tzinfo=None))


def test_where_no_licence_says_whose_law_holds_a_known_place_does() -> None:
    strict = Policy(unknown_jurisdiction=False)
    assert reason(may_send(FREE, message(), strict, NOON)) == Reason.UNKNOWN_JURISDICTION
    assert isinstance(may_send(replace(FREE, jurisdiction="UA"), message(), strict, NOON), Allowed)


def test_a_message_steps_back_only_where_the_day_has_no_room() -> None:
    two = strictest([HOUSE]).model_copy(update={"per_day": 2})
    assert isinstance(may_send(replace(FREE, ahead=1), message(), two, NOON), Allowed)
    stepped_back = may_send(replace(FREE, ahead=2), message(), two, NOON)
    assert isinstance(stepped_back, Wait)
    assert (stepped_back.reason, stepped_back.until) == (Reason.OUTRANKED, NOON + timedelta(minutes=15))
    asked = replace(message(), asked_at=NOON - timedelta(hours=11, minutes=50))
    assert reason(may_send(replace(FREE, ahead=2), asked, two, NOON)) == Reason.TOO_LATE


def test_a_channel_whose_turn_comes_later_is_left_to_it() -> None:
    plan = ChannelPlan(["email", "sms"], [], "email")
    for channel in plan.channels():
        if not plan.has_turn(channel):
            plan.leave(channel)
    assert plan.left == ["sms"]
    assert plan.next_turn(["email"], only_fresh=True) == "sms"
    assert plan.next_turn(["sms"], only_fresh=True) is None
    assert plan.next_turn(["sms"], only_fresh=False) == "sms"


def test_registers_that_nobody_asks_are_taken_to_list_nobody() -> None:
    asking = Policy(registers={"spelpaus": DAY})
    unasked = replace(FREE, registers={})
    assert as_if_unlisted(None, asking, NOON) is None
    assert as_if_unlisted(unasked, HOUSE, NOON) is unasked
    told = as_if_unlisted(unasked, asking, NOON)
    assert told is not None
    assert told.registers == {"spelpaus": RegisterAnswer(listed=False, at=NOON)}


def test_a_vip_old_enough_may_have_what_the_law_asks_an_age_for() -> None:
    vip = replace(SPINS, vip=True)
    grown = replace(FREE, age=25)
    assert isinstance(may_grant(grown, vip, Policy(vip_min_age=25), NOON), Allowed)
    assert reason(may_grant(replace(FREE, age=24), vip, Policy(vip_min_age=25), NOON)) == Reason.TOO_YOUNG


def test_what_a_shop_sells_is_the_players_due() -> None:
    assert GrantFacts.of_item(item("money", gives=cash(500), price=5), None).earned
    assert GrantFacts.of_item(item("medal", gives=badge("medal"), price=5), None).earned


def test_an_unknown_reason_has_no_sentence_and_a_refused_product_has_its_own() -> None:
    assert told_of("nobody-knows", "email", necessary=False) is None
    refused = told_of(Reason.NO_CONSENT, "email", necessary=False, product_refused=True)
    assert refused is not None
    assert "kind of gambling" in refused["en"]


def test_a_marker_that_nobody_derives_is_refused_where_it_is_written() -> None:
    with pytest.raises(DesignError, match="no marker is called"):
        policy("acme", since=date(2026, 1, 1), harm_markers={"bad_luck"})


def test_a_source_says_its_section_where_it_has_one() -> None:
    assert str(LegalSource("a law", "§ 1", "x.example")) == "a law, § 1 (x.example)"
    assert str(LegalSource("a law", "", "x.example")) == "a law (x.example)"
