"""The event types as people read them: in words, and by the nearest name."""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from functools import lru_cache
from inspect import cleandoc
from typing import Final

from workflows.events import CATALOGUE, Event

#: How alike two names must be for one to be taken for the other misspelt; below it a guess only misleads.
ALIKE: Final = 0.75
#: Longer names are compared with nothing: the work grows with their length.
LONGEST: Final = 80

_SENTENCE = re.compile(r".*?[.;:](?=\s|$)", re.DOTALL)


def description(kind: type[Event]) -> str:
    """What a type of event is, its units and who tells it."""
    return cleandoc(kind.__dict__.get("__doc__") or "").replace("``", "`")


def first_sentence(kind: type[Event]) -> str:
    """The beginning of its description, in one line."""
    words = " ".join(description(kind).split())
    found = _SENTENCE.match(words)
    return f"{found[0][:-1]}." if found else words


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` most likely means; None when none is really near."""
    if len(name) > LONGEST:
        return None
    folded = {one.casefold(): one for one in known}
    return next((folded[found] for found in get_close_matches(name.casefold(), folded, n=1, cutoff=ALIKE)), None)


@lru_cache(maxsize=256)
def nearest_type(wire_type: str) -> str | None:
    """The type on the wire that a sender most likely means: `payment.deposit_approved` lacks only what is around it."""
    short = wire_type.removeprefix("igaming.").removesuffix(".v1")
    by_short = {kind.type: kind.wire_type for kind in CATALOGUE.values() if not kind.derived}
    meant = nearest(short, by_short)
    return None if meant is None else by_short[meant]
