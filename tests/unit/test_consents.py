"""Consent by channel and product: the newest word counts, a No closes what it names, and in any order."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.gate import NOON, message, reason
from workflows import ConsentChanged, Event, MessageReceived, MessageStatus, PlayerRegistered, ProfileUpdated
from workflows.events import parse_event
from workflows.field_types import Product
from workflows.gate.decide import may_send
from workflows.gate.facts import facts_of
from workflows.gate.policy import Policy
from workflows.gate.policy_book import PolicyBook
from workflows.gate.reasons import Reason
from workflows.player_state.consents import consent_key, is_closed, said
from workflows.player_state.ordering import Word
from workflows.player_state.state import PlayerState
from workflows.player_state.stop_words import is_stop_word

HOUSE, BY_PRODUCT = Policy(), Policy(product_consent=frozenset({"email"}))
#: (product, opted in, minutes after noon)
Said = tuple[Product | None, bool, int]
WORDS = st.lists(
    st.tuples(st.sampled_from(["casino", "bingo", None]), st.booleans(), st.integers(0, 9)), min_size=1, max_size=6
)


def later(minutes: int) -> datetime:
    return NOON + timedelta(minutes=minutes)


def told(words: Sequence[Said], *, live: bool = False, state: PlayerState | None = None) -> PlayerState:
    state = state or PlayerState("acme", "p-1", status="active")
    for product, opted_in, minutes in words:
        word = Word(later(minutes), live=live)
        state.set_consent("email", word, opted_in=opted_in, product=product)
    return state


def answer(state: PlayerState, product: Product, policy: Policy = HOUSE) -> Reason | None:
    state.facts["timezone"] = "UTC"
    facts = facts_of(state, addresses=["email", "sms"], contacts=(), now=NOON)
    return reason(may_send(facts, message("email", product=product), policy, NOON))


def open_for(state: PlayerState, policy: Policy) -> list[bool]:
    return [answer(state, product, policy) is None for product in ("casino", "bingo")]


@pytest.mark.parametrize(
    ("words", "house", "law"),
    [
        ([(None, True, 0)], [True, True], [False, False]),
        ([("casino", True, 0)], [True, False], [True, False]),
        ([(None, True, 0), ("casino", False, 1)], [False, True], [False, False]),
        ([("casino", False, 1), (None, True, 2)], [False, True], [False, False]),
        ([("casino", True, 0), (None, False, 1)], [False, False], [False, False]),
        ([(None, False, 1), ("casino", True, 2)], [True, False], [True, False]),
        ([("casino", True, 0), (None, False, 1), (None, True, 2)], [True, True], [False, False]),
        ([("casino", True, 1), (None, False, 1)], [False, False], [False, False]),
        ([("casino", True, 0), ("bingo", True, 0), ("bingo", False, 1)], [True, False], [True, False]),
        ([("casino", False, 0), ("casino", True, 1), (None, False, 1), (None, True, 2)], [True, True], [False, False]),
    ],
)
def test_what_is_open_after_these_words_in_any_order(words: list[Said], house: list[bool], law: list[bool]) -> None:
    for order in permutations(words):
        state = told(order)
        assert open_for(state, HOUSE) == house
        assert open_for(state, BY_PRODUCT) == law


@given(WORDS, st.randoms(use_true_random=False))
@settings(max_examples=examples(200))
def test_history_means_the_same_in_any_order(words: list[Said], chance: Any) -> None:
    shuffled = list(words)
    chance.shuffle(shuffled)
    for policy in (HOUSE, BY_PRODUCT):
        assert open_for(told(words), policy) == open_for(told(shuffled), policy)


@given(WORDS, st.booleans())
@settings(max_examples=examples(200))
def test_a_refusal_of_the_channel_closes_it_whenever_it_comes(words: list[Said], everything: bool) -> None:  # noqa: FBT001 - drawn
    state = told(words, live=True)
    state.set_consent("email", Word(later(-5), live=True), opted_in=False, product=None if everything else "casino")
    assert answer(state, "casino") == Reason.NO_CONSENT
    if everything:
        assert is_closed(state.consents, "email")
        assert open_for(state, HOUSE) == [False, False]


@given(WORDS)
@settings(max_examples=examples(100))
def test_consents_survive_being_stored(words: list[Said]) -> None:
    state = told(words)
    again = PlayerState.from_json("acme", "p-1", state.to_json())
    assert (again.consents, again.consent_notes) == (state.consents, state.consent_notes)


def test_a_row_from_before_products_means_what_it_meant() -> None:
    stored = {"status": "active", "consents": {"email": [True, NOON.isoformat()], "sms": [False, NOON.isoformat()]}}
    state = PlayerState.from_json("acme", "p-1", stored)
    assert open_for(state, HOUSE) == [True, True]
    assert open_for(state, BY_PRODUCT) == [False, False]
    assert answer(told([("casino", True, -9)], state=state), "casino", BY_PRODUCT) is None


def happens(state: PlayerState, kind: type[Event], **data: Any) -> PlayerState:
    event = parse_event(kind.wire_type, data, event_id="e-1", event_source="/test", occurred_at=NOON)
    state.learn(event, Word(NOON, live=True))
    return state


def test_a_registration_says_for_what_its_boxes_were() -> None:
    boxes = {"opted_in": ["email", "sms"], "opted_in_for": ["bingo"], "country": "GB"}
    state = happens(PlayerState("acme", "p-1"), PlayerRegistered, **boxes)
    assert sorted(state.consents) == ["email/bingo", "sms/bingo"]
    assert state.consent_notes["email/bingo"] == ("registration", "", "GB")
    old = happens(PlayerState("acme", "p-2"), PlayerRegistered, opted_in=["email"])
    assert sorted(old.consents) == ["email"]


def test_a_word_is_kept_with_its_source_its_text_and_its_place() -> None:
    state = happens(PlayerState("acme", "p-1"), ProfileUpdated, changed={"jurisdiction": "CA-ON"})
    said_there = {"source": "preference_centre", "text_version": "2026-01", "product": "sport"}
    happens(state, ConsentChanged, channel="email", opted_in=True, **said_there)
    assert state.consent_notes == {"email/betting": ("preference_centre", "2026-01", "CA-ON")}


@pytest.mark.parametrize("given_in", [None, "CA", "CA-QC", "US"])
def test_in_ontario_a_consent_from_elsewhere_does_not_count(given_in: str | None) -> None:
    state = PlayerState("acme", "p-1", status="active")
    if given_in is not None:
        state.facts["jurisdiction"] = given_in
    state.set_consent("email", Word(NOON, live=True), opted_in=True, product="casino", source=("form", "1"))
    state.facts["jurisdiction"] = "CA-ON"
    ontario = Policy(consent_given_here=True)
    assert PolicyBook().at("acme", "CA-ON", NOON).consent_given_here
    assert answer(state, "casino", ontario) == Reason.CONSENT_ELSEWHERE
    state.set_consent("email", Word(later(1), live=True), opted_in=True, product="casino", source=("form", "1"))
    assert answer(state, "casino", ontario) is None


def test_an_objection_to_profiling_ends_marketing_everywhere() -> None:
    state = told([(None, True, 0)])
    state.set_consent("profiling", Word(NOON, live=True), opted_in=False)
    gdpr = PolicyBook().at("acme", "FR", NOON)
    assert gdpr.profiling_objection
    assert answer(state, "casino", gdpr) == Reason.PROFILING
    assert answer(state, "casino", HOUSE) == Reason.PROFILING
    state.set_consent("profiling", Word(later(1), live=True), opted_in=True)
    assert answer(state, "casino", gdpr) is None


@pytest.mark.parametrize(
    ("text", "stops"),
    [
        ("STOP", True),
        ("stop.", True),
        ("  Stop!  ", True),
        ("Opt-out", True),
        ("СТОП", True),
        ("Відписатися", True),
        ("Please do not stop the bonuses", False),
        ("stopwatch", False),
        ("", False),
        (None, False),
    ],
)
def test_a_stop_word_alone_withdraws_and_a_sentence_with_it_does_not(text: str | None, stops: bool) -> None:  # noqa: FBT001 - drawn from the table
    assert is_stop_word(text) is stops
    state = told([("casino", True, 0), (None, True, 0)])
    happens(state, MessageReceived, channel="email", text=text)
    assert is_closed(state.consents, "email") is stops
    if stops:
        assert state.consent_notes["email"][0] == "stop_word"


@pytest.mark.parametrize("status", ["complained", "unsubscribed"])
def test_a_complaint_closes_every_product_on_the_channel(status: str) -> None:
    state = told([("casino", True, 0), ("bingo", True, 0)])
    happens(state, MessageStatus, message_id="m-1", channel="email", status=status)
    assert open_for(state, HOUSE) == [False, False]
    assert said({name: opted for name, (opted, _) in state.consents.items()}, "email") is False
    assert consent_key("email", "casino") not in state.consents
