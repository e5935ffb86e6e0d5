"""What a package hands on of its modules, computed, so that a name stands in one list only: its own module's."""

from collections.abc import Mapping
from types import ModuleType


def public_names(namespace: Mapping[str, object]) -> list[str]:
    """The names a package has gathered by `from module import *`, in order; neither modules nor `_private`."""
    return sorted(
        name for name, thing in namespace.items() if not name.startswith("_") and not isinstance(thing, ModuleType)
    )
