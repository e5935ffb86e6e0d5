"""What docs/production.md says of a restore is what happens: the drill that `make restore-drill` runs."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.restore_drill import drill

# Two restores and what settles after each: some four minutes, on disk as in production.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def folder(session_folder: Path) -> Iterator[Path]:
    place = session_folder / "drill"
    yield place
    shutil.rmtree(place, ignore_errors=True)


async def test_every_promise_that_can_hold_holds_after_each_restore(folder: Path) -> None:
    told: list[object] = []
    problems = await drill(folder, told.append)
    assert not problems, "\n".join(map(str, [*told, *problems]))
