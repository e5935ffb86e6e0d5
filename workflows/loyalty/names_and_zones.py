"""What declarations of loyalty have in common: a name that keys are made of, and a zone in which days begin."""

from typing import Final

from workflows.local_time import known_zone

#: Keys such as `wheel:<name>:<day>` are read from the colons on: a name has none.
NAME_NEEDED: Final = "needs a name of letters, digits and underscores."


def is_zone(timezone: str) -> bool:
    """Whether this is the name of a zone; `local_time.zone` would take any other for UTC without a word."""
    return known_zone(timezone) is not None


def zone_needed(timezone: str) -> str:
    """The sentence for a zone that is none."""
    return f"is in the zone {timezone!r}, which is none; write an IANA name such as 'Europe/London'."
