r"""From a row of somebody's file to a CloudEvent: which column becomes which part.

    journeys import deposits.csv --type payment.deposit_approved \
        --map subject=player_id --map time=paid_at --map data.amount_minor=amount:minor \
        --map data.payment_id=@id --set data.currency=EUR

`--map PART=COLUMN` copies a column, `--map PART=COLUMN:CONVERSION` converts it on the way, `--set PART=TEXT` is the
same in every row. PART is subject, time, type, id, source or data.<field>. A mapping file holds the same in TOML.

A cell is text, and a number of an event is a number: text becomes one here, where it is a whole number beyond doubt.
"""

import difflib
import hashlib
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import orjson

from content.toml_files import read_toml
from workflows.errors import JourneysError
from workflows.events import CATALOGUE, Event
from workflows.local_time import known_zone
from workflows.minor_units import is_currency, minor_of, minor_of_text

CloudEvent = dict[str, Any]
Values = Mapping[str, Any]

ATTRIBUTES = ("subject", "time", "type", "id", "source")
NEEDED = ("type", "subject", "time")
ROW_ID = "@id"
SOURCE = "/import"
#: Unix times above this are milliseconds; as seconds it would be the year 5138.
MILLISECONDS = 100_000_000_000
#: Unix times below this lie before March 1973, where no casino has a player: they are days since 1900, or nothing.
FIRST_SECOND = 100_000_000
#: What spreadsheets, databases and statistics programs write into a cell that holds nothing.
NULLS: Final = frozenset({"NA", "N/A", "#N/A", "NULL", "null", "None", "NaN", "nan", "\\N", "-"})
#: In a column of countries this is Namibia.
NAMIBIA: Final = "NA"

_SERIAL: Final = re.compile(r"[1-9][0-9]{4}(\.[0-9]+)?")
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,20}")
_UNIX: Final = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?")


class MappingError(JourneysError):
    """The mapping cannot be applied to this file; correct it and run the command again."""


class RowRefused(JourneysError):
    """One row cannot become an event; correct it and import the file again."""


def _minor(value: Any, event: CloudEvent) -> int:
    currency = str(event["data"].get("currency") or "EUR").upper()
    if not is_currency(currency):
        raise RowRefused(
            f"{currency[:50]!r} is not a currency that ISO 4217 knows, so nobody can say what its smallest unit is; "
            "give the amount in one that it knows."
        )
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return minor_of(Decimal(str(value)), currency)
        return minor_of_text(str(value).strip(), currency)
    except (ValueError, ArithmeticError) as error:
        phrase = error if isinstance(error, ValueError) else "not an amount; write it with digits and a decimal point"
        raise RowRefused(f"{str(value)[:50]!r} is {phrase}.") from None


def _integer(value: Any, _: CloudEvent) -> Any:
    if isinstance(value, str):
        if not _WHOLE.fullmatch(value.strip()):
            raise RowRefused(f"{value[:50]!r} is not a whole number; write it with digits only.")
        return int(value)
    return value


def _unix(value: Any, _: CloudEvent) -> str:
    try:
        seconds = float(value) if not isinstance(value, str) or _UNIX.fullmatch(value.strip()) else float("nan")
        moment = datetime.fromtimestamp(seconds / 1000 if abs(seconds) > MILLISECONDS else seconds, UTC)
    except (ValueError, TypeError, OverflowError, OSError):
        raise RowRefused(f"{str(value)[:50]!r} is not a Unix time; give seconds or milliseconds since 1970.") from None
    if abs(seconds) < FIRST_SECOND:
        raise RowRefused(
            f"{str(value)[:50]!r} is not a Unix time of this century; if it is a spreadsheet's number of a day, format "
            "the column as 2026-01-31 12:00:00 before you save it as CSV."
        )
    return moment.isoformat()


def _list(value: Any, _: CloudEvent) -> list[Any]:
    if isinstance(value, list):
        return value
    return [part for part in str(value).replace(",", " ").replace(";", " ").replace("|", " ").split() if part]


def _json(value: Any, _: CloudEvent) -> Any:
    try:
        return orjson.loads(value) if isinstance(value, str) else value
    except orjson.JSONDecodeError:
        raise RowRefused(f"{str(value)[:50]!r} is not JSON; quote it as JSON or leave out ':json'.") from None


