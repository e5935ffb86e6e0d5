"""The check of `make mutate` finds a mutant that no test kills, and a list that says what is not so."""

import ast
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.mutation import __main__ as mutation
from tests.mutation.mutants import Mutant
from tests.mutation.results import READ, Coverage, Results
from tests.mutation.trial import Trial, _fork

Check = Callable[[str], "subprocess.CompletedProcess[str]"]
RULES = """
LEAST = 18


def may_play(age: int, least: int = LEAST) -> bool:
    return age >= least


def most(limit: int) -> int:
    return limit + 1


MOST = most(9)
"""
WEAK = """
from planted.rules import MOST, may_play


def test_a_child_may_not_and_an_adult_may() -> None:
    assert not may_play(17)
    assert may_play(30)
    assert MOST == 10
"""
#: What `WEAK` does not find: who is just old enough.
CHANGE = "- return age >= least\n+ return age > least"
STRONG = WEAK + "    assert may_play(18)\n"


@pytest.fixture
def check(tmp_path: Path) -> Check:
    for file, text in (("planted/__init__.py", ""), ("planted/rules.py", RULES)):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(text)
    (tmp_path / "tmp").mkdir()

    def run(tests: str) -> "subprocess.CompletedProcess[str]":
        (tmp_path / "test_rules.py").write_text(tests)
        options = ["--root", str(tmp_path), "--tests", "test_rules.py", "--known", str(tmp_path / "known.toml")]
        return subprocess.run(
            [sys.executable, "-m", "tests.mutation", "planted.rules", *options],
            env=os.environ | {"TMPDIR": str(tmp_path / "tmp")},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def listed(folder: Path, change: str) -> None:
    told = {"module": "planted.rules", "function": "may_play", "reason": "Said here, so that the test has one."}
    lines = [f'{name} = "{said}"' for name, said in told.items()]
    text = "\n".join(["[[survivor]]", *lines, f'change = """{change}"""'])
    (folder / "known.toml").write_text(text)


def test_a_mutant_that_no_test_finds_fails_the_check_until_it_is_listed_or_found(tmp_path: Path, check: Check) -> None:
    before = sorted(tmp_path.rglob("planted/*"))
    failed = check(WEAK)
    assert (failed.returncode, "No test finds this in planted.rules, may_play" in failed.stdout) == (1, True), failed
    assert CHANGE in failed.stdout
    assert failed.stdout.count("No test finds") == 1, "what is called at import is tried from the start"
    listed(tmp_path, CHANGE)
    assert check(WEAK).returncode == 0
    stale = check(STRONG)
    assert (stale.returncode, "survives no more" in stale.stdout) == (1, True), stale
    (tmp_path / "known.toml").unlink()
    assert check(STRONG).returncode == 0
    assert sorted(tmp_path.rglob("planted/*")) == before, "nothing is written into the tree"


def test_tests_that_fail_without_a_mutant_say_so(check: Check) -> None:
    failed = check(WEAK + "    assert may_play(3)\n")
    assert (failed.returncode, "Without any mutant" in failed.stdout) == (2, True), failed


def test_a_process_that_ends_before_its_first_test_says_nothing_of_its_mutant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine without room for another process must not have every mutant called found."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    mutant = Mutant("planted.rules.x_may_play__mutmut_1", "planted.rules", "may_play", CHANGE, "digest")
    heard: list[object] = []
    trial = Trial([], [mutant], Results(tmp_path, []), 1, lambda *told: heard.append(told), heard.append)

    def ends(_tell: Callable[[object], None]) -> int:
        raise MemoryError

    fork = _fork(ends, 1.0)
    os.close(fork.pipe)
    trial._ended(mutant, fork, Coverage({}, {}, frozenset()))
    assert ("was not tried" in trial.broken, heard, trial.results.get(mutant)) == (True, [], None)


def test_a_verdict_rests_on_whatever_the_tests_of_the_gate_import() -> None:
    for file in mutation.tests_of_the_gate():
        told = ast.walk(ast.parse(Path(file).read_text(encoding="utf-8")))
        for module in {one.module for one in told if isinstance(one, ast.ImportFrom) and one.module}:
            path = Path(*module.split("."))
            if path.is_dir() or path.with_suffix(".py").is_file():
                assert any(path.is_relative_to(name.removesuffix(".py")) for name in READ), f"{file} imports {module}"
