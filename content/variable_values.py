"""Values of message variables: read from JSON strictly, written in the player's language by Babel.

Everything here is pure: the locale and the zone are arguments, nothing is read from the machine.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from decimal import Context, Decimal
from functools import cache
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from babel import Locale
from babel.dates import format_date, format_time
from babel.numbers import format_currency, format_decimal, format_percent, get_currency_precision

from workflows.minor_units import minor_units

VariableType = Literal["text", "name", "money", "date", "datetime", "number", "percent", "url"]

LONGEST_TEXT = 2_000
LONGEST_NAME = 40
#: Digits before the point, and behind it, that a number may have; with more, arithmetic on decimals rounds or fails.
MOST_DIGITS = 24

_CURRENCY = re.compile(r"[A-Z]{3}\Z")
_NAME_MARKS = frozenset(" .'-\N{RIGHT SINGLE QUOTATION MARK}\N{MODIFIER LETTER APOSTROPHE}")
_EXACT = Context(prec=3 * MOST_DIGITS)
_NO_NAMES = frozenset({"first name", "firstname", "name", "none", "null", "undefined", "unknown", "test", "n.a"})


class Money(NamedTuple):
    """An amount in minor units of an ISO 4217 currency."""

    minor: int
    currency: str


Value = str | Money | date | datetime | int | Decimal


@dataclass(frozen=True)
class Manner:
    """How values are written for one player: the language's habits and the player's own clock."""

    locale: Locale
    zone: tzinfo


def read(kind: VariableType, value: object, currency: str | None = None) -> Value | None:
    """The value as its declared type; None if it is as good as absent. A bare integer is money in `currency`.

    Raises ValueError with a phrase that completes "the variable ... must be". The phrase never repeats the
    value: it may be a player's name, and errors travel to places where no personal data may be.
    """
    if value is None or value == "":
        return None
    if kind == "money" and isinstance(value, int | float) and currency is not None:
        value = (value, currency)
    return _READERS[kind](value)


def _text(value: object) -> Value | None:
    if not isinstance(value, str):
        raise ValueError("text")  # noqa: TRY004 - one error for every wrong value
    if len(value) > LONGEST_TEXT:
        raise ValueError(f"at most {LONGEST_TEXT} characters long")
    kept = "".join(c if c == "\n" or unicodedata.category(c) not in ("Cc", "Zl", "Zp") else " " for c in value)
    return kept.strip() or None


def _name(value: object) -> Value | None:
    if not isinstance(value, str):
        raise ValueError("text")  # noqa: TRY004 - one error for every wrong value
    name = " ".join(value.split())
    if not name:
        return None
    # Registration forms take "[FIRST_NAME]", "null" and links; greeting a player by one is worse than by none.
    if len(name) > LONGEST_NAME or not name[0].isalpha():
        return None
    if not all(c in _NAME_MARKS or unicodedata.category(c)[0] in "LM" for c in name):
        return None
    if name.casefold().rstrip(".") in _NO_NAMES or re.search(r"\.\w{2}", name):
        return None
    return name


def _money(value: object) -> Value:
    match value:
        case Money(minor, currency):
            pass
        case Mapping() if set(value) == {"minor", "currency"}:
            minor, currency = value["minor"], value["currency"]
        case [minor, currency]:
            pass
        case _:
            raise ValueError(
                'money: {"minor": 500, "currency": "EUR"}, [500, "EUR"], or 500 in the currency of the player'
            )
    # A journey that halves an amount holds a float: 250.0 is 250.
    whole = None if isinstance(minor, bool) or not isinstance(minor, int | float) else _number(minor)
    if not isinstance(whole, int):
        raise ValueError("money whose amount is a whole number of minor units")  # noqa: TRY004
    if not isinstance(currency, str) or not _CURRENCY.match(currency):
        raise ValueError("money whose currency is an ISO 4217 code such as EUR")
    return Money(whole, currency)


def _number(value: object) -> int | Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError("a number")  # noqa: TRY004 - one error for every wrong value
    # Bounded before it becomes text, which Python refuses for integers of thousands of digits.
    if isinstance(value, int):
        if abs(value) >= 10**MOST_DIGITS:
            raise ValueError(f"a number of at most {MOST_DIGITS} digits")
        return value
    number = Decimal(str(value))
    if not number.is_finite():
        raise ValueError("a finite number")
    if number and number.adjusted() >= MOST_DIGITS:
        raise ValueError(f"a number of at most {MOST_DIGITS} digits")
    number = number.quantize(Decimal(1).scaleb(-MOST_DIGITS), context=_EXACT).normalize(_EXACT)
    # What is written decides the plural, not how it was reckoned: 1.0 is written 1 and takes one spin.
    return int(number) if number == number.to_integral_value(context=_EXACT) else number


def _date(value: object) -> Value:
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    elif isinstance(value, date) and not isinstance(value, datetime):
        return value
    raise ValueError("a date such as 2026-07-05")


def _datetime(value: object) -> Value:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            value = None
    # No zone can move the last hours at both ends of the calendar.
    if isinstance(value, datetime) and value.utcoffset() is not None and 1 < value.year < 9999:
        return value
    raise ValueError("a time with its offset, such as 2026-07-05T18:00:00Z")


def _url(value: object) -> Value:
    if isinstance(value, str) and len(value) <= LONGEST_TEXT and value.isascii() and value.isprintable():
        try:
            parts = urlsplit(value)
        except ValueError:
            parts = urlsplit("")
        if parts.scheme in ("http", "https") and parts.hostname and not re.search(r"[\s<>\"]", value):
            return value
    raise ValueError("an absolute http or https address")


_READERS: dict[VariableType, Callable[[object], Value | None]] = {
    "text": _text,
    "name": _name,
    "money": _money,
    "date": _date,
    "datetime": _datetime,
    "number": _number,
    "percent": _number,
    "url": _url,
}


def write_money(manner: Manner, money: Money) -> str:
    """`Money(123450, "EUR")` as €1,234.50 in English and 1 234,50 € in Russian.

    The habit of a currency without decimals (RSD 100) is kept only while it hides nothing (RSD100.50).
    """
    amount = Decimal(money.minor).scaleb(-minor_units(money.currency))
    usual = amount == round(amount, get_currency_precision(money.currency))
    return format_currency(
        amount, money.currency, locale=manner.locale, currency_digits=usual, decimal_quantization=usual
    )


def write_date(manner: Manner, day: date) -> str:
    """July 5, 2026 in American English, 5 July 2026 in British."""
    return format_date(day, "long", locale=manner.locale)


def write_datetime(manner: Manner, instant: datetime) -> str:
    """The date and the time to the minute on the player's own clock."""
    local = instant.astimezone(manner.zone)
    return f"{write_date(manner, local.date())}, {format_time(local.time(), 'short', locale=manner.locale)}"


