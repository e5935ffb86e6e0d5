"""How often a page asks Postgres, as often for many rows as for one; and what an inbox reads for it."""

import re
from datetime import UTC, datetime
from itertools import count

import pytest
from sqlalchemy import text

from activities.player_hosts import set_host
from tests.support.console import Console, Desk, counting

#: Pages with the most statements each may take, the one among them that finds out who looks.
MOST = {
    "inbox?tab=team": 3,
    "tasks/{task}?tab=team": 7,
    "players?mine=true": 4,
    "players/p-0": 5,
    "players/p-0?tab=tasks": 5,
    "journeys/api_review": 7,
    "managers": 4,
}

ONLY_THIS_INDEX = """
    UPDATE pg_index SET indisvalid = false
    WHERE indrelid = 'tasks'::regclass AND indexrelid <> 'ix_tasks_waiting'::regclass
"""


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


def for_any_values(statement: str) -> str:
    """A statement with numbers where its values belong."""
    numbers = count(1)
    return re.sub(r"%\(\w+\)s", lambda _: f"${next(numbers)}", statement)


@pytest.mark.parametrize("tab", ["mine", "team", "unclaimed", "overdue", "later"])
async def test_an_inbox_counts_and_chooses_in_an_index_alone_whatever_values_a_plan_is_kept_for(
    console: Console, tab: str
) -> None:
    desk = await console.desk("head")
    await host(console, desk, 0)
    with counting(console) as asked:
        assert (await desk.get(f"/console/{console.api.brand}/inbox?tab={tab}")).status_code == 200
    of_tasks = [one for one in asked if "FROM tasks" in one]
    assert len(of_tasks) == 2, "The counts and the list."
    async with console.api.engine.database.reading() as connection:
        # A few rows are quickly read anyhow; the question is what can be done for many. All of it is rolled back.
        for other in ("seqscan", "bitmapscan"):
            await connection.execute(text(f"SET LOCAL enable_{other} = off"))
        await connection.execute(text(ONLY_THIS_INDEX))
        for statement in of_tasks:
            plan = await connection.exec_driver_sql(f"EXPLAIN (GENERIC_PLAN) {for_any_values(statement)}")
            assert "Index Only Scan using ix_tasks_waiting" in "\n".join(plan.scalars())
