"""`journeys policy` as a person meets it, against a served API."""

from datetime import UTC, datetime
from pathlib import Path

from activities.api_keys import create_key
from activities.database import Database
from activities.settings import Settings
from activities.tables import players
from tests.support.command_line import Terminal, serving


async def test_the_policy_of_a_player_is_shown_with_rules_numbers_and_sources(
    postgres_url: str, tmp_path: Path
) -> None:
    database = Database(Settings(database_url=postgres_url))
    _, key = await create_key(database, "demo", "crm", ["journeys:manage"], datetime.now(UTC))
    async with database.transaction() as connection:
        state = {"status": "active", "facts": {"country": "GB"}}
        await connection.execute(players.insert().values(brand="demo", id="p-1", state=state))
    await database.close()
    with serving(postgres_url, tmp_path) as url:
        terminal = Terminal("demo", postgres_url, {"JOURNEYS_URL": url, "JOURNEYS_KEY": key}, tmp_path)
        code, said = await terminal.journeys("policy", "p-1", "--at", "2026-01-18")
        assert (code, "p-1 of GB at 2026-01-18 00:00: GB+GDPR-GB+house@" in said) == (0, True)
        assert "off one-product:" in said
        _, said = await terminal.journeys("policy", "p-1", "--at", "2026-01-19")
        assert "on one-product:" in said
        assert "one_product = True (GB)" in said
        assert "GB LCCP, SR 5.1.1" in said
        assert "needs a lawyer: The Supreme Court annulled" in said
        code, said = await terminal.journeys("policy", "nobody")
        assert (code, "There is no such player" in said) == (1, True)
