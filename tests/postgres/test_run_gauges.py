"""Gauges of the runs under way, counted in the books."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY

from activities.actors import Actor
from activities.database import Database
from activities.people import GrantKind, add_person, give
from activities.run_gauges import SAMPLE, RunGauges
from activities.runs import note_problem
from activities.standalone_tasks import StandaloneTask
from activities.step_log import record_steps
from activities.tables import runs
from activities.tasks import open_alone
from tests.support.engine import BRAND, NOON, Row, connected, execute
from workflows.effects import Mark
from workflows.player_facts import PlayerFacts


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    async with connected(postgres_url) as made:
        yield made


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0


def numbers(journey: str, count: int, **values: Any) -> Iterator[Row]:
    for number in range(count):
        yield {
            "id": f"{journey}:{BRAND}:p-{number}:1",
            "brand": BRAND,
            "player_id": f"p-{number}",
            "journey": journey,
            "arm": "treated",
            "state": "active",
            "entered_at": NOON,
            "ends_at": NOON + timedelta(days=3),
            "version": 2,
        } | values


async def begin(database: Database, journey: str, count: int, **values: Any) -> list[str]:
    made = [*numbers(journey, count, **values)]
    async with database.transaction() as connection:
        await connection.execute(runs.insert().values(made))
    return [row["id"] for row in made]


async def reach(database: Database, run_id: str, *steps: str) -> None:
    journey, brand, player, _ = run_id.split(":")
    async with database.transaction() as connection:
        for step in steps:
            given = Mark(brand=brand, player_id=player, journey=journey, run_id=run_id, step=step, name="x")
            await record_steps(connection, given, NOON, "marked")


async def test_runs_are_counted_by_journey_version_and_the_step_they_reached(database: Database) -> None:
    first, second, *_ = await begin(database, "gauged", 4)
    await reach(database, first, "send:hello#1", "send:guide#1")
    await reach(database, second, "send:hello#1")
    await begin(database, "gauged_over", 2, state="ended")
    await begin(database, "gauged_control", 2, arm="control")
    await RunGauges(database, lambda: NOON).count_once()
    stands = {step: counted("journeys_active_runs", journey="gauged", version="v2", step=step) for step in STEPS}
    assert stands == {"begin": 2, "send:hello": 1, "send:guide": 1}
    for journey in ("gauged_over", "gauged_control"):
        assert not counted("journeys_active_runs", journey=journey, version="v2", step="begin")


STEPS = ("begin", "send:hello", "send:guide")


async def test_of_many_runs_a_sample_tells_where_they_stand_and_the_sum_is_exact(database: Database) -> None:
    made = await begin(database, "crowd", 4 * SAMPLE)
    await execute(
        database,
        "INSERT INTO steps (run_id, step, line, outcome, brand, player_id, at) "
        "SELECT id, 'send:hello#1', 0, 'sent', brand, player_id, entered_at FROM runs WHERE id = ANY(:ids)",
        ids=made[: 2 * SAMPLE],
    )
    await RunGauges(database, lambda: NOON).count_once()
    here, begun = (
        counted("journeys_active_runs", journey="crowd", version="v2", step=s) for s in ("send:hello", "begin")
    )
    assert here + begun == pytest.approx(4 * SAMPLE)
    assert here == pytest.approx(2 * SAMPLE, rel=0.2)


async def test_stuck_and_held_runs_are_counted(database: Database) -> None:
    first, *_ = await begin(database, "gauged_stuck", 3)
    await begin(database, "gauged_late", 2, ends_at=NOON - timedelta(hours=2))
    async with database.transaction() as connection:
        await note_problem(connection, first, "failing_effect", "send:x#1", NOON, "No answer.")
    await execute(
        database,
        "INSERT INTO held_runs (run_id, brand, journey, player_id, step, since) "
        "SELECT id, brand, journey, player_id, 'send:x#1', entered_at FROM runs WHERE journey = 'gauged_stuck'",
    )
    await RunGauges(database, lambda: NOON).count_once()
    assert counted("journeys_run_problems", journey="gauged_stuck", problem="failing_effect") == 1
    assert counted("journeys_run_problems", journey="gauged_late", problem="past_end") == 2
    assert counted("journeys_held_runs", journey="gauged_stuck") == 3


async def test_what_was_won_and_not_given_is_counted_with_its_age(database: Database) -> None:
    await execute(
        database,
        """
        INSERT INTO tournaments (board, brand, name, instance, opens_at, closes_at, cut_at, terms)
        SELECT n, 'acme', 'race', 'race:' || n, :cut - interval '1 day', :cut - interval '1 hour',
               :cut + n * interval '1 hour', '{}'
        FROM generate_series(1, 3) n
        """,
        cut=NOON - timedelta(hours=3),
    )
    await RunGauges(database, lambda: NOON).count_once()
    assert counted("journeys_prizes_due", of="tournament") == 3
    assert counted("journeys_prizes_oldest_seconds", of="tournament") == 2 * 3600
    assert counted("journeys_prizes_due", of="money") == 0
    await execute(database, "UPDATE tournaments SET ended_at = cut_at")
    await RunGauges(database, lambda: NOON).count_once()
    assert counted("journeys_prizes_due", of="tournament") == 0


async def test_tasks_that_nobody_may_answer_are_counted_once_a_quarter_of_their_time_is_over(
    database: Database,
) -> None:
    now, giver = NOON, Actor(BRAND, "boss", id="boss")
    opened = {
        "alone": now - timedelta(hours=2),
        "fresh": now - timedelta(minutes=30),
        "staffed": now - timedelta(days=1),
    }
    async with database.transaction() as connection:
        for team, at in opened.items():
            task = StandaloneTask.by_hand("complaint", f"t-{team}", "-", PlayerFacts(player_id="p"), giver, at, now)
            moved = replace(task, team=team, skill="aml", due_at=now + timedelta(hours=2))
            await open_alone(connection, BRAND, moved)
        olena = await add_person(connection, BRAND, "olena@x.example", "Olena", now)
        given: list[tuple[GrantKind, str]] = [("role", "manager"), *(("team", team) for team in opened)]
        for kind, name in given:
            await give(connection, olena, kind, name, giver, now)
    gauge = "journeys_tasks_nobody_may_answer"
    await RunGauges(database, lambda: now).count_once()
    assert [counted(gauge, team=team) for team in opened] == [1, 0, 1], "without the skill"
    async with database.transaction() as connection:
        await give(connection, olena, "skill", "aml", giver, now, until=now + timedelta(hours=1))
    await RunGauges(database, lambda: now).count_once()
    assert [counted(gauge, team=team) for team in opened] == [0, 0, 0]
    await RunGauges(database, lambda: now + timedelta(hours=1)).count_once()
    assert [counted(gauge, team=team) for team in opened] == [1, 1, 1], "and no more when it ends"
