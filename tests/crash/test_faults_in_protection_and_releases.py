"""As `test_faults_in_the_engine`, for what protects, tasks, and runs that are moved or shadowed."""

import asyncio
import secrets
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from activities import messages, rewards, run_effects, tasks
from activities.bulk_jobs import Job
from activities.loops.migration import MIGRATE, RunMoves, begin_migration
from activities.shadows import RunningShadows, newest_shadow, start_shadow, stop_shadow
from tests.crash.check_releases import MOVED, SOME
from tests.crash.small_house import BRAND, SECOND, SmallHouse
from tests.crash.stories import Fault, Judge, Patch, Story, a_newcomer, arrives, rose, somebody_who_is_asked
from workflows.effects import OpenTask
from workflows.gate.decision import Allowed
from workflows.player_state.state import PlayerState
from workflows.run import JourneyRun

pytestmark = pytest.mark.slow


# ---- what happens to players ----------------------------------------------------------------------


async def passes(house: SmallHouse, seconds: float) -> None:
    """Time passes, and nothing is delivered meanwhile."""
    await asyncio.to_thread(house.temporal.advance_to, house.temporal.now + seconds * SECOND)


async def leaves(house: SmallHouse, player: str) -> None:
    """A player excludes themselves, and hears that it is so."""
    await house.tell(house.event(player, "compliance.exclusion_set", kind="self_exclusion"))
    house.note("excluded", player=player)


async def somebody_who_leaves_before_anything_came(house: SmallHouse) -> None:
    """The runs of somebody who leaves are about to send and to give, and have not heard of it."""
    player = house.player("gone")
    await arrives(house, player)
    await house.deliver()
    await leaves(house, player)
    house.temporal.now += SECOND
    await passes(house, 5)
    await house.settles()
    await a_newcomer(house)


async def somebody_who_leaves_with_a_question_open(house: SmallHouse) -> None:
    """Runs wait, one of them for a person's answer, when their player leaves."""
    player = house.player("left")
    await arrives(house, player)
    await house.tell(rose(house, player))
    await house.deliver()
    await passes(house, 10)
    await leaves(house, player)
    await house.deliver()
    await passes(house, 10)
    await house.settles()


async def runs_that_are_moved(house: SmallHouse) -> None:
    """Somebody moves all runs to the next release while they wait."""
    for number in range(SOME):
        await arrives(house, house.player(f"moved{number}"))
    await house.deliver()
    await passes(house, 5)
    house.note("moving", version=2)
    await move(house, 2)
    house.note("moved", version=2)
    await house.settles()


async def move(house: SmallHouse, version: int) -> None:
    [moves] = [kind for kind in house.built.bulk_jobs.kinds if isinstance(kind, RunMoves)]
    now = house.temporal.now
    detail = {"version": version, "do": [], "reason": "a test", "per_second": 100}
    job = Job(
        id=secrets.token_hex(8), brand=BRAND, kind=MIGRATE, subject=MOVED, detail=detail, created_at=now, updated_at=now
    )
    async with house.built.database.transaction() as connection:
        await begin_migration(connection, job, now)
    while await moves.batch(job.id) is not None:
        pass


async def shadowed(house: SmallHouse) -> None:
    """The next release is to be played beside the live one; players come."""
    async with house.built.database.transaction() as connection:
        asked = {"journey": MOVED, "version": 2, "percent": 100}
        await start_shadow(connection, BRAND, asked, "crm", house.temporal.now)
    house.built.intake.shadows = RunningShadows()
    house.note("shadowed", journey=MOVED)
    house.temporal.now += 2 * SECOND
    for number in range(SOME):
        await arrives(house, house.player(f"shadowed{number}"))


async def a_release_that_is_shadowed(house: SmallHouse) -> None:
    """Shadows play to their end."""
    await shadowed(house)
    await house.settles()


