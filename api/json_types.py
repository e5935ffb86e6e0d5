"""Field types that refuse what Postgres and JSON readers cannot hold."""

from typing import Annotated, Final

import orjson
from pydantic import AfterValidator, Field, StringConstraints

from api.problems import pointer
from workflows.json_object import JsonObject

NO_NUL: Final = r"^[^\x00]*$"

#: A line of text a person or a program gives us.
Line = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=NO_NUL)]
#: What a person writes.
Prose = Annotated[str, StringConstraints(min_length=1, max_length=2_000, pattern=NO_NUL)]


def find_nul(value: object) -> str | None:
    """Where in a JSON value a NUL character stands, as a pointer.

    Without recursion: JSON may be nested deeper than our stack.
    """
    waiting: list[tuple[str, object]] = [("", value)]
    while waiting:
        where, part = waiting.pop()
        if isinstance(part, str) and "\x00" in part:
            return where
        if isinstance(part, dict):
            if any("\x00" in name for name in part):
                return where
            waiting += [(where + pointer([name]), inner) for name, inner in part.items()]
        elif isinstance(part, list):
            waiting += [(f"{where}/{index}", inner) for index, inner in enumerate(part)]
    return None


def _kept_exactly(document: JsonObject) -> JsonObject:
    # Python reads more than JSON holds (NaN, integers of any size, half characters), and Postgres less (NUL).
    try:
        same = orjson.loads(orjson.dumps(document)) == document
    except (orjson.JSONEncodeError, orjson.JSONDecodeError, RecursionError):
        same = False
    if not same or find_nul(document) is not None:
        raise ValueError("must be plain JSON: no NaN, no integers beyond 64 bits, no NUL character, not nested deeply")
    return document


#: A JSON object that is kept as it is given.
Document = Annotated[JsonObject, AfterValidator(_kept_exactly), Field(max_length=200)]
