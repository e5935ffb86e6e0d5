"""The known name that somebody most likely meant by one that is not known."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

#: How alike two names must be for one to be taken for the other misspelt; below it a guess only misleads.
ALIKE: Final = 0.75
#: Longer names are compared with nothing: the work grows with their length.
LONGEST: Final = 80


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` most likely means; None when none is really near."""
    if len(name) > LONGEST:
        return None
    folded = {one.casefold(): one for one in known}
    return next((folded[found] for found in get_close_matches(name.casefold(), folded, n=1, cutoff=ALIKE)), None)
