"""A seed and a log give the same trace, byte for byte, in every process and under every hash seed."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.machine import slowness

ROOT = Path(__file__).parent.parent.parent


def year(seed: int, hash_seed: str) -> bytes:
    """The whole year as told by a process of its own, in which every warning is an error."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-m", "tests.support.year_on_stage", str(seed)],
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": hash_seed},
        capture_output=True,
        check=False,
        timeout=100 * slowness(),
    )
    assert done.stderr == b"", done.stderr.decode()[-2000:]
    assert done.returncode == 0
    return done.stdout


def test_a_year_is_the_same_in_every_process() -> None:
    told = year(7, "1")
    assert told == year(7, "4242")
    assert told != year(8, "1")
    for journey in (b"welcome:", b"second_deposit:", b"win_back:", b"failed_deposit:", b"vip_onboarding:"):
        assert journey in told
