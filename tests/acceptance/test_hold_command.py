"""`journeys hold`, `resume`, `close`, `open`, `stop` and `stuck` as a person meets them, against a served API."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from activities.api_keys import create_key
from activities.database import Database
from activities.settings import Settings
from tests.acceptance.test_cli import serving
from tests.acceptance.test_enrol_command import Casino

WHY = ("--reason", "The offer was wrong.")


@pytest.fixture(scope="module")
async def casino(module_postgres_url: str, session_folder: Path) -> AsyncIterator[Casino]:
    database = Database(Settings(database_url=module_postgres_url))
    _, key = await create_key(database, "demo", "crm", ["journeys:manage"], datetime.now(UTC))
    await database.close()
    with serving(module_postgres_url, session_folder) as url:
        yield Casino("demo", module_postgres_url, {"JOURNEYS_URL": url, "JOURNEYS_KEY": key}, session_folder)


async def test_a_journey_is_held_closed_and_both_undone(casino: Casino) -> None:
    assert await casino.journeys("hold", "welcome", *WHY) == (
        0,
        "welcome: Players enter it, its runs wait at their next effect.",
    )
    assert "Nobody enters it, its runs wait" in (await casino.journeys("close", "welcome", *WHY))[1]
    assert "Nobody enters it, its runs go on." in (await casino.journeys("resume", "welcome", *WHY))[1]
    assert "Players enter it, its runs go on." in (await casino.journeys("open", "welcome", *WHY))[1]


async def test_a_decision_needs_a_reason_and_a_journey_that_exists(casino: Casino) -> None:
    assert (await casino.journeys("hold", "welcome"))[0] == 2
    code, said = await casino.journeys("hold", "welcom", *WHY)
    assert (code, "Did you mean welcome?" in said) == (1, True)


async def test_a_stop_shows_what_it_would_end_and_asks(casino: Casino) -> None:
    code, said = await casino.journeys("stop", "welcome", *WHY, typed="n\n")
    assert code == 1
    assert "welcome: 0 runs would end" in said
    assert said.endswith("Nothing was stopped.")


async def test_nothing_is_stuck(casino: Casino) -> None:
    assert await casino.journeys("stuck") == (0, "No run is stuck.")
