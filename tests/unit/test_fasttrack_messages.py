"""Fast Track's messages as typed events, without a server; rounds in whatever order their parts come."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.integrations.fasttrack import to_events as fasttrack
from api.integrations.fasttrack.round_assembly import RoundPart, whole_round
from api.integrations.outcomes import Mapped
from api.integrations.vocabulary import CATEGORIES
from tests.support.integration_messages import (
    BASE,
    BET,
    BONUS,
    FEED,
    NOON,
    PAYMENT,
    USER,
    WORDS,
    event_of,
    facts_of,
    faults_of,
)
from workflows.events import DepositApproved, PlayerRegistered, RoundCompleted


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


def test_a_kind_of_game_is_read_in_the_senders_words_and_never_guessed() -> None:
    for word, category in {**CATEGORIES, "Live-Casino": "live", "ARCADE": "slot"}.items():
        [event] = facts_of(fasttrack.read_casino(BET | {"game_type": word}, WORDS))
        assert isinstance(event, RoundPart)
        assert event.category == category
    for unknown in ("unknown", "", None, 7):
        assert faults_of(fasttrack.read_casino(BET | {"game_type": unknown}, WORDS)) == {"/game_type"}


def test_money_that_is_not_bonus_is_the_players_own() -> None:
    [event] = facts_of(fasttrack.read_casino(BET | {"bonus_wager_amount": 5, "locked_wager_amount": 1}, WORDS))
    assert isinstance(event, RoundPart)
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
        assert (event.phone, event.country) == ("+380501234567", "UA")


def test_the_same_instant_is_the_same_login_however_it_is_written() -> None:
    zulu, local = (
        facts_of(fasttrack.read_login(BASE | {"timestamp": written}, WORDS))[0]
        for written in ("2026-01-15T12:00:00Z", "2026-01-15T14:00:00.000+02:00")
    )
    assert zulu.event_id == local.event_id


def part(number: int, kind: str, amount: int, **changes: Any) -> RoundPart:
    message = BET | {"activity_id": number, "type": kind, "amount": Decimal(amount) / 100, "is_round_end": None}
    [event] = facts_of(fasttrack.read_casino(message | changes, WORDS))
    assert isinstance(event, RoundPart)
    return event


def told(*parts: RoundPart) -> RoundCompleted | None:
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
