"""Reads a TOML file that a designer wrote, or says in one sentence why it cannot be read."""

import tomllib
from pathlib import Path
from typing import Any, Final

#: Tables and lists within each other; what is declared in them needs four.
DEEPEST: Final = 32

_TOO_DEEP: Final = f"it is nested more than {DEEPEST} deep"


def read_toml(path: Path) -> dict[str, Any]:
    """The document of a file. Raises OSError when there is none, ValueError with what is wrong when it is no TOML."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    level: list[Any] = [document]
    for _ in range(DEEPEST + 1):
        inner = [part.values() if isinstance(part, dict) else part for part in level]
        level = [value for values in inner for value in values if isinstance(value, dict | list)]
        if not level:
            return document
    raise ValueError(_TOO_DEEP)
