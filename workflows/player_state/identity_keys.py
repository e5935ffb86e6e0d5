"""What tells that two accounts are one person, written one way: addresses, and name with date of birth.

The results are personal data. They are hashed with a key before they are kept anywhere.
"""

import re
import unicodedata
from collections.abc import Mapping
from datetime import date
from typing import Final, Literal

#: What a person may be recognised by.
IdentityKind = Literal["email", "phone", "person"]
#: Mail systems that take `a.nna` and `anna` for one mailbox.
_DOTLESS: Final = frozenset({"gmail.com", "googlemail.com"})
#: Digits of the shortest number that can be dialled from abroad.
_SHORTEST_PHONE: Final = 7


def identity_keys(profile: Mapping[str, object]) -> dict[IdentityKind, str]:
    """By kind: what of a profile identifies a person, normalised; what is missing or cannot be read is left out.

    `email`: lower case, without `+tag`, and for Gmail without dots. `phone`: digits alone. `person`: first name without
    accents and date of birth; there is no surname in the catalogue, so two people may well share it.
    """
    found: dict[IdentityKind, str | None] = {
        "email": _email(profile.get("email")),
        "phone": _phone(profile.get("phone")),
        "person": _person(profile.get("first_name"), profile.get("birth_date")),
    }
    return {kind: value for kind, value in found.items() if value is not None}


def _email(value: object) -> str | None:
    name, at, domain = _plain(value).rpartition("@")
    name = name.partition("+")[0]
    if domain in _DOTLESS:
        name, domain = name.replace(".", ""), "gmail.com"
    return f"{name}@{domain}" if name and at and domain else None


def _phone(value: object) -> str | None:
    digits = re.sub(r"\D", "", _plain(value)).removeprefix("00")
    return digits if len(digits) >= _SHORTEST_PHONE else None


def _person(first_name: object, birth_date: object) -> str | None:
    letters = (letter for letter in unicodedata.normalize("NFKD", _plain(first_name)) if letter.isalpha())
    name = "".join(letters)
    try:
        born = date.fromisoformat(str(birth_date))
    except ValueError:
        return None
    return f"{name}/{born.isoformat()}" if name else None


def _plain(value: object) -> str:
    return unicodedata.normalize("NFKC", value).casefold().strip() if isinstance(value, str) else ""
