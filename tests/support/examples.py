"""How many examples a property is tried on."""

import os

THOROUGH = 10 if "PROVE" in os.environ else 1
"""How many times longer `make prove` looks than `make test`."""


AT_MOST = int(os.environ.get("EXAMPLES_AT_MOST", "0"))
"""A bound for all, of `make mutate`, which runs each property once a mutant; 0 is none."""


def examples(number: int, *, quick: int | None = None) -> int:
    """`number` in `make test`, ten times as many in `make prove`.

    With `quick` that is what `make test` tries: for a property that takes a second, or is one of many of its kind.
    """
    tried = quick if quick is not None and THOROUGH == 1 else number * THOROUGH
    return min(tried, AT_MOST) if AT_MOST else tried
