"""Other systems' messages as typed events, without a server: total and exact, and Segment's in its own words."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.integrations.fasttrack.round_assembly import RoundPart
from api.integrations.outcomes import Ignored, Mapped, MessageRefused, to_minor
from api.integrations.segment.to_events import EVENTS
from api.integrations.vocabulary import FAILURES
from tests.support.examples import examples
from tests.support.integration_messages import IDENTIFY, NOON, READERS, TRACK, facts_of, faults_of, track
from workflows.events import (
    CATALOGUE,
    BigWin,
    DepositApproved,
    DepositFailed,
    PlayerMerged,
    PlayerRegistered,
    ProfileUpdated,
    SessionLogin,
)
from workflows.field_types import MAX_INTEGER
from workflows.minor_units import minor_units

JUNK: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(10**400), max_value=10**400)
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.sampled_from([Decimal("1e999999"), Decimal("-1e-999999"), "\x00", "x" * 2_000, "", "1e5", "٣", "\ud800"])
    | st.text(max_size=300),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=20), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def spoiled(draw: st.DrawFn, usual: dict[str, Any]) -> Any:
    """A message in order, with some of it replaced by anything."""
    spoilt = dict(usual)
    for name in draw(
        st.lists(st.sampled_from([*usual, "event", "skip_publishing", "user_details"]), max_size=3, unique=True)
    ):
        inner = spoilt.get(name)
        if isinstance(inner, dict) and draw(st.booleans()):
            keys = st.sampled_from([*inner, "stake", "currency", "email", "createdAt", "address", "category"])
            spoilt[name] = {**inner, draw(keys): draw(JUNK)}
        elif isinstance(inner, list) and draw(st.booleans()):
            keys = st.sampled_from(["type", "opted_in", "active", "note"])
            spoilt[name] = [{**item, draw(keys): draw(JUNK)} for item in inner]
        else:
            spoilt[name] = draw(JUNK)
    return spoilt


@pytest.mark.parametrize("kind", READERS)
def test_whatever_is_sent_there_is_an_event_a_reason_or_a_fault(kind: str) -> None:
    reader, usual = READERS[kind]

    @settings(max_examples=examples(50))
    @given(spoiled(usual) | JUNK)
    def told(message: Any) -> None:
        outcome = reader(message)
        if isinstance(outcome, Ignored):
            assert outcome.detail.endswith(".")
            return
        faults = list(outcome.faults) if isinstance(outcome, MessageRefused) else []
        for fact in outcome.facts if isinstance(outcome, Mapped) else ():
            read = fact.read_event("acme", NOON)
            if isinstance(read, tuple):
                # What is kept is kept as JSON in a database that has no NUL.
                assert "\\u0000" not in json.dumps(read[1].to_wire(), allow_nan=False)
            else:
                faults += read
        for fault in faults:
            assert fault["pointer"] == "" or fault["pointer"].startswith("/")
            assert fault["detail"]

    told()


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_every_name_known_leads_to_a_type_of_the_catalogue(name: str) -> None:
    known = EVENTS[name]
    event = CATALOGUE[f"igaming.{known.type}.v1"]
    assert not event.derived
    assert set(known.said) <= set(event.model_fields)


@given(st.sampled_from(sorted(cls.type for cls in CATALOGUE.values() if not cls.derived and cls is not RoundPart)))
def test_an_event_named_by_its_own_type_says_what_a_native_one_says(kind: str) -> None:
    event = CATALOGUE[f"igaming.{kind}.v1"]
    if event in (PlayerRegistered, PlayerMerged):
        return  # The one is an identify; the other must be about one of its own accounts.
    [told] = facts_of(track(kind, **event.example_data))
    assert told.to_wire()["data"] == event.example().to_wire()["data"]
    assert (told.event_id, told.event_source) == ("m-1", "/segment")


def test_a_name_is_read_without_case_and_marks() -> None:
    spellings = ["Deposit Approved", "deposit_approved", "DEPOSIT-APPROVED", " deposit  approved", "Order Completed"]
    for name in [*spellings, "payment.deposit_approved", "igaming.payment.deposit_approved.v1"]:
        [event] = facts_of(track(name, order_id="pay-1", revenue=Decimal("19.99"), currency="eur"))
        assert isinstance(event, DepositApproved)
        assert (event.payment_id, event.amount_minor, event.currency) == ("pay-1", 1999, "EUR")


def test_a_name_nobody_knows_is_ignored_and_a_wrong_configuration_is_said() -> None:
    ignored = track("Video Played")
    assert isinstance(ignored, Ignored)
    assert ignored.reason == "unknown_event"
    assert faults_of(track("Wrong")) == {"/event"}
    assert faults_of(track("derived.loss_streak", rounds=3)) == {"/event"}


@pytest.mark.parametrize(
    ("properties", "pointer"),
    [
        ({"order_id": "x", "revenue": 5}, "/properties/currency"),
        ({"order_id": "x", "revenue": 5, "currency": "BTC"}, "/properties/currency"),
        ({"order_id": "x", "revenue": Decimal("5.001"), "currency": "EUR"}, "/properties/revenue"),
        ({"order_id": "x", "revenue": Decimal("5.5"), "currency": "JPY"}, "/properties/revenue"),
        ({"order_id": "x", "revenue": -5, "currency": "EUR"}, "/properties/revenue"),
        ({"order_id": "x", "total": "much", "currency": "EUR"}, "/properties/total"),
        ({"order_id": "x" * 65, "revenue": 5, "currency": "EUR"}, "/properties/order_id"),
        ({"orderId": "nul\x00", "revenue": 5, "currency": "EUR"}, "/properties/orderId"),
        ({"revenue": 5, "currency": "EUR"}, "/properties/payment_id"),
        ({"order_id": "x"}, "/properties/amount_minor"),
    ],
)
def test_a_fault_points_at_the_senders_own_property(properties: dict[str, Any], pointer: str) -> None:
    assert pointer in faults_of(track("Deposit Approved", **properties))


def test_a_nul_is_a_fault_where_the_catalogue_itself_would_take_it() -> None:
    assert faults_of(track("reward.offered", grant_id="g-1", step_id="grant\x00")) == {"/properties/step_id"}


def test_a_sign_up_takes_what_is_known_from_traits_and_the_device() -> None:
    [event] = facts_of(track("Signed Up", email="anna@example.com", signup_code="SPRING"))
    assert isinstance(event, PlayerRegistered)
    assert (event.first_name, event.email, event.signup_code) == ("Anna", "anna@example.com", "SPRING")
    assert (event.language, event.timezone) == ("uk-UA", "Europe/Kyiv")


def test_a_registration_is_one_fact_however_it_is_told() -> None:
    [signed_up] = facts_of(track("Signed Up"))
    registered, updated = facts_of(READERS["identify"][0](IDENTIFY))
    assert signed_up.event_id == registered.event_id == "registered:p-1"
    assert registered.occurred_at == datetime(2026, 1, 15, 11, tzinfo=UTC)
    assert isinstance(updated, ProfileUpdated)
    assert updated.event_id == "m-1"
    assert updated.changed == {"first_name": "Anna", "birth_date": "1990-05-17"}


def test_a_trait_that_is_said_to_be_gone_is_erased() -> None:
    [event] = facts_of(READERS["identify"][0](IDENTIFY | {"traits": {"phone": None, "timezone": None, "plan": "x"}}))
    assert isinstance(event, ProfileUpdated)
    assert event.changed == {"phone": None}


def test_a_trait_of_the_wrong_kind_costs_the_whole_message() -> None:
    traits = {"email": ["anna@example.com"], "language": "!", "birthday": "soon"}
    assert faults_of(READERS["identify"][0](IDENTIFY | {"traits": traits})) == {"/traits/birthday"}
    del traits["birthday"]
    assert faults_of(READERS["identify"][0](IDENTIFY | {"traits": traits})) == {"/traits/email", "/traits/language"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"type": "page"}, "unused_call"),
        ({"type": "alias"}, "unused_call"),
        ({"userId": None, "anonymousId": "a-1"}, "anonymous"),
        ({"type": "identify", "traits": {"plan": "gold"}}, "no_known_trait"),
    ],
)
def test_what_tells_nothing_of_a_player_is_ignored_with_a_reason(changes: dict[str, Any], reason: str) -> None:
    outcome = READERS["track"][0](TRACK | changes)
    assert isinstance(outcome, Ignored)
    assert outcome.reason == reason


@pytest.mark.parametrize(
    ("timestamp", "sent_at", "occurred_at"),
    [
        ("2026-01-15T10:00:00.500Z", None, datetime(2026, 1, 15, 10, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-01-15T10:00:00+02:00", None, datetime(2026, 1, 15, 8, tzinfo=UTC)),
        ("2026-01-15T10:00:00", None, datetime(2026, 1, 15, 10, tzinfo=UTC)),
        # An hour ahead: what is sent now happened when its distance to now says.
        ("2026-01-15T12:59:00Z", "2026-01-15T13:00:00Z", NOON - timedelta(minutes=1)),
        # An hour behind, or an hour late: nobody can tell, so it is believed.
        ("2026-01-15T10:59:00Z", "2026-01-15T11:00:00Z", NOON - timedelta(minutes=61)),
        (None, None, NOON),
    ],
)
def test_time_is_the_events_own_unless_the_senders_clock_runs_ahead(
    timestamp: str | None, sent_at: str | None, occurred_at: datetime
) -> None:
    message = TRACK | {"event": "Logged In", "properties": {}, "timestamp": timestamp, "sentAt": sent_at}
    [event] = facts_of(READERS["track"][0](message))
    assert isinstance(event, SessionLogin)
    assert event.occurred_at == occurred_at


@given(st.integers(0, MAX_INTEGER), st.sampled_from(["JPY", "EUR", "KWD", "CLF"]))
def test_an_amount_written_in_json_becomes_minor_units_exactly(minor: int, currency: str) -> None:
    digits = minor_units(currency)
    text = str(Decimal(minor).scaleb(-digits))
    assert to_minor(json.loads(text, parse_float=Decimal), currency) == minor
    assert to_minor(f"{Decimal(minor).scaleb(-digits):f}", currency) == minor


@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=5))
def test_the_noise_of_a_senders_floats_is_no_money(cents: list[int]) -> None:
    noisy = json.loads(json.dumps(sum(cent / 100 for cent in cents)), parse_float=Decimal)
    assert to_minor(noisy, "EUR") == sum(cents)


@given(st.integers(0, 10**12), st.integers(1, 999))
def test_a_part_of_a_minor_unit_is_no_money(minor: int, part: int) -> None:
    assert to_minor(Decimal(minor * 1_000 + part).scaleb(-5), "EUR") is None


@pytest.mark.parametrize(
    "value",
    [
        True,
        None,
        "",
        "1e3",
        "-1",
        "1.",
        ".5",
        "٣",
        [5],
        -1,
        Decimal(-5),
        Decimal("NaN"),
        Decimal("1e999999"),
        Decimal("1e-999999"),
        10**500,
    ],
)
def test_what_is_not_an_amount_is_no_money(value: object) -> None:
    assert to_minor(value, "EUR") is None


@pytest.mark.parametrize("word", sorted(FAILURES))
def test_a_reason_of_failure_is_read_in_the_senders_words(word: str) -> None:
    [event] = facts_of(track("Deposit Failed", order_id="x", amount=5, currency="EUR", reason=word.title()))
    assert isinstance(event, DepositFailed)
    assert event.failure == FAILURES[word]


def test_a_deposit_that_failed_for_no_known_reason_was_declined() -> None:
    for reason in ({}, {"reason": "moon phase"}, {"failure": 7}):
        [event] = facts_of(track("Deposit Failed", order_id="x", amount=5, currency="EUR", **reason))
        assert isinstance(event, DepositFailed)
        assert event.failure == "declined"


def test_a_big_win_needs_no_words_of_its_own() -> None:
    [event] = facts_of(track("Big Win", round_id="r", game_id="g", win=Decimal("500.00"), currency="EUR"))
    assert isinstance(event, BigWin)
    assert event.win_minor == 50000
