"""JSON in which one object has a name twice: our parser keeps the last value without a word, another one the first."""

import json
import re
from typing import Any, Final

# Whatever stands in texts, a name is followed by `":` in a text in which neither of these is found.
_ESCAPED: Final = b'\\":'
_SPACED: Final = re.compile(rb'"[ \t\r\n]+:')
_SPACES: Final = (b'" ', b'"\t', b'"\r', b'"\n')


class RepeatedName:
    """Stands where the value of a name stood that its object has more than once."""

    __slots__ = ()


def mark_repeated_names(text: bytes, value: object) -> object | None:
    """The value of a JSON text with a `RepeatedName` for each name that an object has twice; None when there is none.

    `value` is what a parser made of the text. That nothing repeats is found by counting, at the speed of a search for
    bytes; only where counting cannot tell is the text read once more. What is nested too deep for that passes.
    """
    if not _may_repeat(text, value):
        return None
    found = False

    def together(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal found
        whole = dict(pairs)
        if len(whole) < len(pairs):
            found = True
            seen: set[str] = set()
            for name, _ in pairs:
                if name in seen:
                    whole[name] = RepeatedName()
                seen.add(name)
        return whole

    try:
        marked: object = json.loads(text, object_pairs_hook=together)
    except (ValueError, RecursionError):
        return None
    return marked if found else None


def _may_repeat(text: bytes, value: object) -> bool:
    if _ESCAPED in text or (any(one in text for one in _SPACES) and _SPACED.search(text) is not None):
        return True
    return text.count(b'":') != _names(value)


def _names(value: object) -> int:
    """How many members the objects of a value have together."""
    names = 0
    waiting = [value] if isinstance(value, dict | list) else []
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            names += len(part)
            waiting += [one for one in part.values() if type(one) is dict or type(one) is list]
        else:
            waiting += [one for one in part if type(one) is dict or type(one) is list]
    return names
