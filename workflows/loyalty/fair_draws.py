"""Draws that anybody can recompute: a secret seed whose hash is shown before, and numbers that follow from it.

The house draws the seed before anybody takes part and tells it afterwards; a number is a function of the seed and of
words that say which draw it is.
"""

import hashlib
import hmac
from collections.abc import Sequence
from typing import Final

#: Bytes of a hash that one number is made of.
NUMBER_BYTES: Final = 8


def seed_hash(seed: bytes) -> str:
    """What is shown of a seed, as 64 hex digits of SHA-256, before the seed itself may be told."""
    return hashlib.sha256(seed).hexdigest()


def draw(seed: bytes, words: str, weights: Sequence[int]) -> int:
    """Which of several is drawn, from 0: each with the chance of its weight, exactly. `words` say which draw it is."""
    return landed_on(drawn_number(seed, words, sum(weights)), weights)


def drawn_number(seed: bytes, words: str, total: int) -> int:
    """A number below `total`, each with the same chance. Raises ZeroDivisionError where there is none.

    Numbers at the end of the range would favour the first ones and are drawn again.
    """
    count, even = 0, (2 ** (8 * NUMBER_BYTES) // total) * total
    while True:
        digest = hmac.digest(seed, f"{words}:{count}".encode(), "sha256")
        for place in range(0, len(digest), NUMBER_BYTES):
            number = int.from_bytes(digest[place : place + NUMBER_BYTES], "big")
            if number < even:
                return number % total
        count += 1


def landed_on(point: int, weights: Sequence[int]) -> int:
    """Which of several holds a point, each as long as its weight. Raises ValueError for a point beyond all."""
    for number, weight in enumerate(weights):
        point -= weight
        if point < 0:
            return number
    raise ValueError("the point lies beyond the wheel")
