"""Policies of laws and houses: which of them apply to a player, and what they say together."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.gate import FREE, HOUSE, NOON, SPINS, message
from workflows import Night, policy
from workflows.errors import DesignError
from workflows.gate.bonus_fit import BonusFit
from workflows.gate.decide import may_grant, may_send
from workflows.gate.decision import Allowed
from workflows.gate.policies import SHIPPED
from workflows.gate.policy import HARM_STRENGTHS, NUMBERS, Policy, complete, strictest
from workflows.gate.policy_book import PolicyBook
from workflows.gate.rule_catalogue import RULES
from workflows.journeys import welcome
from workflows.player_state.harm_markers import MARKERS
from workflows.source.journey_loading import load

BOOK = PolicyBook()
NIGHTS = st.frozensets(st.builds(Night, st.sampled_from([time(20), time(22)]), st.sampled_from([time(7), time(8)])))
SPANS = st.sampled_from([timedelta(hours=1), timedelta(days=1), timedelta(days=30)])
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "per_day": st.integers(0, 3),
    "per_week": st.integers(0, 9),
    "channel_per_week": st.dictionaries(st.sampled_from(["sms", "push", "email"]), st.integers(0, 3)),
    "too_late_after": st.dictionaries(st.sampled_from(["marketing", "survey"]), SPANS),
    "nights": NIGHTS,
    "harm_refuses_from": st.sampled_from(HARM_STRENGTHS),
    "harm_fades_after": st.dictionaries(st.sampled_from(["weak", "medium"]), SPANS),
    "harm_markers": st.frozensets(st.sampled_from(sorted(MARKERS))),
    "harm_pauses": st.dictionaries(st.sampled_from(["weak", "medium", "strong"]), SPANS),
    "service_to_excluded": st.booleans(),
    "exclusions_lapse": st.booleans(),
    "cooling_off": SPANS,
    "self_exclusion_least": SPANS,
    "time_out_most": st.none() | SPANS,
    "registers": st.dictionaries(st.sampled_from(["spelpaus", "gamstop"]), SPANS),
    "jurisdictions": st.none() | st.frozensets(st.sampled_from(["GB", "MT", "CA-ON"])),
    "unknown_jurisdiction": st.booleans(),
    "min_age": st.none() | st.integers(18, 25),
    "product_consent": st.frozensets(st.sampled_from(["email", "sms"])),
    "consent_given_here": st.booleans(),
    "consent_given_in": st.none() | st.frozensets(st.sampled_from(["CA-ON", "MT"])),
    "profiling_objection": st.booleans(),
    "offers_at_limit": st.booleans(),
    "bonus_with_open_check": st.booleans(),
    "check_net_deposits": st.dictionaries(st.sampled_from(["GBP", "EUR"]), st.integers(0, 9)),
    "vip_needs": st.frozensets(st.sampled_from(["kyc", "sof", "no_harm"])),
    "vip_min_age": st.none() | st.integers(18, 30),
    "wager_cap": st.none() | st.integers(0, 40),
    "one_product": st.booleans(),
    "first_bonus_only": st.booleans(),
    "welcome_bonus": st.booleans(),
    "bonus_in_play": st.booleans(),
    "banned_rewards": st.frozensets(st.sampled_from(["cash", "cashback"])),
    "bonus_after": st.none() | SPANS,
    "bonus_ceiling": st.dictionaries(st.sampled_from(["GBP", "EUR"]), st.integers(0, 9)),
    "bonus_fit": st.frozensets(st.builds(BonusFit, st.integers(0, 30), st.just({"EUR": 5}) | st.just({}))),
    "bonus_per_day": st.dictionaries(st.sampled_from(["GBP", "EUR"]), st.integers(0, 9)),
    "holdout": st.integers(0, 100),
}
POLICIES = st.builds(
    lambda name, numbers: Policy(name=name, **numbers),
    st.sampled_from(["a", "b", "c"]),
    st.fixed_dictionaries({}, optional=VALUES),
)


def test_every_number_of_a_policy_has_its_strictness_and_its_place_here() -> None:
    assert set(NUMBERS) == set(VALUES) == set(Policy.model_fields) - {"name", "since", "jurisdiction", "brand"}


@given(POLICIES, POLICIES, POLICIES)
@settings(max_examples=examples(300))
def test_neither_order_nor_grouping_nor_repetition_of_policies_matters(one: Policy, two: Policy, three: Policy) -> None:
    assert strictest([one, two]) == strictest([two, one])
    assert strictest([strictest([one, two]), three]) == strictest([one, strictest([two, three])])
    assert strictest([one, one]) == strictest([one]) == one.model_copy()
    assert strictest([one, two]).version == strictest([two, one, two]).version


@given(POLICIES, POLICIES)
@settings(max_examples=examples(300))
def test_a_further_policy_never_opens_the_gate(one: Policy, two: Policy) -> None:
    alone, both = strictest([HOUSE, one]), strictest([HOUSE, one, two])
    asked = (message("sms"), message("email"), message(kind="survey"), message(kind="service"))
    for facts, sent in product((FREE,), asked):
        if isinstance(may_send(facts, sent, both, NOON), Allowed):
            assert isinstance(may_send(facts, sent, alone, NOON), Allowed)
    rich = replace(FREE, currency="EUR", net_deposits=40, bonus_value=1)
    for facts, reward in product((FREE, rich, replace(rich, currency="GBP")), (SPINS, replace(SPINS, value=3))):
        if isinstance(may_grant(facts, reward, both, NOON), Allowed):
            assert isinstance(may_grant(facts, reward, alone, NOON), Allowed)


def test_the_house_says_what_the_gate_did_before_there_were_policies() -> None:
    assert HOUSE.numbers == {
        "per_day": 1,
        "per_week": 4,
        "channel_per_week": {"sms": 2, "push": 3, "whatsapp": 2, "telegram": 2, "viber": 2},
        "too_late_after": {"marketing": "PT12H", "survey": "PT12H", "service": "P3D"},
        "nights": ["22:00-08:00 on email, push, sms, telegram, viber, whatsapp"],
        "harm_refuses_from": "strong",
        "harm_fades_after": {"medium": "P90D", "weak": "P30D"},
        "harm_markers": [],
        "harm_pauses": {},
        "service_to_excluded": False,
        "exclusions_lapse": True,
        "cooling_off": "PT0S",
        "self_exclusion_least": "PT0S",
        "time_out_most": None,
        "registers": {},
        "jurisdictions": None,
        "unknown_jurisdiction": True,
        "min_age": None,
        "product_consent": [],
        "consent_given_here": False,
        "consent_given_in": None,
        "profiling_objection": True,
        "offers_at_limit": True,
        "bonus_with_open_check": True,
        "check_net_deposits": {},
        "vip_needs": [],
        "vip_min_age": None,
        "wager_cap": 10,
        "one_product": False,
        "first_bonus_only": False,
        "welcome_bonus": True,
        "bonus_in_play": True,
        "banned_rewards": [],
        "bonus_after": None,
        "bonus_ceiling": {},
        "bonus_fit": [],
        "bonus_per_day": {},
        "holdout": 0,
    }


@pytest.mark.parametrize("where", [None, "UA", "NZ", "CA-QC", "JE"])
def test_where_no_law_is_stricter_the_numbers_are_the_houses(where: str | None) -> None:
    assert BOOK.at("acme", where, NOON).numbers == HOUSE.numbers


@pytest.mark.parametrize(
    ("where", "names"),
    [
        (None, ["house"]),
        ("UA", ["house"]),
        ("GB", ["house", "GB", "GDPR-GB"]),
        ("US", ["house", "US"]),
        ("US-NJ", ["house", "US"]),
        ("CA-ON", ["house", "CA-ON"]),
        ("CA-QC", ["house"]),
        # Any province may be theirs.
        ("CA", ["house", "CA-ON"]),
    ],
)
def test_a_players_jurisdiction_chooses_the_law(where: str | None, names: list[str]) -> None:
    assert [one.name for one in BOOK.applying("acme", where, NOON)] == names


@pytest.mark.parametrize(
    ("moment", "since"),
    [
        ("2023-02-12T00:00:00Z", date(2023, 2, 12)),
        ("2025-04-30T09:59:59Z", date(2025, 2, 28)),
        ("2025-05-01T14:00:00Z", date(2025, 5, 1)),
        ("2026-01-18T09:59:59Z", date(2025, 5, 1)),
        ("2026-01-19T14:00:00Z", date(2026, 1, 19)),
        ("2030-01-01T00:00:00Z", date(2026, 1, 19)),
    ],
)
def test_a_wording_holds_from_its_day_on_and_takes_the_place_of_the_one_before(moment: str, since: date) -> None:
    now = datetime.fromisoformat(moment)
    assert [one.since for one in BOOK.applying("acme", "GB", now) if one.name == "GB"] == [since]
    assert BOOK.at("acme", "GB", now).one_product is (since == date(2026, 1, 19))


@pytest.mark.parametrize("moment", ["2025-04-30T10:00:00Z", "2025-04-30T23:30:00Z", "2025-05-01T13:59:59Z"])
def test_while_its_day_has_begun_somewhere_and_not_everywhere_both_wordings_hold(moment: str) -> None:
    """23:30 UTC is half past midnight on 1 May in London."""
    now = datetime.fromisoformat(moment)
    british = [one.since for one in BOOK.applying("acme", "GB", now) if one.name == "GB"]
    assert british == [date(2025, 2, 28), date(2025, 5, 1)]
    assert BOOK.at("acme", "GB", now).product_consent == {"email", "sms", "phone", "whatsapp", "telegram", "viber"}
    relaxed = PolicyBook(
        own=(policy("mine", since=date(2025, 1, 1), per_day=0), policy("mine", since=date(2025, 5, 1)))
    )
    assert relaxed.at("acme", None, now).per_day == 0
    assert relaxed.at("acme", None, now + timedelta(days=2)).per_day == 1


def test_before_a_law_there_is_the_house_alone() -> None:
    assert [one.name for one in BOOK.applying("acme", "GB", datetime(2018, 5, 24, tzinfo=UTC))] == ["house"]


def test_a_policy_of_a_brand_and_a_law_apply_together_and_the_strictest_number_holds() -> None:
    mine = (
        policy("acme", since=date(2026, 1, 1), brand="acme", per_week=2, wager_cap=30, min_age=21),
        policy("acme-gb", since=date(2026, 1, 1), brand="acme", jurisdiction="GB", min_age=25),
    )
    book = PolicyBook(own=mine)
    found = book.at("acme", "GB", NOON)
    assert (found.per_week, found.wager_cap, found.min_age, found.per_day) == (2, 10, 25, 1)
    origins = book.origins("acme", "GB", NOON)
    assert [one.name for one in origins["min_age"]] == ["acme-gb"]
    assert [one.name for one in origins["wager_cap"]] == ["house", "GB"]
    assert book.at("other", "GB", NOON) == BOOK.at("other", "GB", NOON)
    assert book.at("acme", "MT", NOON).min_age == 21


def test_a_number_that_is_put_together_comes_from_all_who_speak_of_it() -> None:
    assert [one.name for one in BOOK.origins("acme", "US", NOON)["nights"]] == ["house", "US"]


def test_a_decision_bears_the_policies_it_was_made_under() -> None:
    joined = BOOK.at("acme", "GB", NOON)
    assert joined.version.startswith("GB+GDPR-GB+house@")
    assert may_grant(FREE, SPINS, joined, NOON).policy == joined.version


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"wager": 10}, "wager: Extra inputs are not permitted. It knows per_day, per_week"),
        ({"per_day": -1}, "per_day: Input should be greater than or equal to 0"),
        ({"jurisdiction": "England"}, "jurisdiction: String should match pattern"),
        ({"brand": "Acme!"}, "brand: String should match pattern"),
        ({"harm_refuses_from": "never"}, "harm_refuses_from: Input should be 'weak', 'medium' or 'strong'"),
    ],
)
def test_a_policy_nobody_can_mean_is_refused_where_it_is_written(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DesignError, match=sentence):
        policy("mine", since=date(2026, 1, 1), **wrong)


def test_a_deployments_own_policy_cannot_take_the_place_of_a_law() -> None:
    day = date(2030, 1, 1)
    with pytest.raises(DesignError, match="the engine ships one of that name"):
        PolicyBook(own=(policy("GB", since=day, wager_cap=50),))
    with pytest.raises(DesignError, match="there are two of that day"):
        PolicyBook(own=(policy("mine", since=day), policy("mine", since=day, per_day=0)))
    with pytest.raises(DesignError, match="choose another name"):
        policy("GB+house", since=day)


def test_one_name_is_for_one_brand_and_one_jurisdiction() -> None:
    day, later = date(2030, 1, 1), date(2031, 1, 1)
    PolicyBook(own=(policy("mine", since=day, brand="acme"), policy("mine", since=later, brand="acme")))
    for other in ({"brand": "other"}, {"jurisdiction": "GB"}, {}):
        with pytest.raises(DesignError, match="another of that name is for another brand or jurisdiction"):
            PolicyBook(own=(policy("mine", since=day, brand="acme"), policy("mine", since=later, **other)))


def test_policies_stand_beside_the_journeys_and_are_found_there() -> None:
    assert load(("tests.support.designs.lawful",)).policies == (
        policy("lawful", since=date(2026, 1, 1), brand="acme", per_week=3),
        policy("lawful-gb", since=date(2026, 1, 1), jurisdiction="GB", jurisdictions={"GB"}),
    )
    assert load((welcome.__name__,)).policies == ()


def test_every_number_belongs_to_a_rule_that_says_what_it_protects() -> None:
    assert {number for rule in RULES.values() for number in rule.numbers} == set(NUMBERS)
    for name, rule in RULES.items():
        assert rule.id == name
        assert rule.says.endswith(".")
        assert rule.about


@pytest.mark.parametrize("rule", [rule for rule in RULES.values() if rule.needs_lawyer], ids=lambda rule: rule.id)
def test_what_needs_a_lawyer_is_off_in_every_policy_that_is_shipped(rule: Any) -> None:
    assert not rule.is_on(HOUSE)
    assert not any(rule.is_on(complete(one)) for one in SHIPPED)


@pytest.mark.parametrize("name", sorted({one.name for one in SHIPPED}))
def test_a_shipped_law_is_for_its_jurisdiction_alone(name: str) -> None:
    wordings = [one for one in SHIPPED if one.name == name]
    assert {one.jurisdiction for one in wordings} == {name.removeprefix("GDPR-")}
    assert {one.brand for one in wordings} == {None}
    assert len({one.since for one in wordings}) == len(wordings)
