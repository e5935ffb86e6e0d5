"""Numbers and currencies at every entrance: what is written is what is read, and a guess is refused."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from api.cloudevents import read_event
from api.integrations.segment.to_events import read_message
from content.row_mapping import RowRefused, mapping_of
from stage.backtest.event_log import log_of_events, play_back
from stage.errors import StageError
from tests.support.integration_messages import TRACK, WORDS, track
from workflows.events import CATALOGUE, DepositApproved, Event, parse_event

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
Entrance = Callable[[dict[str, Any]], DepositApproved | None]


def cloud_event(data: dict[str, Any]) -> dict[str, Any]:
    envelope = {"specversion": "1.0", "id": "e", "source": "/t", "subject": "p-1", "time": "2026-01-15T12:00:00Z"}
    return {**envelope, "type": DepositApproved.wire_type, "data": data}


def taken_in(item: object) -> DepositApproved | None:
    read = read_event(item, "acme", NOON)
    if isinstance(read, tuple):
        assert isinstance(read[1], DepositApproved)
        return read[1]
    assert all(fault["pointer"].startswith("/data/") and fault["detail"].endswith(".") for fault in read)
    return None


def by_cloud_event(data: dict[str, Any]) -> DepositApproved | None:
    return taken_in(cloud_event(data))


def by_segment(data: dict[str, Any]) -> DepositApproved | None:
    outcome = track("payment.deposit_approved", **data)
    read = [fact.read_event("acme", NOON) for fact in getattr(outcome, "facts", ())]
    event = read[0][1] if read and isinstance(read[0], tuple) else None
    assert event is None or isinstance(event, DepositApproved)
    return event


def by_import(data: dict[str, Any]) -> DepositApproved | None:
    """A row of NDJSON; a cell of CSV is the same with texts."""
    maps = ["subject=who", "time=at", *(f"data.{name}={name}" for name in data)]
    mapping = mapping_of(maps, kind="payment.deposit_approved")
    assert mapping is not None
    try:
        event = mapping.event({"who": "p-1", "at": "2026-01-15T12:00:00Z", **data}, "row-1")
    except RowRefused:
        return None
    return taken_in(event)


def by_log(data: dict[str, Any]) -> DepositApproved | None:
    try:
        log = log_of_events("log", [("Line 1", cloud_event(data))])
    except StageError:
        return None
    [(_, event)] = play_back(log.events)
    assert isinstance(event, DepositApproved)
    return event


ENTRANCES: dict[str, Entrance] = {
    "CloudEvents": by_cloud_event,
    "Segment": by_segment,
    "import": by_import,
    "rehearse": by_log,
}
AMOUNT = ["subject=p", "time=t", "data.amount_minor=a:minor", "data.currency=c"]
NO_NUMBERS = ["25.00", "1_000", "1e3", "25,00", "", True, 25.5, -100, None, [100], {"minor": 1}, 10**29, 1e300]


@pytest.mark.parametrize("entrance", ENTRANCES)
@pytest.mark.parametrize("value", NO_NUMBERS, ids=repr)
def test_what_is_no_number_of_minor_units_is_refused_at_every_entrance(entrance: str, value: object) -> None:
    assert ENTRANCES[entrance]({"payment_id": "pay-1", "amount_minor": value, "currency": "EUR"}) is None


@pytest.mark.parametrize("entrance", ENTRANCES)
@pytest.mark.parametrize("written", ["1900", "1900.0", "1.9e3"])
def test_a_whole_number_is_read_however_json_writes_it(entrance: str, written: str) -> None:
    value = orjson.loads(written)
    event = ENTRANCES[entrance]({"payment_id": "pay-1", "amount_minor": value, "currency": "EUR"})
    assert event is not None
    assert (event.amount_minor, type(event.amount_minor)) == (1900, int)


@pytest.mark.parametrize("entrance", ENTRANCES)
@pytest.mark.parametrize("currency", ["BTC", "XBT", "XYZ", "XAU", "XXX", "EURO", "€"])
def test_a_currency_iso_does_not_know_is_refused_at_every_entrance(entrance: str, currency: str) -> None:
    assert ENTRANCES[entrance]({"payment_id": "pay-1", "amount_minor": 1, "currency": currency}) is None


@pytest.mark.parametrize("currency", ["EUR", "JPY", "KWD", "RSD", "UAH", "BGN", "CLF"])
def test_a_currency_iso_knows_is_taken_at_every_entrance(currency: str) -> None:
    for entrance in ENTRANCES.values():
        event = entrance({"payment_id": "pay-1", "amount_minor": 1, "currency": currency})
        assert event is not None
        assert event.currency == currency


def test_an_amount_in_whole_units_of_an_unknown_currency_is_nobodys_guess() -> None:
    mapping = mapping_of(AMOUNT, kind="payment.reversed")
    assert mapping is not None
    row = {"p": "p-1", "t": "2026-01-15T12:00:00Z", "a": "1", "c": "BTC"}
    with pytest.raises(RowRefused, match="'BTC' is not a currency that ISO 4217 knows"):
        mapping.event(row, "row-1")
    bought = TRACK | {"event": "Deposit Approved", "properties": {"order_id": "o", "revenue": 1, "currency": "BTC"}}
    assert getattr(read_message(bought, None, WORDS, NOON), "faults", ()) != ()


def test_what_was_kept_before_a_currency_was_refused_is_still_read() -> None:
    kept = DepositApproved.example().to_wire()
    kept["data"]["currency"] = "XBT"
    assert Event.from_wire(kept).to_wire()["data"]["currency"] == "XBT"
    parts: dict[str, Any] = {"event_id": "e", "event_source": "/t", "occurred_at": NOON}
    assert parse_event(kept["type"], kept["data"], **parts, stored=True).to_wire()["data"]["currency"] == "XBT"
    with pytest.raises(ValidationError, match="a currency that ISO 4217 knows"):
        parse_event(kept["type"], kept["data"], **parts)


def whole_fields() -> list[tuple[str, str]]:
    """Every field of every type that is a whole number, seconds among them."""
    found: list[tuple[str, str]] = []
    for event in CATALOGUE.values():
        if not event.__module__.startswith("workflows.events."):
            continue
        for name, schema in event.data_schema()["properties"].items():
            if any(part.get("type") == "integer" for part in (schema, *schema.get("anyOf", ()))):
                found.append((event.wire_type, name))
    return found


@pytest.mark.parametrize("value", ["7", "1_000", True], ids=repr)
def test_no_whole_number_of_the_catalogue_is_read_from_text_or_truth(value: object) -> None:
    assert len(whole_fields()) > 60
    for wire_type, name in whole_fields():
        event = CATALOGUE[wire_type]
        with pytest.raises(ValidationError, match="must be a whole number without quotes"):
            parse_event(
                wire_type, {**event.example_data, name: value}, event_id="e", event_source="/t", occurred_at=NOON
            )


@pytest.mark.parametrize("name", ["amount_minor", "balance_after_minor", "deposit_number"])
def test_a_cell_of_csv_holds_a_number_as_text_and_is_read_where_it_is_one_beyond_doubt(name: str) -> None:
    data = {"payment_id": "p", "amount_minor": "1250", "currency": "EUR", name: "7"}
    event = by_import(data)
    assert event is not None
    assert getattr(event, name) == 7
    for cell in ("7.5", "7,5", "1_000", "1.000", "seven", "٣", "25.00"):
        assert by_import(data | {name: cell}) is None
    # Columns of counts with gaps are written so; of money it would be a guess.
    assert (by_import(data | {name: "7.0"}) is None) == name.endswith("_minor")


@pytest.mark.parametrize(
    ("currency", "cell"),
    [
        ("JPY", "1.000"),
        ("JPY", "0.5"),
        *(("EUR", cell) for cell in ("1.000", "12.345", "0.001", "1.000.000", "1,000.00", "1_000", "1e3", "12,50")),
        *(("EUR", cell) for cell in ("true", "€5", "5 EUR", "0x10", "--5", "1" * 21, "٣")),
    ],
)
def test_an_amount_that_may_be_another_is_refused_with_what_to_write(currency: str, cell: str) -> None:
    mapping = mapping_of(AMOUNT, kind="payment.reversed")
    assert mapping is not None
    with pytest.raises(RowRefused, match=r"is (not|one or a thousand).*\.$"):
        mapping.event({"p": "p-1", "t": "2026-01-15T12:00:00Z", "a": cell, "c": currency}, "row-1")


@pytest.mark.parametrize(
    ("currency", "cell", "minor"),
    [
        ("EUR", "10", 1000),
        ("EUR", " 10.5 ", 1050),
        ("EUR", "10.5000", 1050),
        ("JPY", "500.00", 500),
        ("KWD", "1.500", 1500),
        ("EUR", 10.5, 1050),
        ("EUR", 1.9e3, 190000),
        ("EUR", 7, 700),
    ],
)
def test_an_amount_beyond_doubt_becomes_minor_units(currency: str, cell: object, minor: int) -> None:
    mapping = mapping_of(AMOUNT, kind="payment.reversed")
    assert mapping is not None
    event = mapping.event({"p": "p-1", "t": "2026-01-15T12:00:00Z", "a": cell, "c": currency}, "row-1")
    assert event["data"]["amount_minor"] == minor


def test_segments_text_amounts_follow_the_same_rule() -> None:
    for revenue, minor in (("10.50", 1050), (Decimal("1.000"), 100), ("1.000", None), ("1_000", None)):
        outcome = track("Deposit Approved", order_id="o", revenue=revenue, currency="EUR")
        facts = getattr(outcome, "facts", ())
        assert (facts[0].data["amount_minor"] if facts else None) == minor
