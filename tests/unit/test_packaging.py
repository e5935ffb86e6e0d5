"""What is installed where: the lock files, the groups of dependencies, and that nothing is built from a checkout."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
GROUPS: dict[str, list[str]] = {"core": PROJECT["dependencies"], **PROJECT["optional-dependencies"]}
LOCKED = {
    name: {
        package: version
        for package, version, where in re.findall(
            r"^([\w.-]+)==([\w.]+)(?: ; ([^\\\n]+))?", (ROOT / name).read_text(), re.MULTILINE
        )
        if not where or Marker(where.strip()).evaluate()
    }
    for name in ("requirements.txt", "requirements-dev.txt")
}
BLOCKED = """
import sys
blocked = set(sys.argv.pop(1).split(","))
class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"{name} is not installed in production", name=name)
sys.meta_path.insert(0, NotInstalled())
"""


def without_the_other_groups(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program where only what requirements.txt locks can be imported, and `local` is not there."""
    absent = LOCKED["requirements-dev.txt"].keys() - LOCKED["requirements.txt"].keys()
    modules = {
        module
        for module, distributions in packages_distributions().items()
        if all(canonicalize_name(distribution) in absent for distribution in distributions)
    }
    assert {"aiosmtpd", "altair", "polars", "psutil", "pytest", "vl_convert"} <= modules
    command = [sys.executable, "-c", BLOCKED + program, ",".join({*modules, "local"}), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_what_production_runs_imports_the_core_group_only_and_what_a_migration_needs_later() -> None:
    # No module needs another to come first: nothing of ours imports in a circle, tests/test_architecture.py says.
    done = without_the_other_groups("import api.app, worker; print('alembic' in sys.modules); import cli.app")
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr


def test_a_command_names_the_group_it_lacks(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text("player_id,ts_utc,amount_usd\np,2026-01-01T00:00:00Z,5\n")
    done = without_the_other_groups("from cli.app import main; main()", "rehearse", "--log", str(log))
    assert done.returncode == 1
    sentence = (
        "`journeys rehearse` needs the group `design`, which is not installed here; run `make setup` in a checkout."
    )
    assert done.stderr == f"{sentence}\n"


def test_a_command_that_was_written_wrongly_imports_nothing_of_the_engine() -> None:
    program = "import pytest, cli.app\nwith pytest.raises(SystemExit, match='2'): cli.app.main()"
    command = [sys.executable, "-c", f"{program}\nimport sys; print('workflows' in sys.modules)", "show", "--nonsense"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize("group", GROUPS)
def test_every_requirement_has_a_lower_bound_that_the_lock_keeps(group: str) -> None:
    locked = LOCKED["requirements.txt" if group == "core" else "requirements-dev.txt"]
    for requirement in map(Requirement, GROUPS[group]):
        assert ">=" in str(requirement.specifier), f"{requirement} says no version it is known to work with."
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        assert locked[canonicalize_name(requirement.name)] in requirement.specifier, f"run `make lock`: {requirement}"


def test_the_two_locks_agree() -> None:
    core, everything = LOCKED["requirements.txt"], LOCKED["requirements-dev.txt"]
    assert core.items() <= everything.items()


def test_the_sdk_is_held_to_one_minor_version_because_its_private_parts_are_used() -> None:
    (temporal,) = (r for r in map(Requirement, GROUPS["core"]) if r.name == "temporalio")
    bounds = {specifier.operator: specifier.version for specifier in temporal.specifier}
    major, minor = map(int, bounds[">="].split(".")[:2])
    assert bounds["<"] == f"{major}.{minor + 1}"


@pytest.mark.parametrize("build", ["build_wheel", "build_sdist"])
def test_there_is_no_package_to_build(build: str, tmp_path: Path) -> None:
    program = f"import sys; from hatchling.build import {build}; {build}(sys.argv[1])"
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "is an application with its lock and is installed from a checkout" in done.stderr
    assert not any(tmp_path.iterdir())
