"""A run that is over in the books gets nothing done any more, wherever it goes on; whoever is gone holds up no end."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
import sqlalchemy as sa

from activities.runs import RunOver
from activities.tables import grants, messages, runs, steps, tasks
from tests.support.engine import BRAND, NOON, Effects, effects, execute, rows
from tests.support.machine import eventually
from workflows import points
from workflows.effects import (
    RUN_OVER,
    AssignArm,
    End,
    Give,
    Mark,
    Match,
    MoveTask,
    OpenTask,
    ReadScore,
    ReadValue,
    Refresh,
    Send,
    StartJourney,
    Webhook,
)
from workflows.player_facts import PlayerFacts
from workflows.send_choices import Choose

Asked = Callable[[Effects, str], Coroutine[Any, Any, object]]


@pytest.fixture(scope="module")
async def shared(module_postgres_url: str) -> AsyncIterator[Effects]:
    async with effects(module_postgres_url) as parts:
        yield parts


@pytest.fixture
async def player(shared: Effects) -> AsyncIterator[str]:
    with shared.for_one_test():
        player = shared.casino.player()
        await shared.casino.registers(player)
        yield player


def opening(parts: Effects, run_id: str) -> OpenTask:
    return parts.given(
        OpenTask,
        run_id,
        "ask:LiveHelp#1",
        form="LiveHelp",
        question="?",
        form_schema={},
        team="support",
        due_at=NOON,
        facts=PlayerFacts(player_id=run_id.split(":")[2]),
    )


EFFECTS: dict[str, Asked] = {
    "send": lambda parts, run: parts.messages.send(
        parts.given(Send, run, "send:deposit-help#1", template="deposit-help", via=["in_app"])
    ),
    "grant": lambda parts, run: parts.grants.give(parts.given(Give, run, "grant:points#1", reward=points(5))),
    "open_task": lambda parts, run: parts.tasks.open(opening(parts, run)),
    "move_task": lambda parts, run: parts.tasks.move(
        parts.given(MoveTask, run, "ask:LiveHelp#1", task_id="t", move="expire")
    ),
    "start": lambda parts, run: parts.runs.start(parts.given(StartJourney, run, "start:x#1", start="failed_deposit")),
    "assign": lambda parts, run: parts.experiments.assign(
        parts.given(AssignArm, run, "arm:x#1", experiment="x", experiment_version=1, arms={"push": 50, "control": 50})
    ),
    "choose": lambda parts, run: parts.choices.choose(
        parts.given(Choose, run, "choose:content-news#1", template="content-news", otherwise="18:00")
    ),
    "score": lambda parts, run: parts.scores.score(parts.given(ReadScore, run, "score:churn#1", score="churn")),
    "match": lambda parts, run: parts.runs.match(parts.given(Match, run, "matches:x#1", segment="x")),
    "value": lambda parts, run: parts.runs.value(parts.given(ReadValue, run, "value:x#1", measure="x")),
    "refresh": lambda parts, run: parts.runs.refresh(parts.given(Refresh, run, "refresh#1")),
    "webhook": lambda parts, run: parts.webhooks.say(parts.given(Webhook, run, "webhook:x#1", name="x")),
    "mark": lambda parts, run: parts.runs.mark(parts.given(Mark, run, "mark:x#1", name="x")),
}


async def test_of_a_message_in_doubt_when_its_run_ends_nobody_says_that_it_waits(shared: Effects, player: str) -> None:
    run_id = await shared.enters(player)
    await EFFECTS["send"](shared, run_id)
    in_doubt = "UPDATE messages SET status = 'handed_over', handed_over_at = now() WHERE run_id = :run"
    await execute(shared.database, in_doubt, run=run_id)
    await shared.runs.end(shared.given(End, run_id, "end", outcome="lost"))
    [row] = await rows(shared.database, messages, run_id=run_id)
    assert (row["status"], row["reason"]) == ("unknown", "outcome_unknown")
    assert row["handed_over_at"] is not None, "It counts against the caps."


@pytest.mark.parametrize("effect", EFFECTS)
@pytest.mark.parametrize("books", ["over", "unknown"])
async def test_no_effect_of_a_run_that_is_over_or_of_no_books_is_done(
    effect: str, books: str, shared: Effects, player: str
) -> None:
    run_id = await shared.enters(player)
    if books == "over":
        await shared.runs.end(shared.given(End, run_id, "end", outcome="lost"))
    else:
        await execute(shared.database, "DELETE FROM runs WHERE id = :run", run=run_id)
    with pytest.raises(RunOver, match="is over in the books") as refused:
        await EFFECTS[effect](shared, run_id)
    assert (refused.value.type, refused.value.non_retryable) == (RUN_OVER, True)
    for table in (messages, grants, tasks):
        assert await rows(shared.database, table, run_id=run_id) == []
    assert [row["id"] for row in await rows(shared.database, runs, player_id=player)] == [run_id] * (books == "over")


async def test_an_effect_that_waits_for_an_end_under_way_sees_it(shared: Effects, player: str) -> None:
    run_id = await shared.enters(player)
    async with shared.database.transaction() as connection:
        # Whoever ends a run in the books holds the player's row and then the run's.
        locked = "SELECT 1 FROM players WHERE id = :player FOR UPDATE"
        await connection.execute(sa.text(locked), {"player": player})
        await connection.execute(sa.update(runs).where(runs.c.id == run_id).values(state="ended", outcome="lost"))
        waiting = [asyncio.create_task(EFFECTS[name](shared, run_id)) for name in ("send", "grant", "open_task")]
        await eventually(lambda: blocked(shared, len(waiting)))
    told = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(answer) for answer in told] == [RunOver] * len(waiting)
    assert await rows(shared.database, messages, run_id=run_id) == []


async def blocked(parts: Effects, count: int) -> bool:
    async with parts.database.reading() as connection:
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return bool((await connection.execute(sa.text(waiting))).scalar_one() >= count)


class TestWhoIsGone:
    async def test_a_run_ends_although_its_players_row_is_gone(self, shared: Effects, player: str) -> None:
        run_id = await shared.enters(player)
        await execute(shared.database, "DELETE FROM players WHERE id = :player", player=player)
        for _ in range(2):
            await shared.runs.end(shared.given(End, run_id, "end", outcome="completed"))
        (row,) = await rows(shared.database, runs, id=run_id)
        assert (row["state"], row["outcome"]) == ("ended", "completed")

    async def test_a_workflow_ends_although_no_books_have_its_run(self, shared: Effects, player: str) -> None:
        unknown = f"tested:{BRAND}:{player}:9"
        await shared.runs.end(shared.given(End, unknown, "end", outcome="completed"))
        assert await rows(shared.database, steps, run_id=unknown) == []

    @pytest.mark.parametrize("effect", ["refresh", "start"])
    async def test_what_needs_the_row_ends_the_run(self, effect: str, shared: Effects, player: str) -> None:
        run_id = await shared.enters(player)
        await execute(shared.database, "DELETE FROM players WHERE id = :player", player=player)
        with pytest.raises(RunOver):
            await EFFECTS[effect](shared, run_id)

    async def test_a_task_that_postgres_has_lost_is_answered_by_nobody(self, shared: Effects, player: str) -> None:
        run_id = await shared.enters(player)
        await shared.tasks.open(opening(shared, run_id))
        await execute(shared.database, "DELETE FROM task_history")
        await execute(shared.database, "DELETE FROM tasks WHERE run_id = :run", run=run_id)
        move = shared.given(MoveTask, run_id, "ask:LiveHelp#1", task_id=opening(shared, run_id).task_id, move="expire")
        moved = await shared.tasks.move(move)
        assert (moved.state, moved.answer) == ("lost", None)
