"""A package with a journey of several releases, as `journeys release` writes it after every edit."""

import importlib
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from bench.harness import JOURNEYS
from cli.release import write_release
from workflows.source.journey_loading import load
from workflows.source.version_content import JourneyPackages

ROOT = Path(__file__).parent.parent


@contextmanager
def released(package: str, sources: Sequence[str]) -> Iterator[dict[str, str]]:
    """Release each source in its turn; the variables that deploy the package beside the journeys of the benchmarks."""
    with tempfile.TemporaryDirectory(prefix="journeys-released-") as name:
        folder, today = Path(name), datetime.now(UTC).date()
        folder.chmod(0o755)
        (folder / package).mkdir()
        (folder / package / "__init__.py").touch()
        # What is written twice in a second would be run as it was compiled first.
        compiling, sys.dont_write_bytecode = sys.dont_write_bytecode, True
        sys.path.insert(0, name)
        try:
            for source in sources:
                (folder / package / "journey.py").write_text(source)
                _forget(package)
                registry, packages = load([JOURNEYS, package]), JourneyPackages([JOURNEYS, package])
                for journey in registry.journeys.values():
                    if journey.function.__module__.startswith(f"{package}."):
                        write_release(journey, packages, registry.releases[journey.name], today)
        finally:
            sys.path.remove(name)
            sys.dont_write_bytecode = compiling
            _forget(package)
        yield {"JOURNEYS": f"{JOURNEYS},{package}", "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}"}


def _forget(package: str) -> None:
    for module in [module for module in sys.modules if module.partition(".")[0] == package]:
        del sys.modules[module]
    importlib.invalidate_caches()
