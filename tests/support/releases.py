"""Releasing journeys of packages that tests write, as a designer would and as the next deployment finds them."""

import sys
from datetime import date
from pathlib import Path
from unittest.mock import patch

from typer.testing import CliRunner

from cli.app import app
from cli.release import write_release
from workflows.source.journey_loading import Registry, load
from workflows.source.version_content import JourneyPackages


def reloaded(name: str) -> Registry:
    """A package as a new process would load it."""
    for module in [module for module in sys.modules if module.partition(".")[0] == name]:
        del sys.modules[module]
    return load([name])


def journeys_command(name: str, *command: str, code: int = 0) -> str:
    """What a command of `journeys` says about a package; it must end with that code."""
    reloaded(name)
    with patch.dict("os.environ", {"JOURNEYS": name, "COLUMNS": "250"}):
        result = CliRunner().invoke(app, [*command])
    assert result.exit_code == code, result.output
    return result.output


def release(name: str) -> Registry:
    """Release everything in a package that is no release yet, and load it."""
    journeys_command(name, "release")
    return reloaded(name)


def release_twice(name: str, journey: Path, first: str, second: str) -> None:
    """Release a journey as its file has it, and once more with `second` for `first`; the file stays at the first."""
    release(name)
    code = journey.read_text()
    journey.write_text(code.replace(first, second))
    release(name)
    journey.write_text(code)
    reloaded(name)


def freeze(name: str) -> None:
    """Make the present code of a package's journeys releases, whatever else may be wrong with it as a deployment.

    A package that has a journey of the name of a shipped one cannot be loaded beside those.
    """
    registry, today = reloaded(name), date(2026, 1, 1)
    sources = JourneyPackages([name])
    for journey in registry.journeys.values():
        write_release(journey, sources, registry.releases[journey.name], today)
