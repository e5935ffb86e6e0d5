"""What became of mutants, kept by content outside the tree, so that a run that was killed goes on where it was."""

import hashlib
import json
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

from tests.mutation.mutants import Mutant

#: How often it is looked whether a run still tries what it began with.
LOOKS_EVERY_S: Final = 3
#: Whose sources may change what a test says of a mutant.
READ: Final = (
    "workflows",
    "content",
    "learning",
    "stage",
    "activities",
    "pyproject.toml",
    "tests/support",
    "tests/unit/test_points.py",
    "tests/mutation/trial.py",
    "tests/conftest.py",
    "tests/golden",
)


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
    return [place] if place.is_file() else [file for file in place.rglob("*") if file.suffix in {".py", ".json"}]


class Results:
    """The verdicts of all runs of a checkout, in a file that only grows.

    The trap: tests read files while they run. Verdicts are kept once it is seen that nothing changed meanwhile, and a
    run during which something did raises RuntimeError.
    """

    def __init__(self, root: Path, tests: Sequence[Path]) -> None:
        self._root, self._tests = root, tests
        self._context = context(root, tests)
        self._unwritten: list[str] = []
        self._looked = time.monotonic()
        folder = Path(tempfile.gettempdir()) / f"mutants-{hashlib.sha256(str(root).encode()).hexdigest()[:12]}"
        folder.mkdir(exist_ok=True)
        self._file, self._coverage = folder / "verdicts.jsonl", folder / f"coverage-{self._context[:16]}.json"
        self._verdicts: dict[str, Verdict] = {}
        self._killers: dict[tuple[str, ...], str] = {}
        self._kills = defaultdict[str, Counter[str]](Counter)
        for line in self._file.read_text(encoding="utf-8").splitlines() if self._file.exists() else ():
            # A run that was killed while it wrote leaves half a line.
            if line.endswith("}"):
                said = json.loads(line)
                self._take(said["digest"], tuple(said["key"]), Verdict(said["killed"], said["by"]))

    def _take(self, digest: str, key: tuple[str, ...], verdict: Verdict) -> None:
        self._verdicts[digest] = verdict
        if verdict.killed:
            self._killers[key] = verdict.by
            self._kills[key[0]][verdict.by] += 1

    def get(self, mutant: Mutant) -> Verdict | None:
        """What became of it, if nothing has changed since."""
        return self._verdicts.get(self._digest(mutant))

    def was_killed(self, mutant: Mutant) -> bool:
        """Whether a test killed it once, whatever has changed since."""
        return (mutant.module, mutant.function, mutant.change) in self._killers

    def killer(self, mutant: Mutant) -> str:
        """The test to try first: that which killed it last, else the one that kills most of its module's."""
        if last := self._killers.get((mutant.module, mutant.function, mutant.change)):
            return last
        return next((test for test, _ in self._kills[mutant.module].most_common(1)), "")

    def put(self, mutant: Mutant, verdict: Verdict) -> None:
        """Keep what became of it."""
        digest, key = self._digest(mutant), (mutant.module, mutant.function, mutant.change)
        self._take(digest, key, verdict)
        self._unwritten.append(
            json.dumps({"digest": digest, "key": key, "killed": verdict.killed, "by": verdict.by}) + "\n"
        )
        if time.monotonic() - self._looked > LOOKS_EVERY_S:
            self.write()

    def write(self) -> None:
        """Keep what was put. Raises RuntimeError where something has changed since the run began."""
        if context(self._root, self._tests) != self._context:
            raise RuntimeError(
                "Files have changed while mutants were tried; try again, and leave them alone meanwhile."
            )
        with self._file.open("a", encoding="utf-8") as file:
            file.writelines(self._unwritten)
        self._unwritten, self._looked = [], time.monotonic()

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