async def a_shadow_that_is_stopped(house: SmallHouse) -> None:
    """Somebody stops it while its runs are under way."""
    await shadowed(house)
    await house.deliver()
    await passes(house, 5)
    house.note("unshadowed", journey=MOVED)
    async with house.built.database.transaction() as connection:
        shadow = await newest_shadow(connection, BRAND, MOVED, lock=True)
        assert shadow is not None
        await stop_shadow(connection, shadow, "crm", house.temporal.now)
    house.built.intake.shadows = RunningShadows()
    await house.settles()


STORIES: tuple[Story, ...] = (
    somebody_who_leaves_before_anything_came,
    somebody_who_leaves_with_a_question_open,
    runs_that_are_moved,
    a_release_that_is_shadowed,
    a_shadow_that_is_stopped,
)


# ---- the engine, broken in one place --------------------------------------------------------------


def anything(*_: object) -> Allowed:
    return Allowed({}, "none")


def the_gate_of_messages_is_open(patch: Patch) -> None:
    patch.setattr(messages, "may_send", anything)


def the_gate_of_rewards_is_open(patch: Patch) -> None:
    patch.setattr(rewards, "may_grant", anything)


def runs_are_not_told_that_their_player_left(patch: Patch) -> None:
    patch.setattr(PlayerState, "stop_protected", lambda *_, **__: [])


def another_task_is_opened_at_each_attempt(patch: Patch) -> None:
    real = vars(tasks)["_insert"]

    async def insert(connection: AsyncConnection, task_id: str, opening: OpenTask, now: datetime) -> Any:
        await real(connection, task_id, opening, now)
        another = secrets.token_hex(4)
        step = f"{opening.step}-{another}"
        return await real(connection, another, opening.model_copy(update={"step": step}), now)

    patch.setattr(tasks, "_insert", insert)


def tasks_of_a_run_that_is_over_stay_open(patch: Patch) -> None:
    async def cancel(*_: Any) -> None:
        """Nobody closes anything."""

    patch.setattr(run_effects, "cancel_of_run", cancel)


def a_run_does_not_obey_an_order_to_move(patch: Patch) -> None:
    patch.setattr(JourneyRun, "_move_to", lambda *_: None)


def a_shadow_asks_for_what_its_journey_wants(patch: Patch) -> None:
    async def execute(self: JourneyRun, effect: Any, given: Any) -> Any:
        return effect.read(await self._call(effect, given))

    patch.setattr(JourneyRun, "_execute", execute)


def nobody_gets_a_shadow(patch: Patch) -> None:
    patch.setattr(PlayerState, "begin_shadow", lambda *_: [])


FAULTS = [
    Fault(
        the_gate_of_messages_is_open,
        somebody_who_leaves_before_anything_came,
        r"Message .* was let pass after gone.* had been promised to be left alone",
    ),
    Fault(
        the_gate_of_rewards_is_open,
        somebody_who_leaves_before_anything_came,
        r"Reward .* was let pass after gone.* had been promised to be left alone",
    ),
    Fault(
        runs_are_not_told_that_their_player_left,
        somebody_who_leaves_with_a_question_open,
        r"goes on although its player left",
    ),
    Fault(another_task_is_opened_at_each_attempt, somebody_who_is_asked, r"crash_ask:.* asked [2-9] times"),
    Fault(
        tasks_of_a_run_that_is_over_stay_open,
        somebody_who_leaves_with_a_question_open,
        r"Task .* of crash_ask:.* is still open",
    ),
    Fault(a_run_does_not_obey_an_order_to_move, runs_that_are_moved, r"runs were told to move, and none did"),
    Fault(a_shadow_asks_for_what_its_journey_wants, a_release_that_is_shadowed, r"Shadow .* is still under way"),
    Fault(nobody_gets_a_shadow, a_release_that_is_shadowed, r"none had a shadow"),
]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
async def test_a_sound_engine_keeps_every_promise(story: Story, house: SmallHouse, judge: Judge) -> None:
    await story(house)
    assert await judge() == []


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.breaks.__name__)
async def test_the_judge_finds_what_is_broken_in_the_engine(
    fault: Fault, house: SmallHouse, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fault.is_found(house, judge, monkeypatch)
