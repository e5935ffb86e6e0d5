"""What becomes of a reward after it was given: moved on by the engine's events, taken back, put before people."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text

from activities import grant_rows
from activities.database import Database
from activities.figures.followers import RewardFollower, catch_up
from activities.grant_rows import LEASE
from activities.providers.bonus_engine import BonusEngine, NotAccepted, OutcomeUnknown
from activities.runs import RunOver
from activities.standalone_tasks import doubt_id_of
from activities.tables import events, grants, journey_days, steps, tasks
from activities.tasks import cancel_alone
from local.ports import free_port
from tests.support.api_client import Api, serving
from tests.support.engine import Effects, Row, done, effects, execute, rows
from tests.support.machine import eventually
from tests.support.servers import LocalBonusEngine
from workflows import (
    RewardCancelled,
    RewardClaimed,
    RewardCompleted,
    RewardExpired,
    RewardOffered,
    RewardWageringProgress,
    days,
    free_spins,
)
from workflows.effects import Give
from workflows.revocation import Revoke, RevokeResult

SPINS = free_spins(10, valid=days(7))
STEP = "grant:free_spins#1"
UNKNOWN_AFTER = timedelta(minutes=15)


@pytest.fixture(scope="module")
async def shared(module_postgres_url: str, bonus_engine_server: LocalBonusEngine) -> AsyncIterator[Effects]:
    given = {"bonus_engine_url": bonus_engine_server.url, "provider_timeout": timedelta(minutes=1)}
    async with effects(module_postgres_url, **given, unknown_after=UNKNOWN_AFTER) as parts:
        yield parts


class Given:
    """A player with a reward of a run."""

    def __init__(self, parts: Effects, engine: LocalBonusEngine, player: str, run: str) -> None:
        self.parts, self.engine, self.player, self.run = parts, engine, player, run
        self.key = f"{run}/{STEP}"

    async def gives(self) -> str:
        return done(await self.parts.grants.give(self.parts.given(Give, self.run, STEP, reward=SPINS))).status

    async def happens(self, kind: Any, /, **data: Any) -> None:
        await self.parts.casino.happens(self.player, kind, **{"grant_id": self.key, **data})

    async def revokes(self, grant_id: str | None = None) -> RevokeResult:
        request = self.parts.given(Revoke, self.run, "revoke#1", grant_id=grant_id or self.key)
        return done(await self.parts.grants.revoke(request))

    async def is_doubted(self) -> None:
        """Nobody knows for a quarter of an hour whether the player has it."""
        await self.engine.fail("error_after_commit")
        with pytest.raises(OutcomeUnknown):
            await self.gives()
        self.parts.casino.clock.later(UNKNOWN_AFTER)
        there, self.parts.grants.engine = self.parts.grants.engine, self.out_of_reach()
        assert await self.gives() == "unknown"
        self.parts.grants.engine = there

    def out_of_reach(self) -> BonusEngine:
        return BonusEngine(f"http://127.0.0.1:{free_port()}", self.parts.grants.engine._client)

    async def row(self) -> Row:
        (row,) = await rows(self.parts.database, grants, id=self.key)
        return row

    async def task(self) -> Row:
        (row,) = await rows(self.parts.database, tasks, id=doubt_id_of(self.key))
        return row

    def asked(self, action: str) -> int:
        return [(one["action"], one["key"]) for one in self.engine.asked()].count((action, self.key))


@pytest.fixture
async def given(shared: Effects, bonus_engine: LocalBonusEngine) -> AsyncIterator[Given]:
    with shared.for_one_test():
        await execute(shared.database, "DELETE FROM grants")
        await execute(shared.database, "DELETE FROM journey_days")
        player = shared.casino.player()
        await shared.casino.registers(player, currency="EUR")
        yield Given(shared, bonus_engine, player, await shared.enters(player))
    bonus_engine.process.start()


class TestHowFarItComes:
    async def test_it_moves_with_every_word_of_the_engine_and_keeps_the_figures(self, given: Given) -> None:
        await given.gives()
        row = await given.row()
        assert (row["stage"], row["currency"]) == (None, "EUR")
        await given.happens(RewardOffered, value_minor=100, wager_required_minor=1000)
        await given.happens(RewardClaimed, value_minor=100)
        await given.happens(RewardWageringProgress, wagered_minor=400, required_minor=1000)
        row = await given.row()
        assert (row["stage"], row["worth_minor"], row["wagered_minor"]) == ("wagering", 100, 400)
        await given.happens(RewardCompleted, converted_minor=70, cost_minor=65)
        row = await given.row()
        assert (row["stage"], row["converted_minor"]) == ("completed", 70)
        assert (row["status"], row["wager_required_minor"]) == ("confirmed", 1000)

    async def test_a_late_word_takes_nothing_back(self, given: Given) -> None:
        await given.gives()
        await given.happens(RewardCompleted, cost_minor=65)
        await given.happens(RewardClaimed, value_minor=100)
        await given.happens(RewardExpired, reason="not_claimed")
        row = await given.row()
        assert (row["stage"], row["worth_minor"]) == ("completed", 100)

    async def test_the_engine_may_call_it_by_its_own_name(self, given: Given) -> None:
        await given.gives()
        await given.happens(RewardClaimed, grant_id=(await given.row())["provider_ref"])
        assert (await given.row())["stage"] == "claimed"

    async def test_what_was_told_by_that_name_before_we_knew_it_counts(self, given: Given) -> None:
        await given.is_doubted()
        engines = (await given.parts.grants.engine.look_up(given.key)).ref  # type: ignore[union-attr]
        await given.happens(RewardClaimed, grant_id=engines, value_minor=30)
        assert (await given.row())["stage"] is None
        given.parts.casino.clock.later(LEASE)
        assert await given.parts.grants.reconcile_once() == 1
        row = await given.row()
        assert (row["status"], row["stage"], row["worth_minor"]) == ("confirmed", "claimed", 30)

    async def test_what_it_cost_counts_though_it_was_told_before_we_knew_that_name(self, given: Given) -> None:
        await given.is_doubted()
        engines = (await given.parts.grants.engine.look_up(given.key)).ref  # type: ignore[union-attr]
        await given.happens(RewardClaimed, grant_id=engines, currency="EUR")
        await given.happens(RewardCompleted, grant_id=engines, currency="EUR", cost_minor=65)
        await catch_up(RewardFollower(given.parts.database))
        assert (await given.row())["cost_minor"] is None
        given.parts.casino.clock.later(LEASE)
        assert await given.parts.grants.reconcile_once() == 1
        row = await given.row()
        assert (row["cost_minor"], row["cost_currency"], row["ended_as"]) == (65, "EUR", "completed")
        assert row["claimed_at"] is not None
        await given.happens(RewardCompleted, cost_minor=65, currency="EUR")
        await catch_up(RewardFollower(given.parts.database))
        counted = await rows(given.parts.database, journey_days, step=STEP, split_by="")
        assert {(one["what"], one["runs"], one["amount"]) for one in counted} == {("claimed", 1, 0), ("cost", 0, 65)}

    async def test_another_players_reward_stays_as_it_is(self, given: Given) -> None:
        await given.gives()
        stranger = f"{given.player}-stranger"
        await given.parts.casino.registers(stranger)
        await given.parts.casino.happens(stranger, RewardClaimed, grant_id=given.key)
        assert (await given.row())["stage"] is None
        assert len(await rows(given.parts.database, events, player_id=stranger, type="reward.claimed")) == 1


class TestTakenBackByItsRun:
    async def test_one_that_nobody_has_taken_is_void_at_the_engine(self, given: Given) -> None:
        await given.gives()
        assert (await given.revokes()) == RevokeResult(status="revoked", reason="journey")
        row = await given.row()
        assert (row["status"], row["stage"], row["reason"]) == ("revoked", "revoked", "journey")
        assert (row["revoke_due"], await given.engine.claim(given.key)) == (None, 409)
        assert (await given.revokes()).status == "revoked"
        assert given.asked("void") == 1
        (line,) = await rows(given.parts.database, steps, run_id=given.run, step="revoke#1")
        assert (line["outcome"], line["detail"]) == ("revoked", {"reason": "journey"})

    async def test_one_that_we_were_told_is_taken_is_not_asked_about(self, given: Given) -> None:
        await given.gives()
        await given.happens(RewardClaimed)
        assert (await given.revokes()) == RevokeResult(status="kept", reason="claimed")
        assert given.asked("void") == 0

    async def test_one_that_the_engine_says_is_used_stays_the_players(self, given: Given) -> None:
        await given.gives()
        assert await given.engine.claim(given.key) == 200
        assert (await given.revokes()) == RevokeResult(status="kept", reason="used")
        row = await given.row()
        assert (row["status"], row["revoke_due"]) == ("confirmed", None)

    async def test_one_of_which_nobody_knows_is_forbidden_and_nobody_has_to_look(self, given: Given) -> None:
        await given.is_doubted()
        assert (await given.task())["state"] == "open"
        assert (await given.revokes()).status == "revoked"
        assert ((await given.row())["status"], (await given.task())["state"]) == ("revoked", "cancelled")

    async def test_an_engine_that_is_away_is_asked_on_though_the_run_ends(self, given: Given) -> None:
        await given.gives()
        there, given.parts.grants.engine = given.parts.grants.engine, given.out_of_reach()
        with pytest.raises(NotAccepted):
            await given.revokes()
        given.parts.grants.engine = there
        await execute(given.parts.database, "UPDATE runs SET state = 'ended' WHERE id = :run", run=given.run)
        with pytest.raises(RunOver):
            await given.revokes()
        given.parts.casino.clock.later(LEASE)
        assert await given.parts.grants.revoke_once() == 1
        assert (await given.row())["status"] == "revoked"

    async def test_a_reward_of_somebody_else_is_none(self, given: Given) -> None:
        assert (await given.revokes("of/nobody")) == RevokeResult(status="kept", reason="no_such_grant")

    async def test_what_the_operator_cancelled_is_told_as_taken_back(self, given: Given) -> None:
        await given.gives()
        await given.happens(RewardCancelled, reason="operator")
        row = await given.row()
        assert (row["stage"], row["stage_reason"]) == ("revoked", "operator")


class TestDoubt:
    async def test_a_quarter_of_an_hour_without_an_answer_is_put_before_people(self, given: Given) -> None:
        await given.is_doubted()
        task = await given.task()
        assert (task["form"], task["team"], task["state"], task["run_id"]) == ("GrantInDoubt", "payments", "open", None)
        assert task["snapshot"]["grant_id"] == given.key
        assert "never answered" in task["reason"]

    async def test_an_engine_that_speaks_again_closes_the_task(self, given: Given) -> None:
        await given.is_doubted()
        given.parts.casino.clock.later(LEASE)
        assert await given.parts.grants.reconcile_once() == 1
        assert ((await given.row())["status"], (await given.task())["state"]) == ("confirmed", "cancelled")

    async def test_one_whose_run_ended_is_put_before_people_only_after_a_quarter_of_an_hour(self, given: Given) -> None:
        await given.engine.fail("error_after_commit")
        with pytest.raises(OutcomeUnknown):
            await given.gives()
        await execute(given.parts.database, "UPDATE runs SET state = 'ended' WHERE id = :run", run=given.run)
        given.parts.grants.engine = given.out_of_reach()
        doubted = []
        for wait in (LEASE, UNKNOWN_AFTER):
            given.parts.casino.clock.later(wait)
            assert await given.parts.grants.reconcile_once() == 0
            doubted.append(len(await rows(given.parts.database, tasks, id=doubt_id_of(given.key))))
        assert doubted == [0, 1]


@pytest.fixture(scope="module")
async def served(module_postgres_url: str) -> AsyncIterator[Api]:
    async with serving(module_postgres_url, journeys="tests.support.api_journeys") as application:
        yield application


@pytest.mark.parametrize(("outcome", "status"), [("given", "confirmed"), ("voided", "refused")])
async def test_who_looked_it_up_settles_it(api: Api, given: Given, outcome: str, status: str) -> None:
    task_id = await doubted_in(api, given)
    desk = await api.client("tasks:work", "players:read", name="desk")
    wrong = await desk.post(f"/v1/tasks/{task_id}/complete", json={"answer": {"outcome": "perhaps"}})
    assert wrong.status_code == 422
    answered = await desk.post(f"/v1/tasks/{task_id}/complete", json={"answer": {"outcome": outcome}})
    assert (answered.status_code, answered.json()["state"]) == (200, "completed")
    row = await given.row()
    assert (row["status"], row["reason"]) == (status, "a person looked it up")
    (shown,) = (await desk.get(f"/v1/grants?status={status}&player={given.player}")).json()["items"]
    assert (shown["currency"], shown.get("stage")) == ("EUR", None)


async def test_who_settles_a_reward_and_who_looked_it_up_wait_for_each_other_in_no_circle(
    api: Api, given: Given
) -> None:
    task_id, now = await doubted_in(api, given), given.parts.casino.clock.now
    desk = await api.client("tasks:work", name="desk")
    async with given.parts.database.transaction() as connection:
        assert await grant_rows.lock(connection, given.key)
        answer = asyncio.create_task(desk.post(f"/v1/tasks/{task_id}/complete", json={"answer": {"outcome": "given"}}))
        await eventually(partial(somebody_waits, given.parts.database))
        await cancel_alone(connection, api.brand, task_id, "The reward is confirmed.", now)
    assert (await answer).json()["type"] == "urn:journeys:problem:task-closed"


async def test_what_became_of_a_reward_is_answered_although_its_player_was_erased(api: Api, given: Given) -> None:
    task_id = await doubted_in(api, given)
    await execute(given.parts.database, "UPDATE tasks SET snapshot = '{}' WHERE id = :id", id=task_id)
    desk = await api.client("tasks:work", name="desk")
    answered = await desk.post(f"/v1/tasks/{task_id}/complete", json={"answer": {"outcome": "given"}})
    assert (answered.status_code, (await given.row())["status"]) == (200, "confirmed")


async def doubted_in(api: Api, given: Given) -> str:
    """The task about a reward in doubt, in the brand of the API."""
    await given.is_doubted()
    await execute(given.parts.database, "UPDATE tasks SET brand = :b WHERE form = 'GrantInDoubt'", b=api.brand)
    await execute(given.parts.database, "UPDATE grants SET brand = :b", b=api.brand)
    return doubt_id_of(given.key)


async def somebody_waits(database: Database) -> bool:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with database.reading() as connection:
        return bool((await connection.execute(text(waiting))).scalar_one())
