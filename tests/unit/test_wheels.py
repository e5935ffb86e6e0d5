"""A wheel's draw: recomputed by anybody, exactly as likely as its odds say."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.unit.test_points import POINTS
from workflows import cash, points, sector, wheel
from workflows.errors import DesignError
from workflows.loyalty.wheels import Wheel, draw, landed_on, seed_hash, spin_words

SEED = bytes(range(32))


@settings(max_examples=examples(50))
@given(st.lists(st.integers(1, 50), min_size=2, max_size=20))
def test_i25_every_point_of_the_wheel_belongs_to_one_sector(weights: list[int]) -> None:
    landed = Counter(landed_on(point, weights) for point in range(sum(weights)))
    assert [landed[number] for number in range(len(weights))] == weights
    with pytest.raises(ValueError, match="beyond the wheel"):
        landed_on(sum(weights), weights)


def test_i25_the_odds_are_those_that_are_shown() -> None:
    weights, spins = (600, 399, 1), 100_000
    came = Counter(draw(SEED, spin_words("w", "v", f"p-{n}", "", 1), weights) for n in range(spins))
    chi = sum((came[n] - spins * weight / 1000) ** 2 / (spins * weight / 1000) for n, weight in enumerate(weights))
    assert chi < 13.8, "two degrees of freedom, one in a thousand"


@settings(max_examples=examples(50))
@given(st.binary(min_size=32, max_size=32), st.text(max_size=200), st.integers(1, 9))
def test_i24_the_same_spin_lands_on_the_same_sector(seed: bytes, word: str, nonce: int) -> None:
    words = spin_words("w", "v", "p", word, nonce)
    assert draw(seed, words, (3, 2, 1)) == draw(seed, words, (3, 2, 1))
    assert words != spin_words("w", "v", "p", word + "x", nonce)
    assert len(words) < 120


def test_a_draw_that_anybody_may_hold_against_their_own() -> None:
    assert seed_hash(SEED)[:16] == "630dcd2966c43366"
    assert [draw(SEED, spin_words("daily", "v1", "p-1", "luck", n), (600, 399, 1)) for n in range(1, 9)] == [
        0,
        0,
        1,
        1,
        0,
        0,
        1,
        0,
    ]


def _wheel(*weights: int, **options: Any) -> Callable[[], Wheel]:
    given: dict[str, Any] = {"otherwise": points(5), "into": POINTS, "product": "casino", "budget": 1_000, **options}
    prize = given.pop("prize", points(20))
    return lambda: wheel("w", *(sector(one, prize) for one in weights), **given)


@pytest.mark.parametrize(
    ("declare", "sentence"),
    [
        (_wheel(1), "2 to 50 sectors"),
        (_wheel(1, 0), "weights above 0"),
        (_wheel(1, 1, prize=cash(500)), "money by a journey"),
        (_wheel(1, 1, otherwise=points(50)), "gives the least"),
        (_wheel(1, 1, plays=0), "plays= of 1 or more"),
        (_wheel(1, 1, budget=10), "largest prize fits"),
    ],
)
def test_a_wheel_that_would_not_be_fair_is_refused(declare: Callable[[], Wheel], sentence: str) -> None:
    with pytest.raises(DesignError, match=sentence):
        declare()
