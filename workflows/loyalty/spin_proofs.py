"""A spin of a wheel: which draw it is, and whether its record follows from the seed."""

import hashlib
from collections.abc import Mapping
from typing import Any

from workflows.loyalty.fair_draws import draw, seed_hash


def spin_words(wheel_name: str, version: str, player_id: str, client_seed: str, nonce: int) -> str:
    """Which spin it is: the player's own word is a hash of it, so that nothing in it can pass for another part."""
    said = hashlib.sha256(client_seed.encode()).hexdigest()
    return f"{wheel_name}:{version}:{player_id}:{said}:{nonce}"


def spin_id_of(brand: str, player_id: str, key: str) -> str:
    """The id of the spin that a press of the button makes."""
    return hashlib.sha256(f"{brand}\x00{player_id}\x00{key}".encode()).hexdigest()[:24]


def fault_of_spin(proof: Mapping[str, Any]) -> str | None:
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
