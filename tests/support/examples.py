"""How many examples a property is tried on."""

import os

THOROUGH = 10 if "PROVE" in os.environ else 1
"""How many times longer `make prove` looks than `make test`."""


def examples(number: int) -> int:
    """`number` in `make test`, ten times as many in `make prove`."""
    return number * THOROUGH
