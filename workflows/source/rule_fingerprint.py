"""Whether a rule is still written as it was: its declaration and its code, with all it calls, as one short text."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, timedelta
from types import CodeType, FunctionType
from typing import Any

from workflows.source.functions import default_values, values_read


def fingerprint(*things: Any) -> str:
    """The same for things that are written the same, in every process of one release of Python.

    Another may be another program: a change of docstrings changes it, and so may a change of Python. What code reaches
    in roundabout ways, such as a value out of a dictionary of functions, is not looked at.
    """
    digest = hashlib.blake2b(digest_size=12)
    for part in _parts(things, set()):
        digest.update(part.encode())
        digest.update(b"\0")
    return digest.hexdigest()


def _parts(thing: Any, seen: set[int]) -> Iterator[str]:
    if thing is None or isinstance(thing, bool | int | float | str | bytes | date | timedelta):
        yield repr(thing)
    elif isinstance(thing, FunctionType):
        if id(thing) not in seen:
            seen.add(id(thing))
            yield from _parts(thing.__code__, seen)
            yield from _parts(default_values(thing), seen)
            yield from _parts(values_read(thing), seen)
    elif isinstance(thing, CodeType):
        yield thing.co_code.hex()
        yield from (*thing.co_names, *thing.co_varnames)
        yield from _parts(thing.co_consts, seen)
    elif isinstance(thing, type):
        yield f"{thing.__module__}.{thing.__qualname__}"
    elif is_dataclass(thing):
        yield type(thing).__qualname__
        yield from _parts({field.name: getattr(thing, field.name) for field in fields(thing)}, seen)
    elif isinstance(thing, Mapping):
        for key, value in thing.items():
            yield repr(key)
            yield from _parts(value, seen)
    elif isinstance(thing, set | frozenset):
        yield from sorted(map(repr, thing))
    elif isinstance(thing, list | tuple):
        yield str(len(thing))
        for one in thing:
            yield from _parts(one, seen)
