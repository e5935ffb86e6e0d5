"""Money of an experiment on Postgres: judged once, at the end of the plan, from what was known then."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest

from activities.experiment_participants import findings_of
from activities.experiment_rows import find_experiment
from learning.experiment_findings import ExperimentFindings
from learning.experiment_money import NO_PLAN, NOT_OVER
from tests.support.engine import BRAND, NOON, Effects, effects, execute
from tests.support.tried_journeys import greeting
from workflows import days
from workflows.experiment_draw import CONTROL
from workflows.experiments import Experiment

OVER = NOON + days(21)
ONE_ARM = Experiment(
    greeting.name, greeting.version, {"push": 50, CONTROL: 50}, greeting.goal, greeting.guardrails, greeting.plan
)


@pytest.fixture(scope="module")
async def shared(module_postgres_url: str) -> AsyncIterator[Effects]:
    async with effects(module_postgres_url, journeys="tests.support.tried_journeys", shipped_journeys="none") as built:
        yield built


@pytest.fixture
async def parts(shared: Effects) -> AsyncIterator[Effects]:
    """An experiment of 800 players in two arms; who was treated brought ten euros more, and reached the goal."""
    with shared.for_one_test():
        for table in ("experiment_looks", "assignments", "experiments", "player_days", "grants", "events"):
            await execute(shared.database, f"DELETE FROM {table}")
        for statement in (_EXPERIMENT, _DRAWN, _DAYS, _REACHED):
            await execute(shared.database, statement, brand=BRAND, noon=NOON, day=NOON.date())
        yield shared


async def found(parts: Effects, tried: Experiment = ONE_ARM, at: datetime = OVER) -> ExperimentFindings:
    async with parts.database.reading() as connection:
        row = await find_experiment(connection, BRAND, "greeting", 1)
        assert row is not None
        return await findings_of(connection, row, tried, at)


async def look(parts: Effects, counted: float, at: datetime = OVER) -> None:
    await execute(
        parts.database,
        "INSERT INTO experiment_looks (brand, experiment, version, number, at, counted, findings) "
        "VALUES (:brand, 'greeting', 1, 1, :at, :counted, '{}')",
        brand=BRAND,
        at=at,
        counted=counted,
    )


async def test_before_the_plan_is_over_no_money_is_told(parts: Effects) -> None:
    await look(parts, 0.4)
    early = await found(parts)
    assert (early.no_money, early.money_at) == (NOT_OVER, None)
    unplanned = Experiment(ONE_ARM.name, 1, ONE_ARM.arms, ONE_ARM.goal, ONE_ARM.guardrails, None)
    assert (await found(parts, unplanned)).no_money == NO_PLAN


async def test_at_its_end_it_is_told_what_the_arm_brought_and_it_stays(parts: Effects) -> None:
    await look(parts, 1.0)
    told = await found(parts)
    (money,) = next(one for one in told.arms if one.arm == "push").money
    assert (told.money_at, told.no_money, money.currency, money.players) == (OVER, None, "EUR", 400)
    assert money.brought_from is not None
    assert money.brought_to is not None
    assert 0 < money.brought_from < 400 * 1_000 < money.brought_to
    assert money.price_from is not None
    await execute(parts.database, _LATE, brand=BRAND, day=NOON.date(), known=OVER.date())
    (kept,) = next(one for one in (await found(parts, at=OVER + days(30))).arms if one.arm == "push").money
    assert kept == money, "What is told later changes nothing."


async def test_rewards_whose_end_nobody_tells_make_it_no_number(parts: Effects) -> None:
    await look(parts, 1.0)
    await execute(parts.database, "UPDATE player_days SET reward_ends = 0, bonus_cost = 0")
    await execute(parts.database, _GIVEN, brand=BRAND, at=NOON + timedelta(hours=1))
    (money,) = next(one for one in (await found(parts)).arms if one.arm == "push").money
    assert money.brought is None
    assert "bonuses would cost nothing" in (money.no_number or "")


async def test_control_is_compared_with_nobody(parts: Effects) -> None:
    await look(parts, 1.0)
    assert next(one for one in (await found(parts)).arms if one.arm == CONTROL).money == []


_EXPERIMENT = """
    INSERT INTO experiments (brand, name, version, arms, started_at, looked_at)
    VALUES (:brand, 'greeting', 1, '{"push": 50, "control": 50}', :noon,
            CAST(:noon AS timestamptz) + interval '20 days')
"""
_DRAWN = """
    INSERT INTO assignments (brand, experiment, version, player_id, arm, run_id, chance, shares, at)
    SELECT :brand, 'greeting', 1, 'm-' || n, CASE WHEN n % 2 = 0 THEN 'push' ELSE 'control' END, 'r', 0.5,
           '{"push": 50, "control": 50}', :noon FROM generate_series(1, 800) n
"""
# A stake that differs from player to player; of the treated ten euros more, less a bonus of one.
_DAYS = """
    INSERT INTO player_days (brand, player_id, day, currency, known_on, rounds, staked, won, bonus_cost, reward_ends)
    SELECT :brand, 'm-' || n, CAST(:day AS date) + 1, 'EUR', CAST(:day AS date) + 1, 1,
           (n * 7919) % 3000 + CASE WHEN n % 2 = 0 THEN 1100 ELSE 0 END, 0,
           CASE WHEN n % 2 = 0 THEN 100 ELSE 0 END, 1 FROM generate_series(1, 800) n
"""
_LATE = """
    INSERT INTO player_days (brand, player_id, day, currency, known_on, rounds, staked)
    SELECT :brand, 'm-' || n, CAST(:day AS date) + 1, 'EUR', :known, 1, 999999 FROM generate_series(1, 99) n
"""
_REACHED = """
    INSERT INTO events (brand, source, id, seq, type, player_id, occurred_at, received_at, data)
    SELECT :brand, '/m', 'm-' || n, nextval('event_ids_seq_seq'), 'payment.deposit_approved', 'm-' || n,
           CAST(:noon AS timestamptz) + interval '1 day', CAST(:noon AS timestamptz) + interval '1 day',
           '{"amount_minor": 1000, "currency": "EUR"}'
    FROM generate_series(1, 800) n WHERE n % 2 = 0 AND n % 4 = 0 OR n % 10 = 1
"""
_GIVEN = """
    INSERT INTO grants (id, brand, player_id, run_id, step, journey, kind, reward, status, decision, created_at)
    VALUES ('money/1', :brand, 'm-2', 'r', 's', 'j', 'cash', '{}', 'confirmed', '{}', :at)
"""
