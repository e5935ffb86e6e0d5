"""Shadows: a release of a journey that is played beside the live one, for some players, with every effect withheld.

A shadow run has an id of its own, so that no idempotency key of it can ever be one of a live run.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

#: What the id of a shadow run begins with. A live run's begins with the name of its journey, which has no hyphen.
PREFIX: Final = "shadow-"
#: What a shadow run ends as whose shadow somebody stopped, and the number under which it is told: higher than any that
#: a player's row gives out, so that whatever was written before is told before.
SHADOW_STOPPED: Final = "shadow_stopped"
STOP_NUMBER: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Shadow:
    """A release that is being shadowed in one brand. `percent` of the players, 0 to 100, are drawn."""

    id: int
    journey: str
    version: int
    percent: float

    def draws(self, brand: str, player_id: str) -> bool:
        """Whether this player's runs get one beside them: always the same, and whoever is drawn stays so with more.

        It goes by the release and not by `id`, so a shadow that is begun again meets the same players.
        """
        seed = f"shadow:{brand}:{self.journey}:{self.version}:{player_id}"
        point = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big") / 2**64
        return 100 * point < self.percent


#: The shadows of a brand by the journey they are of.
Shadows = Mapping[str, Shadow]
NO_SHADOWS: Final[Shadows] = MappingProxyType({})


def shadow_run_id(shadow_id: int, beside: str) -> str:
    """The id of the shadow run beside a live one: `shadow-3:win_back:acme:p-1:6f1c0a93be27`."""
    return f"{PREFIX}{shadow_id}:{beside}"


def is_shadow_run(run_id: str) -> bool:
    """Whether a run is a shadow's."""
    return run_id.startswith(PREFIX)
