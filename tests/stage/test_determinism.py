"""A seed and a log give the same trace, byte for byte, in every process and under every hash seed."""

import os
import subprocess
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from local.slowness import slowness
from tests.support.year_on_stage import tell

ROOT = Path(__file__).parent.parent.parent


def year(seed: int, players: int, hash_seed: str) -> bytes:
    """The whole year as told by a process of its own, in which every warning is an error."""
    command = (sys.executable, "-W", "error", "-X", "dev", "-m", "tests.support.year_on_stage")
    done = subprocess.run(
        [*command, str(seed), str(players)],
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": hash_seed},
        capture_output=True,
        check=False,
        timeout=100 * slowness(),
    )
    assert done.stderr == b"", done.stderr.decode()[-2000:]
    assert done.returncode == 0
    return done.stdout


# A few players come into every journey; many meet each other's accidents in more orders.
@pytest.mark.parametrize(("seed", "players"), [(14, 8), pytest.param(7, 40, marks=pytest.mark.slow)])
def test_a_year_is_the_same_in_every_process(seed: int, players: int) -> None:
    told = year(seed, players, "1")
    assert told == year(seed, players, "4242")
    with redirect_stdout(StringIO()) as other:
        tell(seed + 1, players)
    assert told != other.getvalue().encode()
    for journey in (b"welcome:", b"second_deposit:", b"win_back:", b"failed_deposit:", b"vip_onboarding:"):
        assert journey in told
