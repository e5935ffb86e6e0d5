"""Fixtures of the acceptance tests."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def commands_begin_at_once(command_server: None) -> None:
    """Those that tests name by `tests.support.commands.command`."""
