"""One session of pytest that collects the tests once, and tries every mutant on them in a fork of itself.

A fork has everything imported and no test run, so that nothing a test left in memory hides a mutant.
"""

import json
import os
import resource
import selectors
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import pytest
from _pytest.runner import runtestprotocol
from hypothesis import HealthCheck, Phase, settings
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.state import state

from tests.mutation.mutants import Mutant
from tests.mutation.results import Coverage, Results, Verdict

#: Seconds of the processor: a mutant that runs for ever is killed after that, and the time of its tests ten times over.
PATIENCE_S: Final = 10
#: Bytes: what a mutant makes grow for ever ends there.
MEMORY: Final = 4 << 30
PROFILE: Final = "mutants"

# The same examples each time, few of them, and no search for the least that fails.
settings.register_profile(
    PROFILE,
    derandomize=True,
    database=None,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


@dataclass(slots=True)
class _Fork:
    pid: int
    pipe: int
    said: bytes = b""


def _fork(work: Callable[[Callable[[object], None]], int], seconds: float) -> _Fork:
    """Do `work` in a process of its own, which tells lines of JSON and ends with what `work` answers."""
    read, write = os.pipe()
    pid = os.fork()
    if pid:
        os.close(write)
        return _Fork(pid, read)
    os.close(read)
    code = 70
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 2))
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        code = work(lambda line: _tell(write, line))
    finally:
        os._exit(code)


def _tell(pipe: int, line: object) -> None:
    left = json.dumps(line).encode() + b"\n"
    while left:
        left = left[os.write(pipe, left) :]


def _lines(said: bytes) -> list[object]:
    return [json.loads(line) for line in said.splitlines()]


def _fails(item: pytest.Item, following: pytest.Item | None) -> bool:
    return any(report.failed for report in runtestprotocol(item, log=False, nextitem=following))


def _each(items: Sequence[pytest.Item]) -> Iterable[tuple[pytest.Item, pytest.Item | None]]:
    return zip(items, [*items[1:], None], strict=True)


def _files(module: str, coverage: Coverage) -> list[str]:
    """The files of tests that run functions of a module, those that do it most first."""
    files = Counter[str]()
    for function, tests in coverage.tests.items():
        if function.startswith(f"{module}."):
            files.update(test.partition("::")[0] for test in tests)
    return [file for file, _ in files.most_common()]


@dataclass(slots=True)
class Trial:
    """The plugin that does the work in the place of the loop of tests. `progress` hears of each mutant."""

    modules: Sequence[str]
    mutants: Sequence[Mutant]
    results: Results
    beside: int
    progress: Callable[[Mutant, Verdict], None]
    say: Callable[[str], None]
    #: Survivors that must be tried from the start, for they are called at import too; and the files to begin with.
    again: dict[Mutant, list[str]] = field(default_factory=dict)
    broken: str = ""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Try every mutant whose verdict is not known."""
        if session.testsfailed:
            self.broken = "Not every test can be collected."
            return True
        at_import = frozenset(state()._stats)
        state()._stats.clear()
        coverage = self.results.coverage(self.modules) or self._measure(session.items, at_import)
        if coverage is not None:
            self.results.put_coverage(self.modules, coverage)
            self._try_all(session.items, coverage)
        return True

    def _measure(self, items: Sequence[pytest.Item], at_import: frozenset[str]) -> Coverage | None:
        """Run all tests on the code as it is, and see which functions each runs."""
        began = time.monotonic()

        def work(tell: Callable[[object], None]) -> int:
            for item, following in _each(items):
                state()._stats.clear()
                before = time.process_time()
                failed = _fails(item, following)
                tell([item.nodeid, sorted(state()._stats), time.process_time() - before, failed])
            return 0

        fork = _fork(work, 3_600)
        with os.fdopen(fork.pipe, "rb") as pipe:
            said = [json.loads(line) for line in pipe]
        os.waitpid(fork.pid, 0)
        failed = [test for test, _, _, wrong in said if wrong]
        if failed or len(said) < len(items):
            self.broken = f"Without any mutant these fail: {', '.join(failed) or 'the run itself'}."
            return None
        tests: dict[str, list[str]] = {}
        for test, functions, _, _ in said:
            for function in functions:
                tests.setdefault(function, []).append(test)
        self.say(f"{len(said)} tests pass as the code stands ({time.monotonic() - began:.0f} s)")
        return Coverage(
            {function: tuple(those) for function, those in tests.items()},
            {test: seconds for test, _, seconds, _ in said},
            at_import,
        )

    def _try_all(self, items: Sequence[pytest.Item], coverage: Coverage) -> None:
        by_name = {item.nodeid: item for item in items}
        waiting, running = deque(self.mutants), dict[int, tuple[Mutant, _Fork]]()
        with selectors.DefaultSelector() as pipes:
            while waiting or running:
                while waiting and len(running) < self.beside:
                    mutant = waiting.popleft()
                    if (verdict := self.results.get(mutant)) is not None:
                        self.progress(mutant, verdict)
                        continue
                    fork = self._try(mutant, by_name, coverage)
                    running[fork.pipe] = mutant, fork
                    pipes.register(fork.pipe, selectors.EVENT_READ)
                for ready, _ in pipes.select() if running else ():
                    mutant, fork = running[ready.fd]
                    if said := os.read(fork.pipe, 65_536):
                        fork.said += said
                        continue
                    pipes.unregister(fork.pipe)
                    os.close(fork.pipe)
                    del running[ready.fd]
                    self._ended(mutant, fork, coverage)
                    if self.broken:
                        waiting.clear()

    def _try(self, mutant: Mutant, items: dict[str, pytest.Item], coverage: Coverage) -> _Fork:
        tests = list(coverage.tests.get(mutant.mutated, ()))
        killer = self.results.killer(mutant)
        tests.sort(key=lambda test: (test != killer, coverage.seconds[test]))
        seconds = sum(coverage.seconds[test] for test in tests)
        chosen = [(test, items[test]) for test in tests]

        def work(tell: Callable[[object], None]) -> int:
            set_mutant_under_test(mutant.name)
            # Not in the order of their files: so everything a test sets up is taken down before the next.
            for test, item in chosen:
                tell(test)
                if _fails(item, None):
                    return 1
            return 0

        return _fork(work, PATIENCE_S + 10 * seconds)

    def _ended(self, mutant: Mutant, fork: _Fork, coverage: Coverage) -> None:
        _, status = os.waitpid(fork.pid, 0)
        tried = _lines(fork.said)
        if status and not tried:
            # It ended before its first test: that says nothing of the mutant.
            self.broken = f"{mutant.name} was not tried: its process ended before the first test (status {status})."
            return
        if status == 0 and mutant.mutated in coverage.at_import:
            self.again[mutant] = _files(mutant.module, coverage)
            return
        verdict = Verdict(status != 0, str(tried[-1]) if status and tried else "")
        self.results.put(mutant, verdict)
        self.progress(mutant, verdict)
