"""How many examples a property is tried on."""

import os

THOROUGH = 10 if "PROVE" in os.environ else 1
"""How many times longer `make prove` looks than `make test`."""


def examples(number: int, *, quick: int | None = None) -> int:
    """`number` in `make test`, ten times as many in `make prove`.

    With `quick` that is what `make test` tries: for a property that takes a second, or is one of many of its kind.
    """
    return quick if quick is not None and THOROUGH == 1 else number * THOROUGH
