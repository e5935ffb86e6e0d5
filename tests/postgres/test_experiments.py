"""Experiments on Postgres: drawn once for ever, watched over, stopped by harm, failing closed to control."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.experiment_participants import findings_of, participants_of
from activities.experiment_rows import ExperimentRow, begun, find_experiment, past_effects, runs_in_arm, stop_arm
from activities.loops.experiment_watch import STOPPED_BY_HARM, ExperimentWatch
from activities.tables import assignments, deliveries, experiment_looks, experiments, steps
from learning.shrinkage import PastEffect
from tests.support.engine import BRAND, NOON, Effects, effects, execute, rows, run_of
from tests.support.tried_journeys import greeting
from workflows import DepositApproved, HarmSignal, PlayerRegistered, no_more
from workflows.effects import AssignArm, Held
from workflows.experiment_draw import CONTROL, ArmAssigned, ExperimentStanding, draw
from workflows.gate.facts import holdout_place
from workflows.gate.policy import policy
from workflows.gate.policy_book import PolicyBook
from workflows.player_state.decisions import Arm

ARMS = dict(greeting.arms)


@pytest.fixture(scope="module")
async def shared(module_postgres_url: str) -> AsyncIterator[Effects]:
    async with effects(module_postgres_url, journeys="tests.support.tried_journeys", shipped_journeys="none") as built:
        yield built


@pytest.fixture
async def parts(shared: Effects) -> AsyncIterator[Effects]:
    with shared.for_one_test():
        for table in ("deliveries", "experiment_looks", "assignments", "experiments"):
            await execute(shared.database, f"DELETE FROM {table}")
        yield shared


def watch(parts: Effects) -> ExperimentWatch:
    return ExperimentWatch(parts.database, parts.casino.intake, {("greeting", 1): greeting}, parts.casino.clock)


def asking(parts: Effects, run: str, step: str = "arm:greeting#1", **more: Any) -> AssignArm:
    given = {"experiment": "greeting", "experiment_version": 1, "arms": ARMS, "knows_hold": True, **more}
    return parts.given(AssignArm, run, step, **given)


async def drawn(parts: Effects, player: str) -> tuple[str, ArmAssigned]:
    """A player who entered by registering and asked for their arm."""
    await parts.casino.happens(player, PlayerRegistered, opted_in=("email", "push"))
    run = await run_of(parts.database, player, "greeted")
    answer = await parts.experiments.assign(asking(parts, run))
    assert isinstance(answer, ArmAssigned)
    return run, answer


def player_in(parts: Effects, arm: str, number: int = 0) -> str:
    """A name that falls into an arm; the `number`-th of them."""
    names = (f"{parts.casino.mark}-{n}" for n in range(100_000))
    salt = ("greeting", 1)
    inside = (one for one in names if draw(BRAND, one, salt, ARMS, ExperimentStanding(), NOON).arm == arm)
    return next(one for index, one in enumerate(inside) if index == number)


async def known(connection: AsyncConnection) -> ExperimentRow:
    """The experiment as it is in the books."""
    row = await find_experiment(connection, BRAND, "greeting", 1)
    assert row is not None
    return row


class TestDrawing:
    async def test_what_was_drawn_is_kept_with_its_chance(self, parts: Effects) -> None:
        player = player_in(parts, "push")
        run, answer = await drawn(parts, player)
        assert (answer.arm, answer.chance, answer.why) == ("push", 0.45, None)
        [row] = await rows(parts.database, assignments, player_id=player)
        assert (row["arm"], row["chance"], row["shares"], row["run_id"]) == ("push", 0.45, ARMS, run)

    async def test_a_second_attempt_and_another_run_are_told_the_same_arm(self, parts: Effects) -> None:
        player = player_in(parts, "email")
        run, first = await drawn(parts, player)
        other = await parts.enters(player, journey="greeted", entry=2)
        again = [await parts.experiments.assign(asking(parts, one)) for one in (run, other)]
        assert again == [first, first]

    async def test_of_runs_that_ask_at_once_all_are_told_the_first_draw(self, parts: Effects) -> None:
        player = player_in(parts, "push")
        await parts.casino.registers(player)
        several = [await parts.enters(player, journey="greeted", entry=n) for n in range(1, 6)]
        told = await asyncio.gather(*(parts.experiments.assign(asking(parts, run)) for run in several))
        assert {one.arm for one in told if isinstance(one, ArmAssigned)} == {"push"}
        assert len(await rows(parts.database, assignments, player_id=player)) == 1

    async def test_shares_that_are_edited_without_a_new_version_move_nobody(self, parts: Effects) -> None:
        await drawn(parts, player_in(parts, "push"))
        other = player_in(parts, "email")
        await parts.casino.registers(other)
        run = await parts.enters(other, journey="greeted")
        answer = await parts.experiments.assign(asking(parts, run, arms={"push": 90, "control": 10}))
        assert isinstance(answer, ArmAssigned)
        assert (answer.arm, answer.chance) == ("email", 0.45)

    async def test_a_held_journey_draws_nobody(self, parts: Effects) -> None:
        player = player_in(parts, "push")
        await parts.casino.registers(player)
        run = await parts.enters(player, journey="held_one")
        await execute(
            parts.database,
            "INSERT INTO journey_controls (brand, journey, held) VALUES (:brand, 'held_one', true)",
            brand=BRAND,
        )
        assert isinstance(await parts.experiments.assign(asking(parts, run)), Held)
        assert await rows(parts.database, assignments, player_id=player) == []

    @pytest.mark.parametrize(("arm", "held_out"), [("control", False), ("treated", True), ("treated", False)])
    async def test_whose_offers_are_withheld_is_drawn_into_no_arm(
        self, parts: Effects, monkeypatch: pytest.MonkeyPatch, arm: Arm, *, held_out: bool
    ) -> None:
        policies = PolicyBook(own=(policy("ours", since=date(2026, 1, 1), brand=BRAND, holdout=50),))
        monkeypatch.setattr(parts.experiments, "policies", policies)
        names = (player_in(parts, "push", number) for number in range(100))
        player = next(name for name in names if (holdout_place(BRAND, name) < 50) == held_out)
        await parts.casino.registers(player)
        run = await parts.enters(player, journey="greeted", arm=arm)
        told = await parts.experiments.assign(asking(parts, run))
        drawn = await rows(parts.database, assignments, player_id=player)
        assert isinstance(told, ArmAssigned)
        if arm == "treated" and not held_out:
            assert (told.arm, told.why, len(drawn)) == ("push", None, 1)
        else:
            assert (told, drawn) == (ArmAssigned(arm=CONTROL, chance=1.0, why="withheld"), [])
        assert await parts.experiments.assign(asking(parts, run)) == told

    async def test_after_a_day_without_a_look_whoever_is_new_gets_control(self, parts: Effects) -> None:
        before, _ = await drawn(parts, player_in(parts, "push"))
        parts.casino.clock.now = NOON + timedelta(hours=25)
        _, answer = await drawn(parts, player_in(parts, "push", 1))
        assert (answer.arm, answer.why) == (CONTROL, "not_watched")
        again = await parts.experiments.assign(asking(parts, before, "arm:greeting#2"))
        assert again == ArmAssigned(arm=CONTROL, chance=1.0, why="not_watched")
        await watch(parts).look()
        _, answer = await drawn(parts, player_in(parts, "push", 2))
        assert (answer.arm, answer.why) == ("push", None)


class TestWatching:
    async def harmed(self, parts: Effects, arm: str, count: int, since: int = 0) -> list[str]:
        """Players of an arm who come to harm; their runs."""
        runs_of = []
        for number in range(since, since + count):
            player = player_in(parts, arm, number)
            run, _ = await drawn(parts, player)
            runs_of.append(run)
            await parts.casino.happens(player, HarmSignal, indicator="chasing_losses", strength="weak")
        return runs_of

    async def test_an_arm_that_does_harm_is_stopped_with_its_runs_and_nobody_gets_it_any_more(
        self, parts: Effects
    ) -> None:
        calm, _ = await drawn(parts, player_in(parts, "email"))
        harmed = await self.harmed(parts, "push", 30)
        found = await watch(parts).look()
        assert (found.seen, found.stopped, found.broken) == (1, 1, 0)
        [row] = await rows(parts.database, experiments, name="greeting")
        assert row["stopped"] == {"push": {"why": "harm", "at": NOON.isoformat()}}
        _, answer = await drawn(parts, player_in(parts, "push", 30))
        assert answer.arm == CONTROL
        [told] = await rows(parts.database, assignments, player_id=player_in(parts, "push", 30))
        assert told["shares"] == {"email": 45, CONTROL: 55}
        stops = [one["run_id"] for one in await rows(parts.database, deliveries) if one["kind"] == "stop"]
        assert sorted(stops) == sorted(harmed)
        assert calm not in stops
        [said] = [one for one in await rows(parts.database, steps, run_id=harmed[0]) if one["step"] == "stop"]
        assert said["outcome"] == STOPPED_BY_HARM
        assert (await watch(parts).look()).stopped == 0, "An arm is stopped once."

    async def test_harm_that_comes_to_control_as_often_stops_nothing(self, parts: Effects) -> None:
        await self.harmed(parts, "push", 9)
        await self.harmed(parts, CONTROL, 2)
        assert (await watch(parts).look()).stopped == 0

    async def test_wrong_shares_close_the_experiment(self, parts: Effects) -> None:
        await drawn(parts, player_in(parts, "push"))
        await execute(
            parts.database,
            "INSERT INTO assignments (brand, experiment, version, player_id, arm, run_id, chance, shares, at) "
            "SELECT :brand, 'greeting', 1, 'made-' || n, CASE WHEN n % 5 = 0 THEN 'email' ELSE 'push' END, 'r', 0.45, "
            "CAST(:shares AS jsonb), :at FROM generate_series(1, 600) n",
            brand=BRAND,
            shares='{"push": 45, "email": 45, "control": 10}',
            at=NOON,
        )
        assert (await watch(parts).look()).broken == 1
        _, answer = await drawn(parts, player_in(parts, "push", 1))
        assert (answer.arm, answer.why) == (CONTROL, "sample_ratio")
        assert (await watch(parts).look()).broken == 0, "An experiment is closed once."

    async def test_harm_stops_an_arm_of_an_experiment_that_is_closed(self, parts: Effects) -> None:
        [first, *_] = harmed = await self.harmed(parts, "push", 30)
        await execute(parts.database, "UPDATE experiments SET closed = 'sample_ratio'")
        assert (await watch(parts).look()).stopped == 1
        stops = [one["run_id"] for one in await rows(parts.database, deliveries) if one["kind"] == "stop"]
        assert sorted(stops) == sorted(harmed)
        again = await parts.experiments.assign(asking(parts, first, "arm:greeting#2"))
        assert isinstance(again, ArmAssigned)
        assert (again.arm, again.why) == (CONTROL, "stopped")

    async def test_runs_that_were_left_when_an_arm_was_stopped_end_at_the_next_look(self, parts: Effects) -> None:
        left = [(await drawn(parts, player_in(parts, "push", number)))[0] for number in range(3)]
        async with parts.database.transaction() as connection:
            # As after a worker that died between the stop and the first of the runs.
            await stop_arm(connection, await known(connection), "push", "harm", NOON)
        whose = {"brand": BRAND, "id": player_in(parts, "push", 1)}
        await execute(parts.database, "UPDATE players SET state = '[]' WHERE brand = :brand AND id = :id", **whose)
        assert (await watch(parts).look()).stopped == 0
        stops = [one["run_id"] for one in await rows(parts.database, deliveries) if one["kind"] == "stop"]
        assert sorted(stops) == sorted([left[0], left[2]]), "One run that cannot be ended keeps no other."

    async def test_whoever_stops_an_arm_waits_for_the_draws_under_way(self, parts: Effects) -> None:
        run, _ = await drawn(parts, player_in(parts, "push"))
        async with parts.database.transaction() as drawing, parts.database.reading() as stopping:
            experiment = await begun(drawing, asking(parts, run), NOON)
            await stopping.execute(text("SET LOCAL lock_timeout = '20ms'"))
            with pytest.raises(DBAPIError, match="lock timeout"):
                await stop_arm(stopping, experiment, "push", "harm", NOON)

    async def test_a_stop_ends_no_run_of_another_version(self, parts: Effects) -> None:
        run, _ = await drawn(parts, player_in(parts, "push"))
        other = await parts.enters(player_in(parts, "push"), journey="greeted", entry=2)
        second = asking(parts, other, experiment_version=2, arms={"push": 100})
        told = await parts.experiments.assign(second)
        assert isinstance(told, ArmAssigned)
        assert told.arm == "push"
        async with parts.database.reading() as connection:
            experiment = await known(connection)
            assert [one.run_id for one in await runs_in_arm(connection, experiment, "push")] == [run]

    async def test_an_experiment_that_cannot_be_looked_at_keeps_no_other(self, parts: Effects) -> None:
        await self.harmed(parts, "push", 30)
        await execute(
            parts.database,
            "INSERT INTO experiments (brand, name, version, arms, started_at, looked_at) "
            "SELECT brand, 'another', 1, arms, started_at + interval '1 hour', looked_at FROM experiments",
        )
        await execute(
            parts.database,
            "INSERT INTO assignments (brand, experiment, version, player_id, arm, run_id, chance, shares, at) "
            "SELECT brand, 'another', 1, player_id, arm, run_id, chance, CAST(:shares AS jsonb), at FROM assignments",
            shares='{"push": 60, "email": 40}',
        )
        watching = watch(parts)
        watching.experiments = {**watching.experiments, ("another", 1): replace(greeting, name="another")}
        found = await watching.look()
        assert (found.seen, found.stopped) == (1, 1)

    async def test_where_a_guardrail_has_no_condition_no_event_is_read(self, parts: Effects) -> None:
        await self.harmed(parts, "push", 30)
        await execute(parts.database, "UPDATE events SET data = '[]' WHERE type = :type", type=HarmSignal.type)
        assert (await watch(parts).look()).stopped == 1

    async def test_signs_that_the_engine_derives_count_when_they_are_to_be_reviewed(self, parts: Effects) -> None:
        player = player_in(parts, "push")
        await drawn(parts, player)
        await drawn(parts, player_in(parts, "push", 1))
        await execute(
            parts.database,
            "INSERT INTO tasks (id, brand, player_id, form, question, form_schema, team, snapshot, state, priority, "
            "step, due_at, created_at) VALUES ('derived', :brand, :player, 'HarmReview', '?', '{}', 'compliance', "
            "'{}', 'open', 90, 'review:harm', :at, :at)",
            brand=BRAND,
            player=player,
            at=NOON + timedelta(hours=1),
        )
        async with parts.database.reading() as connection:
            people = await participants_of(connection, await known(connection), greeting)
        assert sorted([*one.harmed] for one in people) == [[], [HarmSignal.type]]

    async def test_a_condition_is_asked_of_each_event(self, parts: Effects) -> None:
        strong = replace(greeting, guardrails=(no_more(HarmSignal, where=lambda sign: sign.strength == "strong"),))
        player = player_in(parts, "push")
        await self.harmed(parts, "push", 2)
        await parts.casino.happens(player, HarmSignal, indicator="chasing_losses", strength="strong")
        async with parts.database.reading() as connection:
            experiment = await known(connection)
            people = await participants_of(connection, experiment, strong)
        assert sorted(len(one.harmed) for one in people) == [0, 1]

    async def test_a_planned_look_is_kept_as_it_was_found(self, parts: Effects) -> None:
        player = player_in(parts, "push")
        await drawn(parts, player)
        await parts.casino.happens(player, DepositApproved)
        parts.casino.clock.now = NOON + timedelta(days=10)
        await watch(parts).look()
        await watch(parts).look()
        [look] = await rows(parts.database, experiment_looks, experiment="greeting")
        assert look["number"] == 1
        assert look["findings"]["counted"] == 1
        assert look["findings"]["arms"][0]["reached"] == 1

    async def test_what_was_known_at_a_moment_is_found_again_later(self, parts: Effects) -> None:
        player = player_in(parts, "push")
        await drawn(parts, player)
        then = parts.casino.clock.now + timedelta(days=10)
        async with parts.database.reading() as connection:
            row = await known(connection)
            before = await findings_of(connection, row, greeting, then, then)
        later = player_in(parts, "email")
        parts.casino.clock.now = then + timedelta(days=1)
        await drawn(parts, later)
        async with parts.database.reading() as connection:
            after = await findings_of(connection, row, greeting, parts.casino.clock.now, then)
        assert before == after
        assert before.players == 1

    async def test_what_arms_of_others_brought_is_read_where_their_plan_was_over(self, parts: Effects) -> None:
        await drawn(parts, player_in(parts, "push"))
        told = [
            ("greeting", 1, 1, 1.0, 9.0),  # its own
            ("greeting", 2, 1, 0.6, 8.0),
            ("greeting", 2, 2, 1.0, 2.5),
            ("greeting", 2, 3, 1.2, 7.0),  # a look after the end
            ("young", 1, 1, 0.9, 6.0),
            ("later", 1, 1, 1.0, 5.0),
            ("older", 1, 1, 1.0, 4.0),  # of a time when looks said no error
        ]
        for experiment, version, number, counted, difference in told:
            error = None if experiment == "older" else 1.5
            found = {
                "arms": [
                    {"arm": "push", "difference": difference, "error": error},
                    {"arm": "control", "difference": None},
                ]
            }
            await execute(
                parts.database,
                "INSERT INTO experiment_looks (brand, experiment, version, number, at, counted, findings) "
                "VALUES (:brand, :experiment, :version, :number, :at, :counted, CAST(:findings AS jsonb))",
                brand=BRAND,
                experiment=experiment,
                version=version,
                number=number,
                at=NOON + timedelta(days=number if experiment != "later" else 40),
                counted=counted,
                findings=json.dumps(found),
            )
        async with parts.database.reading() as connection:
            row = await known(connection)
            assert await past_effects(connection, row, NOON + timedelta(days=30)) == [PastEffect(2.5, 1.5)]
            later = await past_effects(connection, row, NOON + timedelta(days=50))
            assert sorted(one.effect for one in later) == [2.5, 5.0]

    async def test_an_arm_that_was_stopped_later_was_not_stopped_then(self, parts: Effects) -> None:
        await drawn(parts, player_in(parts, "push"))
        async with parts.database.transaction() as connection:
            row = await known(connection)
            await stop_arm(connection, row, "push", "harm", NOON + timedelta(days=2))
            row = await known(connection)
            now = NOON + timedelta(days=3)
            verdicts = [
                {one.arm: one.verdict for one in (await findings_of(connection, row, greeting, now, moment)).arms}[
                    "push"
                ]
                for moment in (NOON + timedelta(days=1), None)
            ]
        assert verdicts == ["too_early", "stopped"]
