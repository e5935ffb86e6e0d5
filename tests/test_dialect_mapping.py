"""Other systems' messages as typed events, without a server: total, exact, and in whatever order they come."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activities.formats import minor_units
from api.dialects import fasttrack, segment
from api.dialects.mapping import Fact, Ignored, Mapped, Outcome, Refused, to_minor
from api.dialects.rounds import Activity, whole_round
from api.dialects.segment import EVENTS
from api.dialects.words import CATEGORIES, FAILURES, Words
from workflows.events import (
    CATALOGUE,
    BigWin,
    DepositApproved,
    DepositFailed,
    Event,
    PlayerRegistered,
    ProfileUpdated,
    RoundCompleted,
    SessionLogin,
)
from workflows.events.base import MAX_INTEGER

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
WORDS = Words.of({"Order Completed": "payment.deposit_approved", "Wrong": "no.such_type"}, {"Arcade": "slot"})
TRACK: dict[str, Any] = {
    "messageId": "m-1",
    "userId": "p-1",
    "type": "track",
    "event": "Deposit Approved",
    "properties": {"order_id": "pay-1", "revenue": Decimal("50.00"), "currency": "EUR", "payment_method": "card"},
    "timestamp": "2026-01-15T11:59:00.000Z",
    "sentAt": "2026-01-15T12:00:00.000Z",
    "context": {"locale": "uk-UA", "timezone": "Europe/Kyiv", "traits": {"firstName": "Anna"}},
}
IDENTIFY: dict[str, Any] = {
    **{name: TRACK[name] for name in ("messageId", "userId", "timestamp", "context")},
    "type": "identify",
    "traits": {"firstName": "Anna", "birthday": "1990-05-17T00:00:00.000Z", "createdAt": "2026-01-15T11:00:00Z"},
}
BASE: dict[str, Any] = {"user_id": "p-1", "timestamp": "2026-01-15T12:00:00Z", "origin": "example.com"}
PAYMENT: dict[str, Any] = BASE | {
    "payment_id": "23541",
    "type": "Credit",
    "status": "Approved",
    "amount": Decimal("32.76"),
    "fee_amount": Decimal("2.34"),
    "currency": "EUR",
    "deposit_count": 1,
    "vendor_name": "Skrill",
}
BET: dict[str, Any] = BASE | {
    "activity_id": "a-1",
    "round_id": "r-1",
    "type": "Bet",
    "status": "Approved",
    "amount": 20,
    "currency": "EUR",
    "game_id": 10911,
    "game_type": "Slots",
    "is_round_end": False,
    "balance_after": Decimal("174.03"),
}
BONUS: dict[str, Any] = BASE | {
    "user_bonus_id": "863512",
    "bonus_id": "9821",
    "status": "Ongoing",
    "type": "FreeSpins",
    "amount": Decimal("10.3"),
    "required_wagering_amount": Decimal("412.3"),
    "bonus_turned_real": 0,
    "currency": "EUR",
    "fasttrack_references": {"activity_id": "welcome:acme:p-1:1/grant:free_spins#1"},
}
CONSENTS: dict[str, Any] = BASE | {"consents": [{"type": "email", "opted_in": True}]}
BLOCKS: dict[str, Any] = BASE | {"blocks": [{"type": "Excluded", "active": True, "note": "asked for it"}]}
USER: dict[str, Any] = BASE | {
    "email": "anna@example.com",
    "mobile_prefix": "380",
    "mobile": "0501234567",
    "country": "ua",
    "birth_date": "1990-05-17",
    "roles": [],
}
FEED: dict[str, tuple[fasttrack.Reader, dict[str, Any]]] = {
    "payment": (fasttrack.read_payment, PAYMENT),
    "casino": (fasttrack.read_casino, BET),
    "bonus": (fasttrack.read_bonus, BONUS),
    "consents": (fasttrack.read_consents, CONSENTS),
    "blocks": (fasttrack.read_blocks, BLOCKS),
    "login": (fasttrack.read_login, BASE),
    "registration": (fasttrack.read_registration, USER),
    "update": (fasttrack.read_update, USER),
}
READERS: dict[str, tuple[Callable[[object], Outcome], dict[str, Any]]] = {
    "track": (lambda message: segment.read_message(message, None, WORDS, NOON), TRACK),
    "identify": (lambda message: segment.read_message(message, None, WORDS, NOON), IDENTIFY),
    **{name: ((lambda message, read=read: read(message, WORDS)), usual) for name, (read, usual) in FEED.items()},
}


def facts_of(outcome: Outcome) -> list[Event]:
    """The typed events of a message that must be in order."""
    assert isinstance(outcome, Mapped), outcome
    return [event_of(fact) for fact in outcome.facts]


def event_of(fact: Fact) -> Event:
    read = fact.read("acme", NOON)
    assert isinstance(read, tuple), read
    assert read[0] == "p-1"
    return read[1]


def track(name: str, **properties: Any) -> Outcome:
    return segment.read_message(TRACK | {"event": name, "properties": properties}, None, WORDS, NOON)


def faults_of(outcome: Outcome) -> set[str]:
    """Where a message that must be refused is at fault."""
    if isinstance(outcome, Refused):
        return {fault["pointer"] for fault in outcome.faults}
    assert isinstance(outcome, Mapped), outcome
    read = [fact.read("acme", NOON) for fact in outcome.facts]
    return {fault["pointer"] for found in read if isinstance(found, list) for fault in found}


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

    @settings(max_examples=150, deadline=None)
    @given(spoiled(usual) | JUNK)
    def told(message: Any) -> None:
        outcome = reader(message)
        if isinstance(outcome, Ignored):
            assert outcome.detail.endswith(".")
            return
        faults = list(outcome.faults) if isinstance(outcome, Refused) else []
        for fact in outcome.facts if isinstance(outcome, Mapped) else ():
            read = fact.read("acme", NOON)
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


@given(st.sampled_from(sorted(cls.type for cls in CATALOGUE.values() if not cls.derived and cls is not Activity)))
def test_an_event_named_by_its_own_type_says_what_a_native_one_says(kind: str) -> None:
    event = CATALOGUE[f"igaming.{kind}.v1"]
    if event is PlayerRegistered:
        return
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


@pytest.mark.parametrize("value", [True, None, "", "1e3", "-1", "1.", ".5", "٣", [5], -1, Decimal(-5), Decimal("NaN")])
def test_what_is_not_an_amount_is_no_money(value: object) -> None:
    assert to_minor(value, "EUR") is None


@pytest.mark.parametrize(
    ("kind", "status", "told"),
    [
        ("Credit", "Requested", "payment.deposit_initiated"),
        ("Credit", "Approved", "payment.deposit_approved"),
        ("Credit", "Rejected", "payment.deposit_failed"),
        ("Credit", "Cancelled", "payment.deposit_abandoned"),
        ("Credit", "Rollback", "payment.reversed"),
        ("Debit", "Requested", "payment.withdrawal_requested"),
        ("Debit", "Approved", "payment.withdrawal_completed"),
        ("Debit", "Rejected", "payment.withdrawal_rejected"),
        ("Debit", "Cancelled", "payment.withdrawal_cancelled_by_player"),
        ("Debit", "Rollback", "payment.reversed"),
    ],
)
def test_each_step_of_a_payment_is_its_own_event(kind: str, status: str, told: str) -> None:
    [event] = facts_of(fasttrack.read_payment(PAYMENT | {"type": kind, "status": status}, WORDS))
    assert event.type == told
    assert event.event_id == f"payment/{kind}/23541/{status}"
    assert event.to_wire()["data"]["amount_minor"] == 3276


def test_a_deposit_keeps_what_the_feed_knows_of_it() -> None:
    [event] = facts_of(fasttrack.read_payment(PAYMENT | {"bonus_code": "", "payment_id": 23541}, WORDS))
    assert isinstance(event, DepositApproved)
    assert (event.fee_minor, event.provider, event.deposit_number, event.is_first) == (234, "Skrill", 1, True)
    assert (event.payment_id, event.bonus_code) == ("23541", None)


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


def test_a_kind_of_game_is_read_in_the_senders_words_and_never_guessed() -> None:
    for word, category in {**CATEGORIES, "Live-Casino": "live", "ARCADE": "slot"}.items():
        [event] = facts_of(fasttrack.read_casino(BET | {"game_type": word}, WORDS))
        assert isinstance(event, Activity)
        assert event.category == category
    for unknown in ("unknown", "", None, 7):
        assert faults_of(fasttrack.read_casino(BET | {"game_type": unknown}, WORDS)) == {"/game_type"}


def test_money_that_is_not_bonus_is_the_players_own() -> None:
    [event] = facts_of(fasttrack.read_casino(BET | {"bonus_wager_amount": 5, "locked_wager_amount": 1}, WORDS))
    assert isinstance(event, Activity)
    assert (event.real_minor, event.bonus_minor, event.balance_after_minor) == (1400, 600, 17403)
    assert faults_of(fasttrack.read_casino(BET | {"bonus_wager_amount": 21}, WORDS)) == {"/amount"}


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("Pending", "reward.offered"),
        ("Created", "reward.claimed"),
        ("Claimed", "reward.claimed"),
        ("Ongoing", "reward.activated"),
        ("Completed", "reward.completed"),
        ("AutoCompleted", "reward.completed"),
        ("Forfeited", "reward.forfeited"),
        ("Expired", "reward.expired"),
        ("Lost", "reward.lost"),
        ("Reversed", "reward.cancelled"),
    ],
)
def test_each_status_of_a_bonus_is_its_own_event_under_our_grant_id(status: str, told: str) -> None:
    [event] = facts_of(fasttrack.read_bonus(BONUS | {"status": status}, WORDS))
    assert (event.type, event.event_id) == (told, f"bonus/863512/{status}")
    assert event.to_wire()["data"]["grant_id"] == "welcome:acme:p-1:1/grant:free_spins#1"


def test_a_bonus_that_is_not_ours_goes_by_the_senders_id() -> None:
    [event] = facts_of(fasttrack.read_bonus(BONUS | {"fasttrack_references": None}, WORDS))
    data = event.to_wire()["data"]
    assert (data["grant_id"], data["kind"], data["value_minor"], data["wager_required_minor"]) == (
        "863512",
        "free_spins",
        1030,
        41230,
    )


def test_consents_are_one_event_a_channel() -> None:
    given_ = [{"type": name, "opted_in": name != "sms"} for name in fasttrack.CHANNELS]
    told = facts_of(fasttrack.read_consents(BASE | {"consents": given_}, WORDS))
    said = {event.to_wire()["data"]["channel"]: event.to_wire()["data"]["opted_in"] for event in told}
    assert said == {"email": True, "sms": False, "phone": True, "post": True, "in_app": True, "push": True}
    assert len({event.event_id for event in told}) == 6


def test_a_block_ends_only_its_own_kind() -> None:
    blocks = [{"type": "Excluded", "active": True, "note": "x" * 5_000 + "\x00"}, {"type": "Blocked", "active": False}]
    excluded, freed = facts_of(fasttrack.read_blocks(BASE | {"blocks": blocks}, WORDS))
    assert (excluded.type, excluded.to_wire()["data"]["kind"]) == ("compliance.exclusion_set", "self_exclusion")
    assert (freed.type, freed.to_wire()["data"]["kind"]) == ("compliance.exclusion_ended", "operator")


@pytest.mark.parametrize("name", ["consents", "blocks"])
@pytest.mark.parametrize("given_", [None, [], {}, ["x"], [{}], [{"type": "x"}], [{"type": "email"}] * 51])
def test_nothing_is_looked_up_so_a_slim_message_is_refused(name: str, given_: Any) -> None:
    reader, _ = FEED[name]
    [pointer, *_] = faults_of(reader(BASE | {name: given_}, WORDS))
    assert pointer.startswith(f"/{name}")


def test_a_new_player_may_be_excluded_already_and_that_is_never_history() -> None:
    message = BASE | {"skip_publishing": True, "user_details": USER | {"is_excluded": True, "is_blocked": False}}
    outcome = fasttrack.read_registration(message, WORDS)
    assert [event.type for event in facts_of(outcome)] == ["player.registered", "compliance.exclusion_set"]
    assert isinstance(outcome, Mapped)
    assert not outcome.history
    quiet = fasttrack.read_registration(BASE | {"skip_publishing": True, "user_details": USER}, WORDS)
    assert isinstance(quiet, Mapped)
    assert quiet.history


def test_a_phone_number_is_put_together() -> None:
    for prefix, mobile in (("380", "0501234567"), ("+380", "501234567"), ("00380", "0501234567")):
        [event] = facts_of(fasttrack.read_registration(USER | {"mobile_prefix": prefix, "mobile": mobile}, WORDS))
        assert isinstance(event, PlayerRegistered)
        assert event.phone == "+380501234567"
    assert event.country == "UA"


def test_the_same_instant_is_the_same_login_however_it_is_written() -> None:
    zulu, local = (
        facts_of(fasttrack.read_login(BASE | {"timestamp": written}, WORDS))[0]
        for written in ("2026-01-15T12:00:00Z", "2026-01-15T14:00:00.000+02:00")
    )
    assert zulu.event_id == local.event_id


def part(number: int, kind: str, amount: int, **changes: Any) -> Activity:
    message = BET | {"activity_id": number, "type": kind, "amount": Decimal(amount) / 100, "is_round_end": None}
    [event] = facts_of(fasttrack.read_casino(message | changes, WORDS))
    assert isinstance(event, Activity)
    return event


def told(*parts: Activity) -> RoundCompleted | None:
    fact = whole_round("p-1", parts)
    event = None if fact is None else event_of(fact)
    assert event is None or isinstance(event, RoundCompleted)
    return event


@given(st.permutations(range(4)), st.lists(st.integers(0, 10**6), min_size=4, max_size=4))
def test_a_round_is_the_same_in_whatever_order_its_parts_came(order: list[int], cents: list[int]) -> None:
    later = "2026-01-15T12:00:09Z"
    parts = [
        part(1, "Bet", cents[0]),
        part(2, "Bet", cents[1], bonus_wager_amount=Decimal(cents[1]) / 100),
        part(3, "Win", cents[2], is_round_end=False),
        part(4, "Win", cents[3], timestamp=later),
    ]
    round_ = told(*(parts[index] for index in order))
    assert round_ is not None
    assert (round_.stake_minor, round_.bonus_stake_minor) == (cents[0], cents[1])
    assert (round_.win_minor, round_.bonus_win_minor) == (cents[2] + cents[3], 0)
    assert (round_.occurred_at, round_.duration) == (NOON + timedelta(seconds=9), timedelta(seconds=9))
    assert (round_.event_id, round_.event_source) == ("round", "/fasttrack/rounds/p-1/r-1")


@pytest.mark.parametrize(
    ("parts", "whole"),
    [
        ([("Bet", {})], False),
        ([("Bet", {"is_round_end": True})], True),
        ([("Bet", {}), ("Loss", {})], True),
        ([("Bet", {}), ("Win", {})], True),
        ([("Bet", {}), ("Win", {"is_round_end": False})], False),
        ([("Win", {})], False),
        ([("Bet", {}), ("Bet", {"status": "Rollback"}), ("Win", {})], False),
        ([("Bet", {}), ("Bet", {}), ("Bet", {"status": "Rollback"}), ("Win", {})], True),
        ([("Bet", {}), ("Win", {"currency": "USD"})], False),
    ],
)
def test_a_round_is_whole_with_a_bet_that_stands_and_an_end(
    parts: list[tuple[str, Mapping[str, Any]]], *, whole: bool
) -> None:
    round_ = told(*(part(n, kind, 100, **changes) for n, (kind, changes) in enumerate(parts)))
    assert (round_ is not None) is whole


def test_what_was_rolled_back_is_not_counted() -> None:
    round_ = told(part(1, "Bet", 500), part(2, "Bet", 300), part(2, "Bet", 300, status="Rollback"), part(3, "Loss", 0))
    assert round_ is not None
    assert (round_.stake_minor, round_.win_minor) == (500, 0)


def test_a_big_win_needs_no_words_of_its_own() -> None:
    [event] = facts_of(track("Big Win", round_id="r", game_id="g", win=Decimal("500.00"), currency="EUR"))
    assert isinstance(event, BigWin)
    assert event.win_minor == 50000
