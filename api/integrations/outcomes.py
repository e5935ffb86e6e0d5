"""Maps a message in another system's words to facts for the catalogue, to nothing, or to a list of faults.

Everything here is pure. A mapping never raises: whatever a sender wrote, the outcome is one of three values.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Context, Decimal
from typing import Any, Final

from api.cloudevents import Fault, PlayerEvent, read_event
from workflows.events import Event
from workflows.json_object import JsonObject
from workflows.minor_units import is_currency, may_be_grouped, minor_units

#: A JSON object as a sender wrote it, its fractions kept as `Decimal`.
Message = Mapping[str, Any]

_EXACT: Final = Context(prec=100)
#: How far from a whole minor unit an amount may lie: a float's own noise, never a part of a cent.
_NOISE: Final = Decimal("0.0001")
_DEEPEST: Final = 8
_AMOUNT = re.compile(r"\d{1,20}(\.\d{1,20})?", re.ASCII)


@dataclass(frozen=True)
class Fact:
    """An event in the making: the parts of a CloudEvent, and where in the message each of them came from."""

    player_id: str
    type: str
    data: Mapping[str, Any]
    id: str
    source: str
    #: RFC 3339; None is the moment of arrival.
    time: str | None
    #: Pointers into the event, to pointers into the message; the longest that fits counts.
    places: Mapping[str, str] = field(default_factory=dict)
    #: The id itself says what happened, once: what is told under it later in other words changes nothing.
    first_counts: bool = False

    def read_event(self, brand: str, now: datetime) -> PlayerEvent | list[Fault]:
        """The player's id and the typed event, or its faults, pointing into the sender's own message."""
        attributes: JsonObject = {
            "specversion": "1.0",
            "id": self.id,
            "source": self.source,
            "type": self.type,
            "subject": self.player_id,
            "data": self.data,
        }
        if self.time is not None:
            attributes["time"] = self.time
        read = read_event(attributes, brand, now, suspect=True)
        if isinstance(read, tuple):
            return read
        return [{"pointer": self.place(fault["pointer"]), "detail": fault["detail"]} for fault in read]

    def place(self, pointer: str) -> str:
        """Where in the sender's own message a part of the event came from."""
        parts = pointer.split("/")
        for length in range(len(parts), 0, -1):
            known = self.places.get("/".join(parts[:length]))
            if known is not None:
                return "/".join([known, *parts[length:]])
        return ""


@dataclass(frozen=True)
class Mapped:
    """The facts a message tells, to be kept together or not at all."""

    facts: tuple[Fact, ...]
    #: It advances the player and starts, wakes and stops nothing.
    history: bool = False
    #: What could not be read and cost the message nothing but itself.
    notes: tuple[Fault, ...] = ()


@dataclass(frozen=True)
class Ignored:
    """A message in order that tells nothing the catalogue knows; `reason` is a code, `detail` a sentence."""

    reason: str
    detail: str


@dataclass(frozen=True)
class MessageRefused:
    """A message that tells something and tells it wrongly.

    Of `facts`, what could be read of it all the same, only those are kept that protect the player.
    """

    faults: tuple[Fault, ...]
    facts: tuple[Fact, ...] = ()


Outcome = Mapped | Ignored | MessageRefused


def fault(pointer: str, detail: str) -> Fault:
    """One fault of a message."""
    return {"pointer": pointer, "detail": detail}


def identifier(value: object) -> str | None:
    """An id as text: many systems write numbers. None when it is none, or empty."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return str(value) if abs(value) < 10**64 else None
    return value if isinstance(value, str) and value else None


def moment(value: object) -> datetime | None:
    """An ISO 8601 instant, aware or not; None when it is none."""
    if not isinstance(value, str):
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


def currency_of(value: object) -> str | None:
    """The ISO 4217 code, in capitals; None for what is none, and for coins ISO does not know."""
    code = value.upper() if isinstance(value, str) else ""
    return code if is_currency(code) else None


def to_minor(value: object, currency: str) -> int | None:
    """A decimal amount as whole minor units of an ISO 4217 currency, exactly; None when it is not an amount of it.

    Not money: a part of a minor unit (19.999 EUR, 5.5 JPY), a negative amount, a float that JSON did not write, and the
    text "1.000", which is a thousand euros in some countries and one in others.
    What binary arithmetic leaves behind (0.30000000000000004) is taken for the amount it stands beside.
    """
    if isinstance(value, str) and _AMOUNT.fullmatch(value) and not may_be_grouped(value, currency):
        value = Decimal(value)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    amount = Decimal(value)
    _, digits, exponent = amount.as_tuple()
    # Before any arithmetic: 1e999999999 is a short text and an integer of a gigabyte.
    if not isinstance(exponent, int) or len(digits) > 40 or not -40 <= exponent <= 20:
        return None
    scaled = _EXACT.scaleb(amount, minor_units(currency))
    whole = _EXACT.to_integral_value(scaled)
    if whole < 0 or abs(_EXACT.subtract(scaled, whole)) > _NOISE:
        return None
    return int(whole)


def plain(value: object, depth: int = 0) -> object:
    """The value as a native event would hold it: fractions as floats. What is nested too deeply is left out."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dict | list) and depth >= _DEEPEST:
        return None
    if isinstance(value, dict):
        return {name: plain(inner, depth + 1) for name, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner, depth + 1) for inner in value]
    return value


def wire_names(event: type[Event]) -> list[str]:
    """The keys an event's data may have."""
    attributes = {"event_id", "event_source", "occurred_at"}
    return [known.alias or name for name, known in event.model_fields.items() if name not in attributes]