#: Conversion by name; each also sees the event so far, whose plain columns and constants are already in place.
CONVERSIONS: Mapping[str, Callable[[Any, CloudEvent], Any]] = {
    "minor": _minor,
    "unix": _unix,
    "list": _list,
    "json": _json,
    "lower": lambda value, _: str(value).lower(),
    "upper": lambda value, _: str(value).upper(),
    "integer": _integer,
}


@dataclass(frozen=True)
class Column:
    """A column of the file, and how it is converted."""

    name: str
    conversion: str | None = None


@dataclass(frozen=True)
class RowMapping:
    """Which column, or which constant, becomes which part of the event.

    Column names of NDJSON may be dotted to reach inside objects. `zone` is where times without an offset are from.
    `nulls` are the texts that say nothing, as an empty cell does; `NULLS` if it is None.
    """

    columns: Mapping[str, Column]
    constants: Mapping[str, Any] = field(default_factory=dict)
    zone: tzinfo = UTC
    nulls: frozenset[str] | None = None

    def fitted(self, header: Sequence[str]) -> "RowMapping":
        """The mapping for a file with these columns, whose names may have spaces around them. Raises MappingError."""
        self.check(header)
        written = {column_name(raw): raw for raw in header}
        columns = {
            part: column if column.name == ROW_ID else replace(column, name=written[column.name])
            for part, column in self.columns.items()
        }
        return replace(self, columns=columns)

    def check(self, header: Sequence[str] | None) -> None:
        """Raise MappingError with one sentence for each fault; `header` is None where the columns are not known."""
        named = [column.name for column in self.columns.values() if column.name != ROW_ID]
        faults = [] if header is None else _column_faults(named, [column_name(raw) for raw in header])
        faults += [
            f"Nothing says what the {part} of an event is; add --map {part}=COLUMN."
            for part in NEEDED
            if part not in self.columns and part not in self.constants
        ]
        parts = sorted((*self.columns, *self.constants))
        faults += [
            f"{one} and {other} cannot both be given; leave one out."
            for one in parts
            for other in parts
            if other.startswith(f"{one}.")
        ]
        kind = _declared(str(self.constants["type"])) if "type" in self.constants else None
        if kind is not None:
            faults += self._against(kind)
        if faults:
            raise MappingError("\n".join(faults))

    def _against(self, kind: type[Event]) -> list[str]:
        fields = kind.data_schema()
        known, needed = list(fields["properties"]), fields.get("required", [])
        mapped = {part.split(".")[1] for part in (*self.columns, *self.constants) if part.startswith("data.")}
        faults = [
            f"{kind.type} has no field {name!r}; it has {', '.join(known)}." for name in sorted(mapped - set(known))
        ]
        for name in needed:
            if name not in mapped:
                own = f" or --map data.{name}={ROW_ID}" if name.endswith("id") else ""
                faults.append(f"{kind.type} needs data.{name}; add --map data.{name}=COLUMN{own}.")
        return faults

    def event(self, values: Values, row_id: str) -> CloudEvent:
        """The CloudEvent of a row. Raises RowRefused with a sentence."""
        event: CloudEvent = {"specversion": "1.0", "source": SOURCE, "id": row_id, "data": {}}
        for part, constant in self.constants.items():
            _put(event, part, constant)
        # Plain columns first: a conversion may look at them, as `minor` does at the currency.
        for part, column in sorted(self.columns.items(), key=lambda one: one[1].conversion is not None):
            value = row_id if column.name == ROW_ID else _get(values, column.name)
            if value is None or (isinstance(value, str) and self._says_nothing(part, value.strip())):
                continue
            if column.conversion is not None:
                value = CONVERSIONS[column.conversion](value, event)
            _put(event, part, value)
        for part in NEEDED:
            if part not in event:
                raise RowRefused(f"The row has no {part}; its column {self.columns[part].name!r} is empty.")
        _numbers(event)
        event["subject"] = str(event["subject"])
        event["id"] = str(event["id"])
        event["type"] = wire_type(str(event["type"]))
        event["time"] = self._moment(event["time"])
        return event

    def _says_nothing(self, part: str, text: str) -> bool:
        if self.nulls is not None:
            return not text or text in self.nulls
        return not text or (text in NULLS and not (text == NAMIBIA and part == "data.country"))

    def _moment(self, value: Any) -> str:
        if _SERIAL.fullmatch(str(value).strip()):
            raise RowRefused(
                f"{str(value)[:50]!r} is a spreadsheet's number of a day; format the column as 2026-01-31 12:00:00 "
                "before you save it as CSV."
            )
        try:
            moment = instant(str(value), self.zone)
        except ValueError:
            raise RowRefused(
                f"{str(value)[:50]!r} is not a time; write it as 2026-01-31T12:00:00Z, or map a Unix time with ':unix'."
            ) from None
        return moment.isoformat().replace("+00:00", "Z")


