"""`journeys webhooks` as a person meets it, against a served API."""

from datetime import UTC, datetime
from pathlib import Path

from activities.api_keys import create_key
from activities.database import Database
from activities.settings import Settings
from tests.support.command_line import Terminal, serving


async def test_a_webhook_is_made_shown_tried_and_rotated_from_a_terminal(postgres_url: str, tmp_path: Path) -> None:
    database = Database(Settings(database_url=postgres_url))
    _, key = await create_key(database, "demo", "crm", ["webhooks:manage"], datetime.now(UTC))
    await database.close()
    with serving(postgres_url, tmp_path) as url:
        terminal = Terminal("demo", postgres_url, {"JOURNEYS_URL": url, "JOURNEYS_KEY": key}, tmp_path)
        code, said = await terminal.journeys("webhooks", "add", "https://10.0.0.1/", "task.*")
        assert (code, "not public" in said) == (1, True)
        code, said = await terminal.journeys(
            "webhooks", "add", "https://93.184.216.34/hooks", "task.*", "player.protected"
        )
        assert (code, "whsec_" in said) == (0, True)
        webhook = said.split()[0]
        _, said = await terminal.journeys("webhooks", "list")
        assert f"{webhook} active task.*, player.protected https://93.184.216.34/hooks" in said
        _, said = await terminal.journeys("webhooks", "test", webhook)
        event = said.split()[2].rstrip(";")
        _, said = await terminal.journeys("webhooks", "deliveries", webhook, "--state", "pending")
        assert "webhook.test" in said
        assert event in said
        code, said = await terminal.journeys("webhooks", "rotate", webhook, "--overlap-hours", "1")
        assert (code, "for 1 hour more" in said, "whsec_" in said) == (0, True, True)
        _, said = await terminal.journeys("webhooks", "redeliver", webhook, "--event", event)
        assert "0 events to be told again." in said
