"""Tasks as a run sees them: whatever is tried twice happens once, and who answers first has answered."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

import pytest
import sqlalchemy as sa
from pydantic import JsonValue

from activities.tables import steps, task_history, tasks
from tests.support.engine import NOON, Effects, Row, done, effects, rows
from workflows.effects import MoveTask, OpenTask, TaskMoved
from workflows.player_facts import PlayerFacts

STEP = "ask:Affordability#1"
ANSWER: dict[str, JsonValue] = {"outcome": "approve"}
Move = Literal["remind", "escalate", "expire"]


@pytest.fixture(scope="module")
async def shared(module_postgres_url: str) -> AsyncIterator[Effects]:
    async with effects(module_postgres_url) as parts:
        yield parts


@dataclass
class Asking:
    """One player's run that asks people."""

    parts: Effects
    player: str
    run: str

    async def opens(self) -> str:
        given = self.parts.given(
            OpenTask,
            self.run,
            STEP,
            form="Affordability",
            question="Is this player's spend affordable?",
            form_schema={"type": "object"},
            team="vip",
            skill="aml",
            forbidden=["no offer"],
            due_at=NOON + timedelta(hours=48),
            escalate_to="vip-head",
            facts=PlayerFacts(player_id=self.player),
        )
        return done(await self.parts.tasks.open(given)).task_id

    async def moves(self, task_id: str, move: Move) -> TaskMoved:
        due_at = NOON + timedelta(hours=96) if move == "escalate" else None
        return await self.parts.tasks.move(
            self.parts.given(MoveTask, self.run, STEP, task_id=task_id, move=move, due_at=due_at)
        )

    async def changes(self, task_id: str, **values: Any) -> bool:
        """A person changes the task, if it is still open."""
        async with self.parts.database.transaction() as connection:
            locked = sa.select(tasks.c.state).where(tasks.c.id == task_id).with_for_update()
            if (await connection.execute(locked)).scalar_one() not in {"open", "claimed"}:
                return False
            await connection.execute(sa.update(tasks).where(tasks.c.id == task_id).values(values))
            return True

    async def task(self, task_id: str) -> Row:
        (row,) = await rows(self.parts.database, tasks, id=task_id)
        return row

    async def history(self, task_id: str) -> list[tuple[str, str]]:
        return [(r["actor"], r["action"]) for r in await rows(self.parts.database, task_history, task_id=task_id)]

    async def story(self) -> list[str]:
        return sorted(row["outcome"] for row in await rows(self.parts.database, steps, run_id=self.run))


@pytest.fixture
async def asking(shared: Effects) -> AsyncIterator[Asking]:
    with shared.for_one_test():
        player = shared.casino.player()
        await shared.casino.registers(player)
        yield Asking(shared, player, await shared.enters(player))


async def test_opening_twice_opens_one_task(asking: Asking) -> None:
    first, second = await asyncio.gather(asking.opens(), asking.opens())
    assert first == second == await asking.opens()
    (row,) = await rows(asking.parts.database, tasks, run_id=asking.run)
    assert (row["state"], row["team"], row["version"], row["forbidden"]) == ("open", "vip", 1, ["no offer"])
    assert row["snapshot"]["player_id"] == asking.player
    assert await asking.history(first) == [("engine", "opened")]
    assert await asking.story() == ["opened"]


async def test_each_move_happens_once_however_often_it_is_tried(asking: Asking) -> None:
    task_id = await asking.opens()
    states: dict[Move, str] = {"remind": "open", "escalate": "open", "expire": "expired"}
    for move, state in states.items():
        for _ in range(3):
            assert (await asking.moves(task_id, move)).state == state
    assert [action for _, action in await asking.history(task_id)] == ["opened", "reminded", "escalated", "expired"]
    row = await asking.task(task_id)
    assert (row["version"], row["team"], row["due_at"]) == (4, "vip-head", NOON + timedelta(hours=96))
    assert (row["reminded_at"], row["escalated_at"], row["closed_at"]) == (NOON, NOON, NOON)
    assert await asking.story() == ["escalate", "expire", "opened", "remind"]


async def test_a_reminder_leaves_the_task_with_who_has_claimed_it(asking: Asking) -> None:
    task_id = await asking.opens()
    await asking.changes(task_id, state="claimed", assignee="anna")
    await asking.moves(task_id, "remind")
    row = await asking.task(task_id)
    assert (row["state"], row["assignee"]) == ("claimed", "anna")


async def test_an_escalated_task_is_open_again_and_no_longer_put_off(asking: Asking) -> None:
    task_id = await asking.opens()
    await asking.changes(task_id, state="claimed", assignee="anna", follow_up_at=NOON + timedelta(days=9))
    await asking.moves(task_id, "escalate")
    row = await asking.task(task_id)
    assert (row["state"], row["assignee"], row["follow_up_at"], row["team"]) == ("open", None, None, "vip-head")


async def test_an_escalation_tried_again_leaves_the_task_with_who_has_claimed_it_meanwhile(asking: Asking) -> None:
    task_id = await asking.opens()
    await asking.moves(task_id, "escalate")
    await asking.changes(task_id, state="claimed", assignee="boris")
    before = await asking.task(task_id)
    assert await asking.moves(task_id, "escalate") == TaskMoved(state="claimed")
    assert await asking.task(task_id) == before


@pytest.mark.parametrize("move", ["remind", "escalate", "expire"])
async def test_an_answer_that_came_first_is_given_back_and_stays(move: Move, asking: Asking) -> None:
    task_id = await asking.opens()
    await asking.changes(task_id, state="completed", answer=ANSWER)
    before = await asking.task(task_id)
    assert await asking.moves(task_id, move) == TaskMoved(state="completed", answer=ANSWER)
    assert await asking.task(task_id) == before
    assert await asking.history(task_id) == [("engine", "opened")]


async def test_an_answer_and_the_end_of_its_time_at_once_agree_who_was_first(asking: Asking) -> None:
    task_id = await asking.opens()
    moved, answered = await asyncio.gather(
        asking.moves(task_id, "expire"), asking.changes(task_id, state="completed", answer=ANSWER)
    )
    row = await asking.task(task_id)
    assert moved.state == row["state"] == ("completed" if answered else "expired")
    assert moved.answer == row["answer"] == (ANSWER if answered else None)
