"""Which sources a caller may speak under: not those of the engine's own words, and none but a key's own."""

from collections.abc import Collection
from typing import Final

#: What people do over HTTP, what the engine works out, and what other dialects are mapped to.
RESERVED: Final = ("api", "engine", "/segment", "/fasttrack")


def is_reserved(source: str) -> bool:
    """Whether nobody may post an event under this source: it is one of `RESERVED`, or stands below it."""
    return source.startswith(RESERVED) and within(source, RESERVED)


def within(source: str, roots: Collection[str]) -> bool:
    """Whether a source is one of these or stands below one: `/cashier/eu` and `/cashier:eu` stand below `/cashier`."""
    return any(source == root or source.startswith((f"{root}/", f"{root}:")) for root in roots)
