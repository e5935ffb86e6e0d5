"""What an event type is, in words, and which one a misspelt name means."""

import re
from functools import lru_cache
from inspect import cleandoc

from content.nearest_name import nearest
from workflows.events import CATALOGUE, Event

_SENTENCE = re.compile(r".*?[.;:](?=\s|$)", re.DOTALL)


def description(kind: type[Event]) -> str:
    """What a type of event is, its units and who tells it."""
    return cleandoc(kind.__dict__.get("__doc__") or "").replace("``", "`")


def first_sentence(kind: type[Event]) -> str:
    """The beginning of its description, in one line."""
    words = " ".join(description(kind).split())
    found = _SENTENCE.match(words)
    return f"{found[0][:-1]}." if found else words


@lru_cache(maxsize=256)
def nearest_type(wire_type: str) -> str | None:
    """The type on the wire that a sender most likely means: `payment.deposit_approved` lacks only what is around it."""
    short = wire_type.removeprefix("igaming.").removesuffix(".v1")
    by_short = {kind.type: kind.wire_type for kind in CATALOGUE.values() if not kind.derived}
    meant = nearest(short, by_short)
    return None if meant is None else by_short[meant]