#: Read without being told: the columns a plain export of deposits has.
DEPOSITS = RowMapping(
    columns={
        "subject": Column("player_id"),
        "time": Column("ts_utc"),
        "data.amount_minor": Column("amount_usd", "minor"),
        "data.payment_id": Column(ROW_ID),
    },
    constants={"type": "payment.deposit_approved", "data.currency": "USD"},
)


def mapping_of(
    maps: Sequence[str] = (),
    sets: Sequence[str] = (),
    *,
    kind: str | None = None,
    source: str | None = None,
    file: Path | None = None,
    zone: str | None = None,
    nulls: Sequence[str] = (),
) -> RowMapping | None:
    """The mapping that the options of `journeys import` describe; None when they describe none.

    Options win over the mapping file. Raises MappingError with a sentence.
    """
    columns, constants = _read(file) if file is not None else ({}, {})
    for option, pairs in (("--map", maps), ("--set", sets)):
        for part, rest in (_pair(option, text) for text in pairs):
            columns.pop(part, None)
            constants.pop(part, None)
            if option == "--map":
                columns[part] = _column(rest)
            else:
                constants[part] = rest
    if kind is not None:
        constants["type"] = kind
    if source is not None:
        constants["source"] = source
    if not columns:
        if constants:
            raise MappingError("No column is mapped to any part; add --map subject=COLUMN and --map time=COLUMN.")
        return None
    if "type" in constants:
        constants["type"] = wire_type(str(constants["type"]), mistake=MappingError)
    return RowMapping(columns, constants, _zone(zone), frozenset(nulls) if nulls else None)


def instant(text: str, zone: tzinfo = UTC) -> datetime:
    """The moment an ISO 8601 text names, in UTC; without an offset it is one of `zone`.

    Raises ValueError for any other text, and for the last hours at both ends of the calendar, which no zone can move.
    """
    moment = datetime.fromisoformat(text.strip())
    try:
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)).astimezone(UTC)
    except OverflowError:
        raise ValueError("beyond the calendar") from None


class RowIds:
    """Identities of rows: the hash of what a row says, and how often it was said before.

    A file imported twice gives the same identities, so does a longer export of the same table, whatever the file is
    called. Two rows that say the same are two events; they must stand in the file both times.
    """

    def __init__(self) -> None:
        self._seen: Counter[int] = Counter()

    def of(self, values: Values, kind: str) -> str:
        """The identity of the next row; call it once a row, in the order of the file."""
        said = orjson.dumps([kind, *sorted((str(k), v) for k, v in values.items())], default=str)
        digest = hashlib.sha256(said).digest()
        number = int.from_bytes(digest[:12], "big")
        self._seen[number] += 1
        return f"{number:024x}-{self._seen[number]}"


def wire_type(name: str, *, mistake: type[JourneysError] = RowRefused) -> str:
    """The full type of an event named in full or in short. Raises `mistake` for an unknown short name."""
    kind = _declared(name)
    if kind is not None:
        return kind.wire_type
    if name.count(".") >= 2 and "/" not in name:
        return name
    short = [known.type for known in CATALOGUE.values()]
    near = difflib.get_close_matches(name, short, n=1)
    hint = f"; did you mean {near[0]}?" if near else "; see `journeys show` or the API documentation."
    raise mistake(f"There is no event type {name[:100]!r}{hint}")


def _declared(name: str) -> type[Event] | None:
    return CATALOGUE.get(name) or CATALOGUE.get(f"igaming.{name}.v1")


def _zone(name: str | None) -> tzinfo:
    found = known_zone(name) if name else UTC
    if found is None:
        raise MappingError(f"{name!r:.100} is not a time zone; use an IANA name such as Europe/Kyiv.")
    return found


