"""`wheel` and `sector`: a free spin whose draw anybody can recompute.

A day's seed is drawn before anybody spins, and its hash is shown; the seed itself when the day is over. What comes out
is a function of seed, player, the player's own word and the number of their spin: of nothing that the house knows.
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from workflows.errors import LoyaltyDesignError
from workflows.field_types import Product
from workflows.local_time import zone
from workflows.loyalty.point_currencies import PointCurrency
from workflows.rewards import RewardBase

__all__ = ["sector", "wheel"]

#: Bytes of a hash that one number is made of, and sectors of a wheel.
NUMBER_BYTES = 8
MOST_SECTORS = 50


@dataclass(frozen=True)
class Sector:
    """A part of a wheel: `weight` of all weights, and how often a day it may be won; 0: as often as it comes."""

    weight: int
    gives: RewardBase
    stock: int = 0


def sector(weight: int, gives: RewardBase, *, stock: int = 0) -> Sector:
    """A part of a wheel; with `stock` it is won so often a day at most, and `otherwise` is given then."""
    return Sector(weight, gives, stock)


@dataclass(frozen=True)
class Wheel:
    """A wheel as its designer declared it."""

    name: str
    sectors: tuple[Sector, ...]
    otherwise: RewardBase
    into: PointCurrency
    product: Product
    #: Free spins of a player, and points of all players together, on a day of the wheel's own zone.
    plays: int
    budget: int
    timezone: str

    @cached_property
    def weights(self) -> tuple[int, ...]:
        """Of the sectors, in their order."""
        return tuple(one.weight for one in self.sectors)

    @cached_property
    def version(self) -> str:
        """What is drawn from, as a few letters: it is a part of every draw."""
        said = repr([(one.weight, one.gives.awarded_points, one.stock) for one in self.sectors])
        return hashlib.sha256(said.encode()).hexdigest()[:12]

    def day_of(self, now: datetime) -> str:
        """The wheel's own day, as "YYYY-MM-DD"."""
        return now.astimezone(self.zone).date().isoformat()

    @cached_property
    def zone(self) -> ZoneInfo:
        """Where its day begins and ends."""
        return zone(self.timezone)


def wheel(
    name: str,
    *sectors: Sector,
    otherwise: RewardBase,
    into: PointCurrency,
    product: Product,
    plays: int = 1,
    budget: int,
    timezone: str = "UTC",
) -> Wheel:
    """Declare a wheel that gives points: its sectors with their odds, and what is given where a sector is used up.

    `plays` are free spins a player has a day of the wheel's zone, `budget` the points that all players together may get
    on it. Raises `LoyaltyDesignError`.
    """
    at = f"wheel({name!r})"
    if not 2 <= len(sectors) <= MOST_SECTORS or any(one.weight <= 0 or one.stock < 0 for one in sectors):
        raise LoyaltyDesignError(f"{at} needs 2 to {MOST_SECTORS} sectors with weights above 0.")
    if not all(one.awarded_points for one in [*(part.gives for part in sectors), otherwise]):
        raise LoyaltyDesignError(f"{at} gives points in every sector and otherwise; give money by a journey.")
    if otherwise.awarded_points > min(one.gives.awarded_points for one in sectors):
        raise LoyaltyDesignError(
            f"{at} gives more otherwise than by a sector; a wheel that is used up gives the least."
        )
    if plays < 1 or budget < max(one.gives.awarded_points for one in sectors):
        raise LoyaltyDesignError(f"{at} needs plays= of 1 or more and a budget= that its largest prize fits into.")
    return Wheel(name, sectors, otherwise, into, product, plays, budget, timezone)


def seed_hash(seed: bytes) -> str:
    """What is shown of a day's seed before the day is over."""
    return hashlib.sha256(seed).hexdigest()


def draw(seed: bytes, words: str, weights: Sequence[int]) -> int:
    """The number of the sector that a spin lands on: each with the chance of its weight, exactly.

    `words` say which spin it is. Numbers at the end of the range would favour the first sectors and are drawn again.
    """
    total, count = sum(weights), 0
    even = (2 ** (8 * NUMBER_BYTES) // total) * total
    while True:
        digest = hmac.digest(seed, f"{words}:{count}".encode(), "sha256")
        for place in range(0, len(digest), NUMBER_BYTES):
            number = int.from_bytes(digest[place : place + NUMBER_BYTES], "big")
            if number < even:
                return landed_on(number % total, weights)
        count += 1


def landed_on(point: int, weights: Sequence[int]) -> int:
    """The sector that holds a point of the wheel."""
    for number, weight in enumerate(weights):
        point -= weight
        if point < 0:
            return number
    raise ValueError("the point lies beyond the wheel")


def spin_words(wheel_name: str, version: str, player_id: str, client_seed: str, nonce: int) -> str:
    """Which spin it is: the player's own word is a hash of it, so that nothing in it can pass for another part."""
    said = hashlib.sha256(client_seed.encode()).hexdigest()
    return f"{wheel_name}:{version}:{player_id}:{said}:{nonce}"


def fault_of_proof(proof: Mapping[str, Any]) -> str | None:
    """What is wrong with the record of a spin; None where it follows from its seed."""
    try:
        if proof["seed"] is None:
            return "its day is not over and the seed not told"
        seed = bytes.fromhex(proof["seed"])
        words = spin_words(
            str(proof["wheel"]),
            str(proof["version"]),
            str(proof["player_id"]),
            str(proof["client_seed"]),
            int(proof["nonce"]),
        )
        if seed_hash(seed) != proof["seed_hash"]:
            return "the seed is not the one whose hash was shown"
        drawn = draw(seed, words, [int(weight) for weight in proof["weights"]])
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as wrong:
        return f"it is no proof ({type(wrong).__name__}: {wrong})"
    return None if drawn == proof["drawn"] else f"it lands on sector {drawn}"
