"""Messages of other systems in order, for the tests of the mappings, and what is told by them."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from api.integrations.fasttrack import to_events as fasttrack
from api.integrations.outcomes import Fact, Mapped, MessageRefused, Outcome
from api.integrations.segment import to_events as segment
from api.integrations.vocabulary import Words
from workflows.events import Event

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
WORDS = Words.of({"Order Completed": "payment.deposit_approved", "Wrong": "no.such_type"}, {"Arcade": "slot"})


def cloud_event(kind: str, data: object, **attributes: object) -> dict[str, Any]:
    """An event of our own, whole; `kind` is its short type."""
    head = {"specversion": "1.0", "id": "e-1", "source": "/t", "subject": "p-1", "time": "2026-01-15T12:00:00Z"}
    return {**head, "type": f"igaming.{kind}.v1", "data": data, **attributes}


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


def _segment(message: object) -> Outcome:
    return segment.read_message(message, None, WORDS, NOON)


def _fast_track(read: fasttrack.Reader) -> Callable[[object], Outcome]:
    return lambda message: read(message, WORDS)


READERS: dict[str, tuple[Callable[[object], Outcome], dict[str, Any]]] = {
    "track": (_segment, TRACK),
    "identify": (_segment, IDENTIFY),
    **{name: (_fast_track(read), usual) for name, (read, usual) in FEED.items()},
}


def facts_of(outcome: Outcome) -> list[Event]:
    """The typed events of a message that must be in order."""
    assert isinstance(outcome, Mapped), outcome
    return [event_of(fact) for fact in outcome.facts]


def event_of(fact: Fact) -> Event:
    read = fact.read_event("acme", NOON)
    assert isinstance(read, tuple), read
    assert read[0] == "p-1"
    return read[1]


def track(name: str, /, **properties: Any) -> Outcome:
    return segment.read_message(TRACK | {"event": name, "properties": properties}, None, WORDS, NOON)


def faults_of(outcome: Outcome) -> set[str]:
    """Where a message that must be refused is at fault."""
    if isinstance(outcome, MessageRefused):
        return {fault["pointer"] for fault in outcome.faults}
    assert isinstance(outcome, Mapped), outcome
    read = [fact.read_event("acme", NOON) for fact in outcome.facts]
    return {fault["pointer"] for found in read if isinstance(found, list) for fault in found}
