"""What the page of a player says of what rules measure."""

from datetime import UTC, datetime, timedelta

from tests.support.console import Console
from workflows.events import SessionLogin


async def test_a_usual_gap_is_said_in_days_once_it_is_known(console: Console) -> None:
    await console.task("p-0", name="Anna")
    desk, now = await console.desk("head"), datetime.now(UTC)
    address = f"/console/{console.api.brand}/players/p-0?tab=protection"
    assert "not known yet" in (await desk.get(address)).text
    for number in range(12):
        at = now - timedelta(days=3 * (12 - number))
        login = SessionLogin.example().model_copy(update={"event_id": f"l-{number}", "occurred_at": at})
        await console.api.engine.intake.ingest(console.api.brand, [("p-0", login)], now, mode="history")
    page = " ".join((await desk.get(address)).text.split())
    assert '<th scope="row">usual gap between days of SessionLogin</th><td class="n">3 days</td>' in page
