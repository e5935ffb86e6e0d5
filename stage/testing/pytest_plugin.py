"""The `rehearse` fixture for every project that has the engine installed, and the story beside a failed assertion."""

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from stage.testing.rehearsal import Rehearse

KEY = pytest.StashKey["Rehearse"]()


@pytest.fixture
def rehearse(request: pytest.FixtureRequest) -> Generator["Rehearse", None, None]:
    """Give a test the means to rehearse a journey with a player."""
    # The engine is imported by the tests that use it, not by every pytest of the machine.
    from stage.testing.rehearsal import Rehearse  # noqa: PLC0415

    made = request.node.stash[KEY] = Rehearse()
    yield made
    made.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Show what happened in every rehearsal of a test that fails."""
    report = yield
    made = item.stash.get(KEY, None)
    if made is not None and report.failed and report.when == "call":
        for rehearsal in made.rehearsals:
            report.sections.append((f"story of {rehearsal!r}", "\n".join(rehearsal.story)))
    return report
