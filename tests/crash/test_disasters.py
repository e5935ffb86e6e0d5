"""Servers are set back and lost, and people lay hands on runs, while everything is killed at random."""

import os
import shutil
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.crash.harness import Verdict, crash

SEED = int(os.environ.get("SEED", "12"))

# Each disaster once, with what it takes to recover from it: some ten minutes.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


@pytest.fixture
async def verdict(session_folder: Path) -> AsyncIterator[Verdict]:
    folder = session_folder / "disasters"
    yield await crash(SEED, timedelta(seconds=60), folder, pace=8, with_disasters=True)
    shutil.rmtree(folder, ignore_errors=True)


async def test_what_can_hold_holds_after_every_disaster(verdict: Verdict) -> None:
    assert not verdict.problems, str(verdict)
    assert {"runs_moved", "release_shadowed", "journey_held", "run_stopped"} <= {*verdict.struck}
