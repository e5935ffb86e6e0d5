"""What a command says that needs a group of dependencies which is not installed."""

import sys
from typing import Final

#: Modules by the group of pyproject.toml that brings them. The groups `local` and `dev` have sentences of their own.
GROUP_OF: Final = {"altair": "design", "polars": "design", "vl_convert": "design"}


def missing_group(error: Exception) -> str | None:
    """The sentence for a module that an optional group brings; None for any other error."""
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    group = GROUP_OF.get((missing or "").partition(".")[0])
    if group is None:
        return None
    command = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    return (
        f"`{f'journeys {command}'.strip()}` needs the group `{group}`, which is not installed here; "
        "run `make setup` in a checkout."
    )
