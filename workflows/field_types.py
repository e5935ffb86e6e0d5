"""What a field of an event, a reward or a fact may hold: identities, texts, money, counts, moments, durations.

Money is integer minor units, `BasisPoints` is 1/100 of a percent, `Seconds` is whole seconds on the wire and
`timedelta` in Python, `Instant` is RFC 3339 on the wire and aware UTC in Python. Numbers are numbers: 1900, 1900.0 and
1.9e3 are the same, "1900" and true are none.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Final, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    PlainSerializer,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
)

from workflows.countries import in_iso, is_country
from workflows.local_time import LONGEST_ZONE, known_zone
from workflows.minor_units import is_currency

__all__ = [
    "AccountStatus",
    "BasisPoints",
    "Category",
    "Count",
    "Country",
    "Currency",
    "Device",
    "ExclusionKind",
    "ExclusionScope",
    "Facts",
    "HarmStrength",
    "Id",
    "Instant",
    "Jurisdiction",
    "Label",
    "Language",
    "MessageClass",
    "Money",
    "Number",
    "Product",
    "Seconds",
    "SignedMoney",
    "Text",
    "Timezone",
    "Whole",
]

#: The largest integer every JSON reader keeps exact; money and counters stay below it.
MAX_INTEGER: Final = 2**53 - 1
#: Context of validation for what was kept before: an event in Postgres or in a history stays what it was.
STORED: Final = "stored"


#: How a brand is spelt: it stands in ids, queues' fairness keys and headers.
BRAND: Final = r"[a-z0-9-]{1,32}"


def _number(value: object) -> object:
    # "25.00" is how a sender writes 25 euros: read as 25 cents it would be wrong by a hundred, without a word.
    if isinstance(value, str | bytes | bool):
        raise ValueError("must be a whole number without quotes, such as 2500")  # noqa: TRY004 - pydantic's way
    return value


def _currency(code: str, info: ValidationInfo) -> str:
    if not is_currency(code) and info.context != STORED:
        raise ValueError("must be a currency that ISO 4217 knows, such as EUR")
    return code


def _country(code: str, info: ValidationInfo) -> str:
    if info.context == STORED:
        # A run that replays must read what it read before.
        return code
    code = in_iso(code)
    if not is_country(code):
        raise ValueError("must be a country that ISO 3166-1 knows, such as GB")
    return code


def _utc(moment: datetime) -> datetime:
    # Guards astimezone, which overflows at both ends of the calendar with an error that is not a ValueError.
    if not 1970 <= moment.year <= 9000:
        raise ValueError("must lie between the years 1970 and 9000")
    return moment.astimezone(UTC)


def _written(value: object, info: ValidationInfo) -> object:
    # A number is seconds to one sender and milliseconds to another, and 0 is "none" to a third.
    bare = isinstance(value, int | float) or (isinstance(value, str) and "-" not in value[1:])
    if bare and info.context != STORED:
        raise ValueError("must be written with date, time and offset, such as 2026-01-15T12:00:00Z")
    return value


def _whole_seconds(duration: timedelta) -> timedelta:
    return timedelta(days=duration.days, seconds=duration.seconds)


def _seconds(duration: timedelta) -> int:
    return duration.days * 86_400 + duration.seconds


@lru_cache(maxsize=2_048)
def _zone(name: str) -> str:
    if known_zone(name) is None:
        # A refused name is cached by nobody: lru_cache keeps results, not exceptions.
        raise ValueError("must be an IANA time zone such as Europe/Kyiv")
    return name


#: Every character but NUL, which Postgres keeps in no text.
PRINTABLE: Final = r"^[^\x00]*$"

Id = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$")]
Label = Annotated[str, StringConstraints(max_length=100, pattern=PRINTABLE)]
Text = Annotated[str, StringConstraints(max_length=1000, pattern=PRINTABLE)]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$"), AfterValidator(_currency)]
#: ISO 3166-1 alpha-2; `UK` and `EL` are read as `GB` and `GR`.
Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$"), AfterValidator(_country)]
#: A country whose law holds for a player, or a region of it with a law of its own: `GB`, `CA-ON` (ISO 3166-2).
Jurisdiction = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}(-[A-Z0-9]{1,3})?$"), AfterValidator(_country)]
Language = Annotated[str, StringConstraints(max_length=35, pattern=r"^[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*$")]
Timezone = Annotated[
    str, StringConstraints(max_length=LONGEST_ZONE, pattern=r"^[A-Za-z][A-Za-z0-9_+/-]*$"), AfterValidator(_zone)
]
#: For an integer with bounds of its own, behind them: `Annotated[int, Field(ge=1, le=5), Whole]`.
Whole: Final = BeforeValidator(_number)
Money = Annotated[int, Field(ge=0, le=MAX_INTEGER), Whole]
SignedMoney = Annotated[int, Field(ge=-MAX_INTEGER, le=MAX_INTEGER), Whole]
Count = Annotated[int, Field(ge=0, le=MAX_INTEGER), Whole]
Number = Annotated[int, Field(ge=1, le=MAX_INTEGER), Whole]
BasisPoints = Annotated[int, Field(ge=0, le=10_000), Whole]
Instant = Annotated[AwareDatetime, BeforeValidator(_written), AfterValidator(_utc)]
Seconds = Annotated[
    timedelta,
    Field(ge=timedelta(0), le=timedelta(days=36_525)),
    AfterValidator(_whole_seconds),
    Whole,
    PlainSerializer(_seconds, return_type=int),
    WithJsonSchema({"type": "integer", "minimum": 0, "description": "whole seconds"}),
]
Scalar = (
    bool
    | Annotated[int, Field(ge=-MAX_INTEGER, le=MAX_INTEGER)]
    | Annotated[float, Field(allow_inf_nan=False)]
    | Text
    | None
)
Facts = Annotated[dict[Label, Scalar | Annotated[list[Scalar], Field(max_length=50)]], Field(max_length=50)]
AccountStatus = Literal["active", "blocked", "suspended", "closed", "self_excluded", "pending", "deceased"]
Device = Literal["mobile", "desktop", "tablet"]
#: A kind of gambling, as laws on marketing tell them apart.
Product = Literal["casino", "betting", "bingo", "lottery"]
Category = Literal["slot", "table", "live", "crash", "bingo", "lottery", "poker", "virtual"]
ExclusionKind = Literal["self_exclusion", "time_out", "register", "operator"]
ExclusionScope = Literal["brand", "group", "national"]
HarmStrength = Literal["weak", "medium", "strong"]
#: What a message is for. It decides what the gate asks: service, help and security need no consent.
MessageClass = Literal["service", "marketing", "rg", "survey", "security"]
