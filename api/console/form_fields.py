"""The form of a task as fields that a browser can show, made from its JSON Schema, and the answer that comes back.

Pure. What a person typed is kept as they typed it until it fits; nothing is chosen for them beforehand.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Literal

from workflows.json_object import JsonObject
from workflows.minor_units import minor_units

#: Before the names of a form's own fields, so that one called `csrf` is none of ours.
PREFIX: Final = "answer."
#: Choices that are all shown at once; more go into a list that opens.
SHOWN_AT_ONCE: Final = 6
#: Characters from which on a text has room for lines.
LONG: Final = 120
_LONG_NAMES: Final = frozenset({"note", "notes", "evidence", "comment", "text"})

FieldKind = Literal["choice", "select", "yes_no", "text", "long_text", "integer", "money", "date", "unknown"]


@dataclass(frozen=True)
class FormField:
    """A field as it is shown."""

    name: str
    kind: FieldKind
    required: bool
    #: The values to choose from, as the browser sends them.
    options: Mapping[str, Any]
    help: str = ""
    longest: int | None = None
    #: The best name we have for it where the designer gave none.
    label: str = ""

    @property
    def key(self) -> str:
        """Its name in the form."""
        return f"{PREFIX}{self.name}"


@dataclass(frozen=True)
class FieldFault:
    """What is wrong with what stands in a field; `name` is empty where it is none field's."""

    name: str
    detail: str


def fields_of(schema: JsonObject) -> list[FormField]:
    """The fields of a form: what must be filled in first, and of that what is chosen.

    Not in the order of its class: Postgres keeps none.
    """
    required = set(schema.get("required", ()))
    properties: Mapping[str, JsonObject] = schema.get("properties", {})
    fields = [_field(name, part, schema, is_required=name in required) for name, part in properties.items()]
    return sorted(fields, key=lambda field: (not field.required, not field.options))


def answer_of(
    fields: Sequence[FormField], sent: Mapping[str, str], currency: str = "EUR"
) -> tuple[JsonObject, list[FieldFault]]:
    """The answer that a sent form holds, and what in it cannot be read. What is empty and optional is left out."""
    answer: JsonObject = {}
    faults: list[FieldFault] = []
    for field in fields:
        typed = sent.get(field.key, "").strip()
        if not typed:
            if field.required:
                faults.append(FieldFault(field.name, "Choose one." if field.options else "Fill this in."))
            continue
        try:
            answer[field.name] = _value(field, typed, currency)
        except ValueError as error:
            faults.append(FieldFault(field.name, str(error)))
    return answer, faults


def faults_told(errors: Sequence[Mapping[str, Any]]) -> list[FieldFault]:
    """The faults that an endpoint pointed at, by the names of the fields."""
    told = []
    for error in errors:
        parts = str(error.get("pointer", "")).split("/")
        name = parts[2] if len(parts) > 2 and parts[1] == "answer" else ""
        told.append(FieldFault(name, str(error.get("detail", ""))))
    return told


