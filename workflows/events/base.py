"""What every event is: a frozen fact with an identity, a moment and typed data.

An event travels as a CloudEvent. Three of its attributes become fields here (`event_id`, `event_source`,
`occurred_at`); everything else a class declares is the CloudEvent's `data`. Money is integer minor units,
`pct` is basis points (1/100 of a percent), a duration is whole seconds on the wire and `timedelta` in
Python, an instant is RFC 3339 on the wire and aware UTC in Python.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Final, Self, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, StringConstraints
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema

from workflows.errors import EventDesignError, UnknownEventType
from workflows.field_types import PRINTABLE, STORED, Instant
from workflows.local_time import zone

__all__ = ["CATALOGUE", "Event", "Pii", "parse_event"]

#: The fields that are attributes of the CloudEvent; all others are its `data`.
ENVELOPE: Final = {"event_id", "event_source", "occurred_at"}

_SHORT_TYPE = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
_WIRE_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,127}")


class Pii:
    """Marks a field as personal data: `Annotated[Text | None, Pii()] = None`.

    Such a field must be optional, because everything that leaves Postgres for Temporal is redacted first and
    must still be a valid event.
    """

    def __repr__(self) -> str:
        return "Pii()"


_E = TypeVar("_E", bound="Event")
_classes: "dict[str, type[Event]]" = {}
#: Every declared event class by its wire type. It grows while journey packages are imported, then rests.
CATALOGUE: "Mapping[str, type[Event]]" = MappingProxyType(_classes)


class Event(BaseModel):
    """A fact about one player; subclass it to declare one.

    ::

        class VipFlagged(Event, type="acme.vip_flagged", example={"level": 2}):
            \"\"\"The house system marked the player. Level 1 to 3.\"\"\"
            level: int

    The wire type is `igaming.acme.vip_flagged.v1` unless `wire=` gives it in full. A class without
    `type` is a common base and is not in the catalogue.

    `unique="payment_id"` says that a player has one event of this type a payment: one that comes again under another
    id is a duplicate of the first.

    Unknown data keys are dropped, not kept: what no class declares cannot leak into a journey. A module that
    is imported twice declares its events once, and the first class stays in `CATALOGUE`; code that must
    recognise its own class (a journey in the sandbox) calls `from_wire` on that class.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        allow_inf_nan=False,
    )

    #: Short type, `payment.deposit_approved`; empty on a common base.
    type: ClassVar[str] = ""
    #: Type on the wire, `igaming.payment.deposit_approved.v1`; empty on a common base.
    wire_type: ClassVar[str] = ""
    #: True for events the engine computes; intake refuses them from outside.
    derived: ClassVar[bool] = False
    #: The field of which a player has no two events of this type, whatever their ids; empty when there is none.
    unique_field: ClassVar[str] = ""
    #: One valid `data` object, for documentation and tests.
    example_data: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    #: Names of the fields marked `Pii`.
    pii: ClassVar[frozenset[str]] = frozenset()

    #: CloudEvents `id`: with the source it is the event's identity, seen once.
    event_id: Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=PRINTABLE)]
    #: CloudEvents `source`: who says so.
    event_source: Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=PRINTABLE)]
    #: CloudEvents `time`: when it happened, not when we heard.
    occurred_at: Instant

    def __init_subclass__(
        cls,
        *,
        type: str = "",  # noqa: A002 - the word designers write
        wire: str = "",
        unique: str = "",
        example: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init_subclass__(**kwargs)
        if type and not _SHORT_TYPE.fullmatch(type):
            raise EventDesignError(
                f"{cls.__qualname__} has the type {type!r}; write it as domain.fact, such as 'acme.vip_flagged'."
            )
        if wire and not type:
            raise EventDesignError(f"{cls.__qualname__} gives wire= without type=; add its short type as well.")
        if wire and not _WIRE_TYPE.fullmatch(wire):
            raise EventDesignError(
                f"{cls.__qualname__} has the wire type {wire[:140]!r}; "
                "use at most 128 letters, digits, dots, dashes, underscores or slashes."
            )
        cls.type = type
        cls.wire_type = (wire or f"igaming.{type}.v1") if type else ""
        cls.unique_field = unique
        cls.example_data = MappingProxyType(dict(example or {}))

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__()
        marked = pii_fields(cls)
        for name, field in marked.items():
            if field.default is not None and get_origin(field.annotation) is not dict:
                raise EventDesignError(
                    f"{cls.__qualname__}.{name} is marked Pii and must be optional; give it '| None = None', "
                    "because journeys receive it redacted."
                )
        cls.pii = frozenset(marked)
        if cls.unique_field and cls.unique_field not in cls.model_fields.keys() - ENVELOPE - cls.pii:
            raise EventDesignError(
                f"{cls.__qualname__} says unique={cls.unique_field!r}; name a field of its own without personal data."
            )
        if cls.type:
            _register(cls)

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = handler.resolve_ref_schema(handler(core_schema))
        if cls.example_data:
            schema["examples"] = [dict(cls.example_data)]
        return schema

    @classmethod
    def data_schema(cls) -> dict[str, Any]:
        """JSON Schema of the CloudEvent's `data` alone, with the example."""
        schema = cls.model_json_schema()
        schema["properties"] = {name: part for name, part in schema["properties"].items() if name not in ENVELOPE}
        required = [name for name in schema.get("required", ()) if name not in ENVELOPE]
        schema.pop("required", None)
        return schema | ({"required": required} if required else {})

    @classmethod
    def example(cls) -> Self:
        """The documented example as an event. Raises `ValidationError` if the class has a wrong one."""
        return _validate(cls, cls.example_data, "example-1", "/example", datetime(2026, 1, 15, 12, tzinfo=UTC))

    @cached_property
    def player_zone(self) -> str | None:
        """The IANA zone of the player when the event was taken in; None where it is unknown, or not taken in yet."""
        return None

    def on_clock_of(self, timezone: str | None) -> Self:
        """This event, which knows from now on whose clock it is seen by. It stays equal to what it was."""
        vars(self)["player_zone"] = timezone
        return self

    @property
    def local(self) -> datetime:
        """`occurred_at` on the player's own clock, for `where=`: its weekday and hour are theirs.

        The zone is the one the player had when the event came to us, and UTC where that is unknown.
        """
        return self.occurred_at.astimezone(zone(self.player_zone))

    def to_wire(self) -> dict[str, Any]:
        """The JSON-able form `{"type", "id", "source", "time", "data"}`; absent optional fields are left out.

        What was taken in says the player's `zone` besides, so that a run has the same clock for it as the row had.
        """
        wire = {
            "type": self.wire_type,
            "id": self.event_id,
            "source": self.event_source,
            "time": self.occurred_at.isoformat().replace("+00:00", "Z"),
            "data": self.model_dump(mode="json", exclude=ENVELOPE, exclude_none=True),
        }
        return wire if self.player_zone is None else {**wire, "zone": self.player_zone}

    def to_data(self) -> bytes:
        """The `data` of `to_wire` as JSON, in one step."""
        return self.__pydantic_serializer__.to_json(self, exclude=ENVELOPE, exclude_none=True)

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Self:
        """The event behind `to_wire`. Raises `UnknownEventType` or pydantic's `ValidationError`.

        On `Event` or a common base the class comes from `CATALOGUE`; on a concrete class it is that very
        class, whatever the catalogue holds.
        """
        wire_type = wire["type"]
        event_class = cls if cls.wire_type == wire_type else CATALOGUE.get(wire_type)
        if event_class is None or not issubclass(event_class, cls):
            raise UnknownEventType(str(wire_type))
        event = _validate(event_class, wire["data"], wire["id"], wire["source"], wire["time"], stored=True)
        return event if wire.get("zone") is None else event.on_clock_of(wire["zone"])

    @property
    def unique_value(self) -> str | None:
        """What the field named by `unique=` says, as text; None when there is none, or it is left out."""
        value = getattr(self, self.unique_field) if self.unique_field else None
        return None if value is None else str(value)

    def redacted(self) -> Self:
        """A copy without personal data: marked fields become None, a marked map keeps its keys with nulls."""
        if not self.pii:
            return self
        blank = {name: _blank(getattr(self, name)) for name in self.pii}
        return self.model_copy(update=blank)


def parse_event(
    wire_type: str,
    data: Mapping[str, Any],
    *,
    event_id: str,
    event_source: str,
    occurred_at: datetime | str,
    stored: bool = False,
) -> Event:
    """The typed event of a CloudEvent's parts. Raises `UnknownEventType` or pydantic's `ValidationError`.

    `stored` says that it was taken in before: then a currency no entrance would let in any more stays what it was.

    Error locations name keys of `data`, except the three envelope fields. Derived types are parsed like
    any other: refusing them from outside is the caller's duty (`type(event).derived`).
    """
    event_class = CATALOGUE.get(wire_type)
    if event_class is None:
        raise UnknownEventType(wire_type)
    return _validate(event_class, data, event_id, event_source, occurred_at, stored=stored)


def _validate(
    cls: "type[_E]", data: object, event_id: object, event_source: object, occurred_at: object, *, stored: bool = False
) -> "_E":
    if not isinstance(data, Mapping):
        return cls.__pydantic_validator__.validate_python(data)  # type: ignore[no-any-return]
    # The envelope comes last: a key of the same name inside data never replaces the identity.
    whole = {**data, "event_id": event_id, "event_source": event_source, "occurred_at": occurred_at}
    context = STORED if stored else None
    return cls.__pydantic_validator__.validate_python(whole, context=context)  # type: ignore[no-any-return]


def _register(cls: "type[Event]") -> None:
    known = _classes.setdefault(cls.wire_type, cls)
    if known is cls or (known.__module__, known.__qualname__) == (cls.__module__, cls.__qualname__):
        return
    raise EventDesignError(
        f"{cls.__module__}.{cls.__qualname__} and {known.__module__}.{known.__qualname__} both declare the event "
        f"type {cls.wire_type}; give one of them another type."
    )


def pii_fields(model: "type[BaseModel]") -> "dict[str, FieldInfo]":
    """The fields of a class that are marked as personal data."""
    return {
        name: field
        for name, field in model.model_fields.items()
        if any(map(_is_marked, field.metadata)) or _is_marked(field.annotation)
    }


def _is_marked(annotation: object) -> bool:
    return (
        isinstance(annotation, Pii)
        or annotation is Pii
        or any(_is_marked(mark) for mark in getattr(annotation, "__metadata__", ()))
        or any(_is_marked(part) for part in get_args(annotation))
    )


def _blank(value: object) -> object:
    return dict.fromkeys(value) if isinstance(value, dict) else None
