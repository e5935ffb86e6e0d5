"""`journeys hold`, `resume`, `close`, `open`, `stop` and `stuck` as a person meets them, against a served API."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from activities.api_keys import create_key
from activities.database import Database
from activities.settings import Settings
from tests.support.command_line import Terminal, serving

WHY = ("--reason", "The offer was wrong.")


@pytest.fixture(scope="module")
async def terminal(module_postgres_url: str, session_folder: Path) -> AsyncIterator[Terminal]:
    database = Database(Settings(database_url=module_postgres_url))
    _, key = await create_key(database, "demo", "crm", ["journeys:manage"], datetime.now(UTC))
    await database.close()
    with serving(module_postgres_url, session_folder) as url:
        yield Terminal("demo", module_postgres_url, {"JOURNEYS_URL": url, "JOURNEYS_KEY": key}, session_folder)


async def test_a_journey_is_held_closed_and_both_undone(terminal: Terminal) -> None:
    assert await terminal.journeys("hold", "welcome", *WHY) == (
        0,
        "welcome: Players enter it, its runs wait at their next effect.",
    )
    assert "Nobody enters it, its runs wait" in (await terminal.journeys("close", "welcome", *WHY))[1]
    assert "Nobody enters it, its runs go on." in (await terminal.journeys("resume", "welcome", *WHY))[1]
    assert "Players enter it, its runs go on." in (await terminal.journeys("open", "welcome", *WHY))[1]


async def test_a_decision_needs_a_reason_and_a_journey_that_exists(terminal: Terminal) -> None:
    assert (await terminal.journeys("hold", "welcome"))[0] == 2
    code, said = await terminal.journeys("hold", "welcom", *WHY)
    assert (code, "Did you mean welcome?" in said) == (1, True)


async def test_a_stop_shows_what_it_would_end_and_asks(terminal: Terminal) -> None:
    code, said = await terminal.journeys("stop", "welcome", *WHY, typed="n\n")
    assert code == 1
    assert "welcome: 0 runs would end" in said
    assert said.endswith("Nothing was stopped.")


async def test_nothing_is_stuck(terminal: Terminal) -> None:
    assert await terminal.journeys("stuck") == (0, "No run is stuck.")
