"""What the tests know of their machine: limits of time, and the folders of sessions that were killed."""

import ast
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.slowness import slowness
from tests.support.machine import FOLDER, promised, remove_left_behind
from tests.test_architecture import files


def fixed_limits(path: str, source: str) -> Iterator[str]:
    """A sentence for each limit of time in a test that is the same on every machine."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    for call in calls:
        limited = ast.unparse(call.func) in {"asyncio.timeout", "timeout"}
        if limited and any(isinstance(limit, ast.Constant) for limit in call.args):
            yield (
                f"{path}:{call.lineno} waits so many seconds on every machine. Write `within(seconds)` of "
                "tests/support/machine.py, so that a slow machine makes the test slow and not red."
            )


def test_no_limit_of_a_test_is_the_same_on_every_machine() -> None:
    tests = [(path, source) for path, source in files() if path.startswith("tests/")]
    found = [sentence for path, source in tests for sentence in fixed_limits(path, source)]
    assert not found, "\n\n".join(found)


@pytest.mark.parametrize(
    ("source", "mistakes"),
    [
        ("async with asyncio.timeout(30): ...", 1),
        ("async with timeout(60), httpx.AsyncClient(): ...", 1),
        ("async with asyncio.timeout(30 * slowness()): ...", 0),
        ("async with within(30): ...", 0),
        ("pytest.mark.timeout(300)", 0),
    ],
)
def test_a_fixed_limit_is_told(source: str, mistakes: int) -> None:
    program = f"async def test() -> None:\n    {source}"
    assert len(list(fixed_limits("tests/x.py", program))) == mistakes


def test_beside_another_worker_an_answer_may_take_twice_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    assert promised(1) == slowness()
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    assert promised(1) == 2 * slowness()


def test_folders_of_killed_sessions_go_and_all_others_stay(tmp_path: Path) -> None:
    with subprocess.Popen(["true"]) as ended:
        pass
    dead = tmp_path / f"{FOLDER}{ended.pid}-x1"
    stay = {tmp_path / name for name in (f"{FOLDER}{os.getpid()}-x1", f"{FOLDER}x1", "journeys-1")}
    for folder in (dead, *stay):
        folder.mkdir()
        (folder / "file").touch()
    remove_left_behind(tmp_path)
    assert set(tmp_path.iterdir()) == stay