def _read(file: Path) -> tuple[dict[str, Column], dict[str, Any]]:
    try:
        content = read_toml(file)
    except OSError as error:
        raise MappingError(f"The mapping file {file} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise MappingError(f"The mapping file {file} is not TOML: {error}.") from None
    if unknown := sorted(set(content) - {"map", "set", "type", "source"}):
        raise MappingError(f"The mapping file {file} may hold type, source, [map] and [set], not {unknown[0]!r}.")
    for name in ("map", "set"):
        if not isinstance(content.get(name, {}), dict):
            raise MappingError(f"The mapping file {file} holds {name} as a value; write it as a table, [{name}].")
    columns = {part: _column(str(column)) for part, column in _flat(content.get("map", {}))}
    constants = dict(_flat(content.get("set", {})))
    constants |= {name: content[name] for name in ("type", "source") if name in content}
    for part in (*columns, *constants):
        _check_part(part)
    return columns, constants


def _flat(table: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """TOML reads `data.currency = "USD"` as a table in a table."""
    return [
        found
        for name, value in table.items()
        for found in (_flat(value, f"{prefix}{name}.") if isinstance(value, dict) else [(f"{prefix}{name}", value)])
    ]


def _pair(option: str, text: str) -> tuple[str, str]:
    part, equals, rest = text.partition("=")
    if not equals or not rest:
        raise MappingError(f"{option} {text!r} does not read PART=VALUE, such as {option} subject=player_id.")
    _check_part(part)
    return part, rest


def _check_part(part: str) -> None:
    if part not in ATTRIBUTES and not (part.startswith("data.") and all(part.split("."))):
        raise MappingError(f"{part!r} is not a part of an event; use {', '.join(ATTRIBUTES)} or data.<field>.")


def _column(text: str) -> Column:
    name, colon, conversion = text.rpartition(":")
    return Column(name, conversion) if colon and name and conversion in CONVERSIONS else Column(text)


def column_name(raw: str) -> str:
    """The name of a column, which may stand in a header with spaces or a byte order mark around it."""
    return raw.strip().strip("\ufeff").strip()


def _column_faults(named: Sequence[str], header: Sequence[str]) -> list[str]:
    faults = [_no_column(name, header) for name in named if name not in header]
    for name in dict.fromkeys(named):
        if header.count(name) > 1:
            places = " and ".join(str(number) for number, known in enumerate(header, 1) if known == name)
            faults.append(f"The file has the column {name!r} more than once (columns {places}); rename all but one.")
    return faults


def _numbers(event: CloudEvent) -> None:
    """Turn what a file could only write as text into the numbers the event has. Raises RowRefused."""
    kind = _declared(str(event["type"]))
    for name in _number_fields(kind) & event["data"].keys() if kind is not None else ():
        text = event["data"][name]
        if isinstance(text, str):
            written = text.strip()
            # A column of counts with gaps is written 3.0 by some programs; of money 25.0 would be a guess.
            written = written if name.endswith("_minor") else written.removesuffix(".0")
            if not _WHOLE.fullmatch(written):
                hint = "map an amount with ':minor'" if name.endswith("_minor") else "write it with digits only"
                raise RowRefused(f"{text[:50]!r} is not a whole number, which {name} is; {hint}.")
            event["data"][name] = int(written)


@lru_cache
def _number_fields(kind: type[Event]) -> frozenset[str]:
    fields = kind.data_schema()["properties"]
    return frozenset(name for name, schema in fields.items() if "integer" in _json_types(schema))


def _json_types(schema: Mapping[str, Any]) -> set[str]:
    return {part["type"] for part in (schema, *schema.get("anyOf", ())) if isinstance(part.get("type"), str)}


def _no_column(name: str, header: Sequence[str]) -> str:
    sentence = f"The file has no column {name!r}; it has {', '.join(header) or 'none'}."
    before, colon, conversion = name.rpartition(":")
    if colon and before in header:
        sentence += f" {conversion!r} is not a conversion; there are {', '.join(CONVERSIONS)}."
    return sentence


def _get(values: Values, name: str) -> Any:
    if name in values:
        return values[name]
    found: Any = values
    for part in name.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(part)
    return found


def _put(event: CloudEvent, part: str, value: Any) -> None:
    *path, last = part.split(".")
    place = event
    for name in path:
        place = place.setdefault(name, {})
    place[last] = value
