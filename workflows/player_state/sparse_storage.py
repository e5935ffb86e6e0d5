"""What of a dataclass is not its default: the way a player's row is stored."""

from dataclasses import MISSING, fields
from typing import Any

#: Names of fields, each with the default that is left out.
Parts = tuple[tuple[str, Any], ...]


def parts_of(kind: Any) -> Parts:
    """The fields of a dataclass that have a default, and which; who the player is stands beside the state."""
    return tuple(
        (one.name, one.default if one.default_factory is MISSING else one.default_factory())
        for one in fields(kind)
        if one.name not in {"brand", "player_id"}
    )


def sparse(value: Any, parts: Parts) -> dict[str, Any]:
    """The fields that differ from their defaults, in live values."""
    return {name: part for name, default in parts if (part := getattr(value, name)) != default}
