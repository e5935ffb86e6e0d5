"""Field types that refuse what Postgres and JSON readers cannot hold."""

import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Final, NamedTuple

import orjson
from pydantic import AfterValidator, Field, Strict, StringConstraints

from api.bounds import ITEM
from api.json_text import read_json
from api.problems import pointer
from content.duplicate_json_names import RepeatedName
from workflows.json_object import JsonObject

NO_NUL: Final = r"^[^\x00]*$"

#: What is said of a name that an object has twice.
REPEATED: Final = "Write this name once in its object; of two values nobody can tell which one is meant."
_UNKEPT: Final = re.compile("[\x00\ud800-\udfff]")

#: Numbers and switches of a body as they are written: `"2.5"` is no number, `1` is no `true`. For whole numbers there
#: is `workflows.field_types.Whole`, to which `25.0` is 25, as JSON has it.
Real = Annotated[float, Strict()]
Switch = Annotated[bool, Strict()]

#: A line of text a person or a program gives us.
Line = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=NO_NUL)]
#: What a person writes.
Prose = Annotated[str, StringConstraints(min_length=1, max_length=2_000, pattern=NO_NUL)]


def find_unkept(value: object) -> tuple[str, str] | None:
    """Where in a JSON value a NUL, half a character or a `RepeatedName` stands, as a pointer, and what to do about it.

    None can be kept, and half a character cannot even be repeated in an answer. Without recursion: JSON may be
    nested deeper than our stack.
    """
    # Each part knows what it stands in. A pointer is as long as all names above it: it is written for the one found.
    waiting: list[tuple[_Place | None, object]] = [(None, value)]
    while waiting:
        place, part = waiting.pop()
        if isinstance(part, str) and (found := _UNKEPT.search(part)) is not None:
            return _pointer_to(place), _advice(found[0])
        if isinstance(part, RepeatedName):
            return _pointer_to(place), REPEATED
        if isinstance(part, dict) and (found := next(filter(None, map(_UNKEPT.search, part)), None)) is not None:
            return _pointer_to(place), _advice(found[0])
        waiting += _within(place, part)
    return None


class _Place(NamedTuple):
    """Where a part of a JSON value stands: in which other part, and under what name or number."""

    parent: "_Place | None"
    name: int | str


def find_repeated_name(text: bytes) -> str | None:
    """Where a JSON text has a name twice in one object, as a pointer; None when it does not, or is no JSON."""
    try:
        value, suspect = read_json(text)
    except ValueError:
        return None
    waiting: list[tuple[_Place | None, object]] = [(None, value)] if suspect else []
    while waiting:
        place, part = waiting.pop()
        if isinstance(part, RepeatedName):
            return _pointer_to(place)
        waiting += _within(place, part)
    return None


def _within(place: "_Place | None", part: object) -> Iterator[tuple["_Place", object]]:
    named: Iterable[tuple[int | str, object]] = ()
    if isinstance(part, dict):
        named = part.items()
    elif isinstance(part, list):
        named = enumerate(part)
    return ((_Place(place, name), inner) for name, inner in named)


def _pointer_to(place: _Place | None) -> str:
    names: list[int | str] = []
    while place is not None:
        names.append(place.name)
        place = place.parent
    return pointer(names[::-1])


def _advice(character: str) -> str:
    if character == "\x00":
        return "Remove the NUL character (\\u0000); it cannot be kept."
    return f"Send the whole character or none: \\u{ord(character):04x} is half of one and cannot be kept."


def _kept_exactly(document: JsonObject) -> JsonObject:
    if (excess := ITEM.excess(document)) is not None:
        raise ValueError(excess)
    # Python reads more than JSON holds (NaN, integers of any size, half characters), and Postgres less (NUL).
    try:
        same = orjson.loads(orjson.dumps(document)) == document
    except (orjson.JSONEncodeError, orjson.JSONDecodeError, RecursionError):
        same = False
    if not same or find_unkept(document) is not None:
        raise ValueError("must be plain JSON: no NaN, no integers beyond 64 bits, no NUL character, not nested deeply")
    return document


#: A JSON object that is kept as it is given.
Document = Annotated[JsonObject, AfterValidator(_kept_exactly), Field(max_length=200)]
