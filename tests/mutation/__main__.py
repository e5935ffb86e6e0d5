"""Change every function of the gate in every small way, and see that a test finds it.

    python -m tests.mutation [MODULE ...] [--beside 2] [--tests FILE,FILE] [--known FILE] [--root FOLDER]

A module is named as in `workflows/gate`, or in full. What is known of a mutant lies in the temporary folder, by
content: a run that was stopped goes on where it was, and after a change each mutant meets first the test that killed
it last.
Exit 1 when one survives that `survivors.toml` does not list, or one listed there does not.
"""

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Final

import pytest
import typer
from mutmut.mutation.trampoline import set_mutant_under_test

from tests.mutation.known import SURVIVORS, complaints, read
from tests.mutation.mutants import Mutant, MutantImporter, MutatedModule, mutate, source
from tests.mutation.results import Results, Verdict
from tests.mutation.trial import PROFILE, Trial

GATE: Final = "workflows.gate"
#: Names the one mutant that a process of its own is started for, and how that ends.
ONE: Final = "ONE_MUTANT"
#: For such a process: the files of tests to begin with, parted by commas.
FIRST: Final = "TESTS_FIRST"
KILLED, SURVIVED = 81, 80
QUIET: Final = ("-qq", "--no-header", "--no-summary", "-p", "no:cacheprovider", "-p", "no:xdist")
# Hypothesis is imported before pytest here; its asserts are not ours.
LOUD: Final = ("-W", "ignore::pytest.PytestAssertRewriteWarning")


def named(modules: Sequence[str], root: Path) -> list[str]:
    """The full names of modules, smallest first; those of the gate when there are none."""
    if not modules:
        gate = root.joinpath(*GATE.split("."))
        modules = [".".join(file.relative_to(root).with_suffix("").parts) for file in gate.rglob("*.py")]
        modules = [module for module in modules if not module.endswith("__init__")]
    full = [module if "." in module else f"{GATE}.{module}" for module in modules]
    return sorted(full, key=lambda module: (source(module, root).stat().st_size, module))


def tests_of_the_gate() -> list[str]:
    """The same as `make cover` runs."""
    told = subprocess.run(["make", "--silent", "gate-tests"], check=True, capture_output=True, text=True)
    return told.stdout.split()


class Progress:
    """Says how far a run is, a line for each module and one in between every ten seconds."""

    def __init__(self, modules: Sequence[MutatedModule]) -> None:
        self._all = {module.name: len(module.mutants) for module in modules}
        self._done, self._killed = Counter[str](), Counter[str]()
        self._said = time.monotonic()
        self.survived: list[Mutant] = []
        # Of its own, because pytest keeps to itself what is printed.
        self._out = os.fdopen(os.dup(1), "w", buffering=1)

    def say(self, text: str) -> None:
        """Print a line past pytest."""
        print(text, file=self._out)

    def hear(self, mutant: Mutant, verdict: Verdict) -> None:
        """Count a mutant."""
        module = mutant.module
        self._done[module] += 1
        self._killed[module] += verdict.killed
        if not verdict.killed:
            self.survived.append(mutant)
        if self._done[module] == self._all[module] or time.monotonic() - self._said > 10:
            self._said = time.monotonic()
            self.say(f"{module}: {self._done[module]} of {self._all[module]} mutants, {self._killed[module]} killed")

    @property
    def finished(self) -> list[str]:
        """The modules of which every mutant was tried."""
        return [module for module, mutants in self._all.items() if self._done[module] == mutants]

    def total(self) -> str:
        """All of it in a sentence."""
        mutants, killed = self._done.total(), self._killed.total()
        return f"{mutants} mutants of {len(self.finished)} modules: {killed} killed, {mutants - killed} survive"


def _passes(arguments: list[str]) -> bool:
    try:
        return pytest.main(arguments) == pytest.ExitCode.OK
    except Exception:  # noqa: BLE001 - what breaks as it is imported breaks whoever imports it
        return False


def from_the_start(mutant: Mutant, first: Sequence[str]) -> Verdict:
    """Try a mutant in a new process, which imports everything with it and begins with the files of tests in `first`.

    Raises RuntimeError where that fails.
    """
    run = subprocess.run(
        [sys.executable, "-m", "tests.mutation", *sys.argv[1:]],
        env=os.environ | {ONE: mutant.name, FIRST: ",".join(first)},
        capture_output=True,
        check=False,
        timeout=900,
    )
    if run.returncode not in {KILLED, SURVIVED}:
        raise RuntimeError(f"{mutant.name} was not tried: {run.stderr.decode(errors='replace')[-2_000:]}")
    return Verdict(run.returncode == KILLED, "imported with it" if run.returncode == KILLED else "")


def main(
    modules: Annotated[list[str] | None, typer.Argument(help="Modules; all of the gate if none.")] = None,
    beside: Annotated[int, typer.Option(help="Mutants at a time.")] = 2,
    tests: Annotated[str, typer.Option(help="Files of tests, parted by commas; the gate's own if none.")] = "",
    known: Annotated[Path, typer.Option(help="The list of survivors.")] = SURVIVORS,
    root: Annotated[Path, typer.Option(help="Where the modules and the tests are.")] = Path(),
) -> None:
    """Try the mutants of modules; exit 1 when what survives is not what is listed."""
    root = root.resolve()
    files = tests.split(",") if tests else tests_of_the_gate()
    first, one = os.environ.get(FIRST, "").split(","), os.environ.get(ONE, "stats")
    files.sort(key=lambda file: first.index(file) if file in first else len(first))
    asked = [module for module in named(modules or (), root) if one == "stats" or one.startswith(f"{module}.")]
    mutated = [mutate(module, root) for module in asked]
    os.environ["EXAMPLES_AT_MOST"] = "15"
    set_mutant_under_test(one)
    MutantImporter(mutated).install()
    sys.path.insert(0, str(root))
    paths = [str(root / file) for file in files]
    options = [*QUIET, *LOUD, f"--hypothesis-profile={PROFILE}", f"--rootdir={root}"]
    if one != "stats":
        raise typer.Exit(SURVIVED if _passes([*options, "-x", *paths]) else KILLED)

    results = Results(root, [Path(file) for file in files])
    progress = Progress(mutated)
    # What no test is known to find comes first, module by module: a run that is stopped has told most by then.
    every = sorted((one for module in mutated for one in module.mutants), key=results.was_killed)
    trial = Trial([module.name for module in mutated], every, results, beside, progress.hear, progress.say)
    pytest.main([*options, *paths], plugins=[trial])
    if trial.broken:
        progress.say(trial.broken)
        raise typer.Exit(2)
    with ThreadPoolExecutor(beside) as processes:
        verdicts = processes.map(from_the_start, trial.again, trial.again.values())
        for mutant, verdict in zip(trial.again, verdicts, strict=True):
            results.put(mutant, verdict)
            progress.hear(mutant, verdict)
    results.write()
    wrong = complaints(progress.survived, read(known), progress.finished)
    progress.say("\n\n".join([*wrong, progress.total()]))
    raise typer.Exit(bool(wrong) or len(progress.finished) < len(mutated))


if __name__ == "__main__":
    typer.run(main)
