"""What of a player's events stays when the player is erased, by class, and why a law lets it."""

from typing import Final, NamedTuple


class KeptClass(NamedTuple):
    """Events that stay without what is personal in them, under the player's id, until retention takes them."""

    #: Patterns of types as LIKE reads them.
    types: tuple[str, ...]
    why: str


#: Everything else of a player's events is deleted: what they looked at, when they came, what they wrote to us.
KEPT_EVENTS: Final = {
    "money": KeptClass(
        ("payment.%", "game.%", "sport.%", "reward.%"),
        "accounts and anti-money-laundering records (GDPR art. 17(3)(b); Directive (EU) 2015/849 art. 40: five years)",
    ),
    "protection": KeptClass(
        ("compliance.%", "consent.%", "player.%"),
        "exclusions, limits, signs of harm, what was allowed and refused (art. 17(3)(b), 17(3)(e); GB LCCP SR 3.4.3, "
        "3.5.3)",
    ),
}


def kept_types() -> list[str]:
    """The patterns of all kept classes."""
    return [pattern for one in KEPT_EVENTS.values() for pattern in one.types]
