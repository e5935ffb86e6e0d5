"""Fixtures of the acceptance tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command_line import Journeys, run_command
from tests.support.commands import command_server


@pytest.fixture(scope="session", autouse=True)
def commands_begin_at_once(session_folder: Path) -> Iterator[None]:
    """Those that tests name by `tests.support.commands.command`."""
    with command_server(session_folder):
        yield


@pytest.fixture
def journeys(tmp_path: Path) -> Journeys:
    """Run a command in an empty folder."""
    return run_command(tmp_path)
