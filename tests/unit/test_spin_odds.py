"""A million spins of the shipped wheel come as it declares, and each follows from its record."""

import hashlib
from collections import Counter

import pytest

from tests.support.examples import examples
from workflows.loyalty.fair_draws import draw, seed_hash
from workflows.loyalty.spin_proofs import fault_of_spin, spin_words
from workflows.source.journey_loading import load

SPINS = 1_000_000
PLAYERS = 1_000
#: By degrees of freedom: what χ² stays below 999 times of a thousand.
ONE_IN_A_THOUSAND = {1: 10.83, 2: 13.82, 3: 16.27, 4: 18.47, 5: 20.52, 6: 22.46}


@pytest.mark.parametrize(
    "spins",
    [
        examples(2_000),
        # Twenty seconds: a million draws, and each once more from its record.
        pytest.param(SPINS, marks=pytest.mark.slow),
    ],
)
def test_i24_i25_spins_come_as_declared_and_each_recomputes(spins: int) -> None:
    wheel = load(("workflows.programs.casino",)).loyalty.wheels["daily_wheel"]
    weights, came = wheel.weights, Counter[int]()
    for number in range(spins):
        day, player = divmod(number, PLAYERS)
        seed = hashlib.sha256(f"2026:{day}".encode()).digest()
        drawn = draw(seed, spin_words(wheel.name, wheel.version, f"p-{player}", str(number), 1), weights)
        came[drawn] += 1
        record = {
            "wheel": wheel.name,
            "version": wheel.version,
            "player_id": f"p-{player}",
            "client_seed": str(number),
            "nonce": 1,
            "weights": weights,
            "drawn": drawn,
            "seed": seed.hex(),
            "seed_hash": seed_hash(seed),
        }
        assert fault_of_spin(record) is None
    expected = [spins * weight / sum(weights) for weight in weights]
    chi = sum((came[sector] - often) ** 2 / often for sector, often in enumerate(expected))
    assert chi < ONE_IN_A_THOUSAND[len(weights) - 1], (came, expected)
