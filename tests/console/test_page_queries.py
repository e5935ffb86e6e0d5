"""How often a page asks Postgres: as often for many rows as for one."""

from datetime import UTC, datetime

import pytest

from activities.player_hosts import set_host
from tests.support.console import Console, Desk, counting

#: Pages with the most statements each may take, those among them that find out who looks.
MOST = {
    "inbox?tab=team": 6,
    "tasks/{task}?tab=team": 11,
    "players?mine=true": 8,
    "players/p-0": 9,
    "players/p-0?tab=tasks": 9,
    "journeys/api_review": 15,
    "managers": 6,
}


async def host(console: Console, desk: Desk, number: int) -> str:
    """One more player with a task, whom the manager looks after; the task."""
    task = await console.task(f"p-{number}", name=f"Anna {number}")
    async with console.api.engine.database.transaction() as connection:
        given = (console.api.brand, f"p-{number}", desk.person.id, "test", datetime.now(UTC))
        await set_host(connection, *given)
    return task


@pytest.mark.parametrize("page", MOST)
async def test_a_page_asks_as_often_for_many_rows_as_for_one(console: Console, page: str) -> None:
    desk = await console.desk("head")
    address = f"/console/{console.api.brand}/{page.format(task=await host(console, desk, 0))}"
    times = list[int]()
    for more in ((), range(1, 6)):
        for number in more:
            await host(console, desk, number)
        # What is remembered between requests is there the second time.
        await desk.get(address)
        with counting(console) as asked:
            assert (await desk.get(address)).status_code == 200
        times.append(len(asked))
    assert times[0] == times[1] <= MOST[page]
