"""JSON as callers send it: its media types, a byte order mark before it, half characters in it."""

import json
import re
from typing import Final

import orjson

from api.bounds import ITEM
from content.duplicate_json_names import mark_repeated_names

#: What some editors and systems write before UTF-8; RFC 8259 lets a reader ignore it.
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"

_JSON: Final = re.compile(r"application/([a-z0-9!#$&^_.-]+\+)?json")
# It matches whatever follows a quotation mark, so that none is looked at twice.
_TEXT: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_HALF: Final = re.compile(rb"\\u[dD][89a-fA-F]")


def media_type_of(content_type: str) -> str:
    """Type and subtype of a media type, without its parameters and in small letters."""
    return content_type.partition(";")[0].strip().lower()


def is_json(media_type: str) -> bool:
    """Whether a media type without parameters says JSON: application/json, application/vnd.cashier+json."""
    return _JSON.fullmatch(media_type) is not None


def read_json(text: bytes) -> tuple[object, bool]:
    """The value of a JSON text, and whether it may hold what cannot be kept: a NUL, half a character, a repeated name.

    Half a surrogate pair is grammatical JSON and no Unicode; the item that holds it is refused where items are read, so
    that its neighbours are not. Raises ValueError when the text is not UTF-8 JSON, and when it holds half a character
    and a text longer than any item may be.
    """
    text = text.removeprefix(BYTE_ORDER_MARK)
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        # The error itself holds the whole document once more, as characters of up to four bytes.
        why = str(error)
    else:
        marked = mark_repeated_names(text, value)
        return (value, b"\\u0000" in text) if marked is None else (marked, True)
    # No item may hold a text so long, and Python would hold it three times over.
    if _HALF.search(text) is None or any(len(one[0]) > ITEM.size for one in _TEXT.finditer(text)):
        raise ValueError(why)
    try:
        value = json.loads(text.decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise ValueError(why) from None
    marked = mark_repeated_names(text, value)
    return value if marked is None else marked, True


def _no_constant(name: str) -> object:
    raise ValueError(name)