def typed_of(fields: Sequence[FormField], answer: Mapping[str, Any]) -> dict[str, str]:
    """An answer as it would have been typed."""
    typed = {}
    for field in fields:
        value = answer.get(field.name)
        if value is not None:
            typed[field.key] = {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
    return typed


def typed_in(sent: Mapping[str, str]) -> dict[str, str]:
    """What of a sent form belongs to the task's own form: what a draft keeps."""
    return {name: value for name, value in sent.items() if name.startswith(PREFIX)}


def _field(name: str, part: JsonObject, schema: JsonObject, *, is_required: bool) -> FormField:
    part, may_be_null = _resolved(part, schema)
    kind, options = _kind(name, part)
    return FormField(
        name=name,
        kind=kind,
        required=is_required and not may_be_null,
        options=options,
        help=str(part.get("description", "")),
        longest=part.get("maxLength"),
        label=str(part.get("title") or name),
    )


def _resolved(part: JsonObject, schema: JsonObject) -> tuple[JsonObject, bool]:
    """A property without references, and whether it may be null: `X | None` is an optional X."""
    may_be_null = False
    for _ in range(8):
        if isinstance(reference := part.get("$ref"), str):
            found: Any = schema
            for step in reference.removeprefix("#/").split("/"):
                found = found.get(step, {}) if isinstance(found, dict) else {}
            part = {**found, **{key: value for key, value in part.items() if key != "$ref"}}
        elif isinstance(either := part.get("anyOf"), list):
            others = [one for one in either if one.get("type") != "null"]
            may_be_null = may_be_null or len(others) < len(either)
            if len(others) != 1:
                break
            part = {**others[0], **{key: value for key, value in part.items() if key != "anyOf"}}
        else:
            break
    return part, may_be_null


def _kind(name: str, part: JsonObject) -> tuple[FieldKind, Mapping[str, Any]]:
    values = part.get("enum", [part["const"]] if "const" in part else None)
    if values is not None:
        options = {str(value): value for value in values if value is not None}
        return ("choice" if len(options) <= SHOWN_AT_ONCE else "select"), options
    match part.get("type"), part.get("format"):
        case "boolean", _:
            # An unticked box is not a "no" that somebody has said.
            return "yes_no", {"yes": True, "no": False}
        case "integer", _:
            return ("money" if name.endswith("_minor") else "integer"), {}
        case "string", "date":
            return "date", {}
        case "string", None:
            is_long = name in _LONG_NAMES or part.get("maxLength", 0) > LONG
            return ("long_text" if is_long else "text"), {}
        case _:
            return "unknown", {}


def _value(field: FormField, typed: str, currency: str) -> Any:
    """What somebody typed as the form wants it. Raises ValueError with a sentence for them."""
    if field.options:
        if typed not in field.options:
            raise ValueError("Choose one of these.")
        return field.options[typed]
    match field.kind:
        case "integer":
            return _whole(typed)
        case "money":
            return _minor(typed, currency)
        case "date":
            try:
                return date.fromisoformat(typed).isoformat()
            except ValueError:
                raise ValueError("Write a day as 2026-01-31.") from None
        case "unknown":
            raise ValueError("This field cannot be filled in here; answer by the API.")
        case _:
            return typed


def _without_gaps(typed: str) -> str:
    return re.sub(r"[\s'_\u2019\u00a0\u202f]", "", typed)


def _whole(typed: str) -> int:
    digits = _without_gaps(typed)
    if not re.fullmatch(r"[-+]?\d{1,18}", digits):
        raise ValueError("Write a whole number, in digits.")
    return int(digits)


def _minor(typed: str, currency: str) -> int:
    """An amount, as people of any country write it, in minor units."""
    plain, places = _without_gaps(typed), minor_units(currency)
    marks = [mark for mark in plain if mark in ",."]
    if marks:
        last = marks[-1]
        grouping = set(marks[:-1])
        tail = len(plain) - plain.rindex(last) - 1
        if not grouping and tail == 3 and places != 3:
            raise ValueError("Is this one or a thousand? Write it without a mark, or with the decimals.")
        if last in grouping:
            plain = plain.replace(last, "")
        else:
            plain = plain.replace("," if last == "." else ".", "").replace(last, ".")
    try:
        amount = Decimal(plain).scaleb(places) if re.fullmatch(r"[-+]?\d{1,15}(\.\d+)?", plain) else Decimal("NaN")
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount != amount.to_integral_value():
        raise ValueError(f"Write an amount with at most {places} decimals.")
    return int(amount)


def problems_by_name(faults: Sequence[FieldFault]) -> Iterator[tuple[str, str]]:
    """The faults as pairs of a field's key and a sentence."""
    for fault in faults:
        yield (f"{PREFIX}{fault.name}" if fault.name else "", fault.detail)
