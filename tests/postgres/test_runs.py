"""What a run does to itself: its end, its marks, fresh facts, another journey. Each once, however often tried."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.rolling_release import RELEASE
from activities.runs import RunOver
from activities.tables import deliveries, players, runs, steps, task_history, tasks
from tests.support.engine import NOON, ZONE, Effects, Row, done, effects, rows, run_of
from workflows import DepositApproved, DepositFailed, ExclusionSet, ProfileUpdated
from workflows.effects import End, Mark, OpenTask, Refresh, Started, StartJourney
from workflows.player_facts import PlayerFacts
from workflows.player_state.decisions import Arm
from workflows.run_protocol import StoryLine

OTHER = "failed_deposit"  # a shipped journey without a control arm, once a day


@pytest.fixture(scope="module")
async def shared(module_postgres_url: str) -> AsyncIterator[Effects]:
    async with effects(module_postgres_url) as parts:
        yield parts


@dataclass
class Running:
    """A player whose three failed deposits have begun a run."""

    parts: Effects
    player: str
    run: str

    async def fails(self) -> None:
        await self.parts.casino.happens(self.player, *[DepositFailed] * 3, failure="technical")

    async def ends(self, outcome: str = "completed") -> None:
        await self.parts.runs.end(self.parts.given(End, self.run, "end", outcome=outcome))

    async def starts(self, step: str = f"start:{OTHER}#1") -> Started:
        return done(await self.parts.runs.start(self.parts.given(StartJourney, self.run, step, start=OTHER)))

    async def rows(self, table: Any, **where: Any) -> list[Row]:
        return await rows(self.parts.database, table, **where)

    async def story(self) -> list[tuple[str, str]]:
        return [(row["step"], row["outcome"]) for row in await self.rows(steps, run_id=self.run)]


@pytest.fixture
async def running(shared: Effects) -> AsyncIterator[Running]:
    with shared.for_one_test():
        player = shared.casino.player()
        await shared.casino.registers(player)
        under_way = Running(shared, player, "")
        await under_way.fails()
        under_way.run = await run_of(shared.database, player, OTHER)
        yield under_way


@pytest.fixture
async def asking(shared: Effects) -> AsyncIterator[Running]:
    """A player in a run that no other journey stands in the way of."""
    with shared.for_one_test():
        player = shared.casino.player()
        await shared.casino.registers(player)
        yield Running(shared, player, await shared.enters(player))


@pytest.mark.parametrize("arm", ["control", "treated"])
async def test_a_run_that_a_run_begins_is_compared_where_that_one_is(shared: Effects, arm: Arm) -> None:
    with shared.for_one_test():
        player = shared.casino.player()
        await shared.casino.registers(player)
        begun = await Running(shared, player, await shared.enters(player, arm=arm)).starts()
        (row,) = await rows(shared.database, runs, id=begun.new_run_id)
        assert (row["arm"], row["arm_share"], row["state"]) == (arm, 1.0, "active")
        (told,) = await rows(shared.database, players, id=player)
        assert told["state"]["runs"][begun.new_run_id]["arm"] == arm


class TestEnd:
    async def test_the_end_is_recorded_once_and_the_first_outcome_stays(self, running: Running) -> None:
        await running.ends("completed")
        running.parts.casino.clock.later(timedelta(hours=1))
        await running.ends("cancelled")
        (row,) = await running.rows(runs, id=running.run)
        assert (row["state"], row["outcome"], row["ended_at"]) == ("ended", "completed", NOON)

    async def test_until_it_the_player_may_not_enter_again_and_then_may(self, running: Running) -> None:
        running.parts.casino.clock.later(timedelta(days=1))
        await running.fails()
        assert len(await running.rows(runs, player_id=running.player)) == 1
        await running.ends()
        await running.fails()
        entered = [row["id"] for row in await running.rows(runs, player_id=running.player)]
        assert (len({*entered}), running.run in entered) == (2, True)

    async def test_tasks_left_open_are_cancelled_and_answered_ones_stay(self, running: Running) -> None:
        opened = []
        for number in (1, 2):
            given = running.parts.given(
                OpenTask,
                running.run,
                f"ask:LiveHelp#{number}",
                form="LiveHelp",
                question="?",
                form_schema={},
                team="support",
                due_at=NOON,
                facts=PlayerFacts(player_id=running.player),
            )
            opened.append(done(await running.parts.tasks.open(given)).task_id)
        async with running.parts.database.transaction() as connection:
            await connection.execute(tasks.update().where(tasks.c.id == opened[0]).values(state="completed"))
        for _ in range(2):
            await running.ends()
        states = {row["id"]: (row["state"], row["version"]) for row in await running.rows(tasks, run_id=running.run)}
        assert states == {opened[0]: ("completed", 1), opened[1]: ("cancelled", 2)}
        told = [row["text"] for row in await running.rows(task_history, task_id=opened[1]) if row["text"]]
        assert told == ["The journey ended: completed."]

    async def test_what_a_run_never_heard_does_not_hold_its_player_back(self, running: Running) -> None:
        await running.ends()
        await running.parts.casino.happens(running.player, DepositApproved)
        kinds = [row["kind"] for row in await running.rows(deliveries, run_id=running.run)]
        assert kinds == ["start"]


class TestStory:
    async def test_lines_that_come_with_an_effect_are_kept_once(self, asking: Running) -> None:
        told = [StoryLine(line=n, step="sleep#1", at=NOON, outcome="timed_out") for n in (1, 2)]
        for _ in range(2):
            await asking.parts.runs.mark(
                asking.parts.given(Mark, asking.run, "mark:here#1", name="here", detail={"n": 1}, story=told)
            )
        assert await asking.story() == [
            ("mark:here#1", "marked"),
            ("sleep#1", "timed_out"),
            ("sleep#1", "timed_out"),
        ]

    async def test_refreshed_facts_are_the_newest_and_hold_no_personal_data(self, asking: Running) -> None:
        await asking.parts.casino.happens(asking.player, ProfileUpdated, changed={"language": "uk", "first_name": "X"})
        facts = done(await asking.parts.runs.refresh(asking.parts.given(Refresh, asking.run, "refresh#1")))
        assert (facts.language, facts.timezone, facts.currency) == ("uk", ZONE, "EUR")
        assert "synthetic.example" not in facts.model_dump_json()


class TestStart:
    async def test_a_start_that_is_tried_again_finds_the_run_it_began(self, asking: Running) -> None:
        told = await asyncio.gather(*(asking.starts() for _ in range(3)))
        assert told == [Started(new_run_id=await run_of(asking.parts.database, asking.player, OTHER))] * 3
        assert len(await asking.rows(deliveries, run_id=told[0].new_run_id)) == 1
        (started,) = [row for row in await asking.rows(runs, player_id=asking.player) if row["journey"] == OTHER]
        assert started["trigger"] == {"type": "run", "id": f"{asking.run}/start:{OTHER}#1", "source": asking.run}

    async def test_another_step_respects_the_entry_rule(self, asking: Running) -> None:
        await asking.starts()
        again = await asking.starts(f"start:{OTHER}#2")
        assert again == Started(refused="The entry rule of the journey does not allow it now.")

    async def test_a_refusal_that_was_told_stands_although_the_entry_rule_would_allow_it_by_now(
        self, asking: Running
    ) -> None:
        await asking.fails()
        refused = await asking.starts()
        assert refused.new_run_id is None
        other = await run_of(asking.parts.database, asking.player, OTHER)
        await asking.parts.runs.end(asking.parts.given(End, other, "end", outcome="completed"))
        asking.parts.casino.clock.later(timedelta(days=2))
        assert await asking.starts() == refused
        assert (f"start:{OTHER}#1", "started") not in await asking.story()
        assert (await asking.starts(f"start:{OTHER}#2")).new_run_id is not None

    async def test_a_protected_player_is_refused_also_when_it_is_tried_again(self, asking: Running) -> None:
        await asking.parts.casino.happens(asking.player, ExclusionSet, kind="self_exclusion", until=None)
        for _ in range(2):
            assert await asking.starts() == Started(refused="self_excluded")
        refused = await run_of(asking.parts.database, asking.player, OTHER)
        assert await asking.rows(deliveries, run_id=refused) == []

    async def test_a_journey_that_is_not_deployed_is_a_refusal_once_a_release_is_over(self, asking: Running) -> None:
        given = asking.parts.given(StartJourney, asking.run, "start:gone#1", start="gone")
        attempt = ActivityEnvironment()
        due = attempt.info.scheduled_time
        attempt.info = replace(attempt.info, started_time=due + RELEASE)
        assert await attempt.run(asking.parts.runs.start, given) == Started(refused="No journey is called gone.")

    async def test_a_journey_that_another_worker_may_know_is_asked_for_again(self, asking: Running) -> None:
        given = asking.parts.given(StartJourney, asking.run, "start:gone#1", start="gone")
        attempt = ActivityEnvironment()
        due = attempt.info.scheduled_time
        attempt.info = replace(attempt.info, started_time=due + RELEASE - timedelta(seconds=1))
        with pytest.raises(ApplicationError, match="No journey is called gone") as refused:
            await attempt.run(asking.parts.runs.start, given)
        assert not refused.value.non_retryable


async def test_no_effect_loses_what_happened_to_the_player_meanwhile(running: Running) -> None:
    deposits = [running.parts.casino.happens(running.player, DepositApproved, mode="history") for _ in range(6)]
    marks = [
        running.parts.runs.refresh(running.parts.given(Refresh, running.run, f"refresh#{number}"))
        for number in range(6)
    ]
    told = await asyncio.gather(*deposits, *marks, running.ends(), return_exceptions=True)
    # What asks after the end is refused, and loses nothing either.
    assert {type(answer) for answer in told if isinstance(answer, Exception)} <= {RunOver}
    (row,) = await running.rows(players, id=running.player)
    assert row["state"]["counts"]["payment.deposit_approved"] == 6
