"""How ad networks know a person: SHA-256 of a mail address and of a telephone number, written as each network asks.

Sources: Google Ads, "Formatting guidelines for Customer Match data files"; Meta, Marketing API, "Customer File Custom
Audiences: hashing and normalizing". Nothing is salted, or nobody could match it: who has a list of addresses can find
them in such a file, so it is personal data all the same.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Final, Literal

Network = Literal["google", "meta"]
#: The first line of each network's file.
HEADERS: Final[Mapping[Network, tuple[str, str]]] = {"google": ("Email", "Phone"), "meta": ("email", "phone")}
#: Digits of numbers that can be dialled from abroad (E.164).
_E164: Final = range(7, 16)


def identifiers(profile: Mapping[str, object], network: Network) -> tuple[str, str]:
    """The two columns of a person's line, in hexadecimal; empty where there is none, or none that can be matched."""
    return _hashed(_email(profile.get("email"))), _hashed(_phone(profile.get("phone"), network))


def _email(given: object) -> str:
    address = "".join(given.split()).lower() if isinstance(given, str) else ""
    return address if re.fullmatch(r"[^@]+@[^@]+", address) else ""


def _phone(given: object, network: Network) -> str:
    """With its country, as an international number begins with `+` or `00`; Google keeps the plus and Meta does not."""
    text = given.strip() if isinstance(given, str) else ""
    digits = re.sub(r"\D", "", text)
    if text.startswith("00"):
        digits = digits.removeprefix("00")
    elif not text.startswith("+"):
        return ""
    if len(digits) not in _E164 or digits.startswith("0"):
        return ""
    return f"+{digits}" if network == "google" else digits


def _hashed(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest() if value else ""
