"""Two hundred people claim a thousand tasks at once: each task has one winner, and everybody else is told who."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from activities.actors import Actor
from activities.standalone_tasks import StandaloneTask
from activities.tables import task_history, tasks
from activities.task_rows import TaskConflict, TaskRequest, TaskRow
from activities.tasks import claim, open_alone
from tests.support.api_client import Api, serving
from workflows.player_facts import PlayerFacts

#: People, tasks, and how many of these each of them goes for: of each task some twenty want to be the one.
CLAIMANTS, TASKS, EACH = 200, 1_000, 100
#: Claims under way at a time: as many as there are connections, so that they meet in Postgres and not in our line.
AT_ONCE = 10


@pytest.fixture(scope="module")
async def served(module_postgres_url: str) -> AsyncIterator[Api]:
    async with serving(module_postgres_url, pool_size=AT_ONCE) as api:
        yield api


async def opened(api: Api, count: int) -> list[str]:
    now, giver = datetime.now(UTC), Actor(api.brand, "test", id="test")
    ids = [f"{api.brand}-{number}" for number in range(count)]
    async with api.engine.database.transaction() as connection:
        for task_id in ids:
            facts = PlayerFacts(player_id=f"p-{task_id}")
            task = StandaloneTask.by_hand("birthday_call", task_id, "Hers.", facts, giver, now, now + timedelta(days=1))
            await open_alone(connection, api.brand, task)
    return ids


async def race(api: Api, claimants: int, count: int, each: int) -> None:
    """Each claimant goes for `each` of the tasks, in an order of their own."""
    ids = await opened(api, count)
    won: Counter[str] = Counter()
    turn = asyncio.Semaphore(AT_ONCE)
    refused: list[TaskConflict] = []

    async def goes(number: int) -> None:
        name = f"claimant-{number}"
        actor = Actor(api.brand, name, "person", name, teams=frozenset({"vip"}))
        for task_id in random.Random(number).sample(ids, each):
            async with turn, api.engine.pools.ordinary.patient_transaction() as connection:
                outcome = await claim(connection, TaskRequest(api.brand, task_id, actor, datetime.now(UTC)))
            if isinstance(outcome, TaskRow):
                assert outcome.assignee == name
                won[task_id] += 1
            else:
                assert isinstance(outcome, TaskConflict)
                refused.append(outcome)

    await asyncio.gather(*(goes(number) for number in range(claimants)))
    assert set(won) == set(ids)
    assert set(won.values()) == {1}
    assert len(won) + len(refused) == claimants * each
    assert {one.why for one in refused} == {"claimed"}
    async with api.engine.database.reading() as connection:
        held = select(tasks.c.id, tasks.c.assignee).where(tasks.c.brand == api.brand, tasks.c.state == "claimed")
        assert {row.id for row in await connection.execute(held)} == set(won)
        lines = select(task_history.c.task_id, func.count()).where(
            task_history.c.brand == api.brand, task_history.c.action == "claimed"
        )
        counted = {row[0]: row[1] for row in await connection.execute(lines.group_by(task_history.c.task_id))}
    assert counted == dict(won)


async def test_of_many_who_claim_one_task_one_has_it(api: Api) -> None:
    await race(api, 50, 40, 20)


@pytest.mark.slow  # 20,000 claims take a minute or two
@pytest.mark.timeout(600)
async def test_two_hundred_claim_a_thousand_tasks(api: Api) -> None:
    await race(api, CLAIMANTS, TASKS, EACH)