def write_number(manner: Manner, number: int | Decimal) -> str:
    """Grouped and with the language's decimal mark: 1,234.5 or 1 234,5."""
    return format_decimal(number, locale=manner.locale, decimal_quantization=False)


def write_percent(manner: Manner, percent: int | Decimal) -> str:
    """Of a number of percent (50, not 0.5): 50% in English, 50 % in Russian."""
    return format_percent(Decimal(percent) / 100, locale=manner.locale, decimal_quantization=False)


def write_plural(manner: Manner, number: int | Decimal, forms: Mapping[str, str]) -> str:
    """The number with the word in the form CLDR says it takes: 1 spin, 10 spins; 1 час, 2 часа, 5 часов.

    A fraction takes `other`; where a language's whole numbers never need that form (Russian, Ukrainian) and the
    template has none, it takes `few`, which is how both decline after a fraction.
    """
    category = manner.locale.plural_form(number)
    word = forms.get(category) or forms.get("few") or forms["other"]
    return f"{write_number(manner, number)} {word}"


@cache
def plural_categories(locale: Locale) -> frozenset[str]:
    """The forms a language needs to count whole things: one, other for English; one, few, many for Russian."""
    # A hundred numbers show every rule of the languages CLDR knows; thousands and millions show the rare ones.
    return frozenset(locale.plural_form(n) for n in (*range(201), 1_000, 1_000_000))
