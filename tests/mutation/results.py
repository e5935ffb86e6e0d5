"""What became of mutants, kept by content outside the tree, so that a run that was killed goes on where it was."""

import hashlib
import json
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import IO, Final

from tests.mutation.mutants import Mutant

#: Whose sources may change what a test says of a mutant.
READ: Final = ("workflows", "content", "stage", "tests/support", "tests/mutation/trial.py", "tests/conftest.py")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a mutant was killed, and by which test."""

    killed: bool
    by: str = ""


@dataclass(frozen=True, slots=True)
class Coverage:
    """Which tests run which functions, as mutmut names them, and the seconds each test takes."""

    tests: Mapping[str, tuple[str, ...]]
    seconds: Mapping[str, float]
    #: Functions that are called already when modules are imported and tests collected.
    at_import: frozenset[str]


def context(root: Path, tests: Iterable[Path]) -> str:
    """A digest of everything a verdict rests on besides its mutant."""
    digest = hashlib.sha256(f"{version('mutmut')} {version('hypothesis')} {version('pytest')}".encode())
    files = {file for name in READ for file in _sources(root / name)} | {root / test for test in tests}
    for file in sorted(files):
        digest.update(str(file.relative_to(root)).encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _sources(place: Path) -> Iterable[Path]:
    return [place] if place.is_file() else place.rglob("*.py")


class Results:
    """The verdicts of all runs of a checkout, in a file that only grows."""

    def __init__(self, root: Path, context: str) -> None:
        folder = Path(tempfile.gettempdir()) / f"mutants-{hashlib.sha256(str(root).encode()).hexdigest()[:12]}"
        folder.mkdir(exist_ok=True)
        self._context = context
        self._file, self._coverage = folder / "verdicts.jsonl", folder / f"coverage-{context[:16]}.json"
        self._verdicts: dict[str, Verdict] = {}
        self._killers: dict[tuple[str, ...], str] = {}
        for line in self._file.read_text(encoding="utf-8").splitlines() if self._file.exists() else ():
            # A run that was killed while it wrote leaves half a line.
            if line.endswith("}"):
                said = json.loads(line)
                self._take(said["digest"], tuple(said["key"]), Verdict(said["killed"], said["by"]))

    def _take(self, digest: str, key: tuple[str, ...], verdict: Verdict) -> None:
        self._verdicts[digest] = verdict
        if verdict.killed:
            self._killers[key] = verdict.by

    def get(self, mutant: Mutant) -> Verdict | None:
        """What became of it, if nothing has changed since."""
        return self._verdicts.get(self._digest(mutant))

    def killer(self, mutant: Mutant) -> str:
        """The test that killed it last, whatever has changed since: the first to try."""
        return self._killers.get((mutant.module, mutant.function, mutant.change), "")

    def put(self, mutant: Mutant, verdict: Verdict) -> None:
        """Keep what became of it."""
        digest, key = self._digest(mutant), (mutant.module, mutant.function, mutant.change)
        self._take(digest, key, verdict)
        with self._file.open("a", encoding="utf-8") as file:
            _write(file, {"digest": digest, "key": key, "killed": verdict.killed, "by": verdict.by})

    def _digest(self, mutant: Mutant) -> str:
        return hashlib.sha256(f"{self._context} {mutant.name} {mutant.digest}".encode()).hexdigest()

    def coverage(self, modules: Iterable[str]) -> Coverage | None:
        """What runs what, if it was measured with these modules and nothing has changed since."""
        if not self._coverage.exists():
            return None
        said = json.loads(self._coverage.read_text(encoding="utf-8"))
        if not set(modules) <= set(said.pop("modules")):
            return None
        tests = {function: tuple(tests) for function, tests in said["tests"].items()}
        return Coverage(tests, said["seconds"], frozenset(said["at_import"]))

    def put_coverage(self, modules: Iterable[str], coverage: Coverage) -> None:
        """Keep what runs what."""
        said = asdict(coverage) | {"modules": list(modules), "at_import": sorted(coverage.at_import)}
        self._coverage.write_text(json.dumps(said), encoding="utf-8")


def _write(file: IO[str], line: object) -> None:
    file.write(json.dumps(line) + "\n")
