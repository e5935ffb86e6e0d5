"""Budgets of a day on Postgres: whoever takes from them at once, they are never exceeded, and can be spent whole."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date, timedelta
from itertools import count
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from activities.bonus_budgets import FORGET, SLICES, spend
from activities.database import Database
from activities.tables import budget_slices, gate_decisions, grants
from tests.support.engine import BRAND, NOON, Effects, done, effects, execute, rows
from tests.support.examples import examples
from tests.support.player_events import declared
from tests.support.servers import LocalBonusEngine
from workflows import PlayerMerged, ProfileUpdated, cash, policy
from workflows.effects import Give, GiveResult
from workflows.gate.bonus_value import DayBudget
from workflows.gate.policy_book import PolicyBook

JOURNEY = "tested"
NAMES = (f"b{number}" for number in count())


@pytest.fixture(scope="module")
async def shared(module_postgres_url: str, bonus_engine_server: LocalBonusEngine) -> AsyncIterator[Effects]:
    async with effects(module_postgres_url, bonus_engine_url=bonus_engine_server.url, worker_pool_size=8) as parts:
        yield parts


@pytest.fixture
async def parts(shared: Effects, bonus_engine: LocalBonusEngine) -> AsyncIterator[Effects]:
    with shared.for_one_test():
        await execute(shared.database, "DELETE FROM budget_slices")
        yield shared
    bonus_engine.process.start()


async def used(database: Database, brand: str) -> dict[str, int]:
    """What was taken of each budget of a brand, by its journey."""
    query = sa.select(budget_slices.c.journey, sa.func.sum(budget_slices.c.used)).group_by(budget_slices.c.journey)
    async with database.reading() as connection:
        return {name: int(sum_) for name, sum_ in await connection.execute(query.where(budget_slices.c.brand == brand))}


async def take(database: Database, brand: str, budgets: list[DayBudget], amount: int, at: Any = NOON) -> bool:
    async with database.transaction() as connection:
        return await spend(connection, brand, budgets, amount, at) is None


@settings(
    max_examples=examples(25, quick=10), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    most=st.tuples(st.integers(0, 400), st.integers(0, 400)),
    amounts=st.lists(st.integers(1, 120), min_size=1, max_size=24),
)
async def test_however_many_take_at_once_no_budget_is_exceeded_and_none_is_wasted(
    parts: Effects, most: tuple[int, int], amounts: list[int]
) -> None:
    brand = next(NAMES)
    budgets = [DayBudget("j", "EUR", most[0]), DayBudget("", "EUR", most[1])]
    taken = await asyncio.gather(*(take(parts.database, brand, budgets, amount) for amount in amounts))
    spent = sum(amount for amount, was in zip(amounts, taken, strict=True) if was)
    assert spent <= min(most)
    assert set((await used(parts.database, brand)).values()) <= {spent, 0}
    for amount, was in zip(amounts, taken, strict=True):
        # Who was refused would not fit now either: what is in a slice nobody looked at is no excuse.
        assert was or spent + amount > min(most)
    if (left := min(most) - spent) > 0:
        assert await take(parts.database, brand, budgets, left)
    assert not await take(parts.database, brand, budgets, 1)


async def test_many_small_amounts_are_spread_over_the_slices(parts: Effects) -> None:
    brand, budget = next(NAMES), [DayBudget("", "EUR", 800)]
    assert all([await take(parts.database, brand, budget, 10) for _ in range(16)])
    taken = await rows(parts.database, budget_slices, brand=brand)
    assert sorted(row["used"] for row in taken) == [20] * SLICES


async def test_a_budget_begins_anew_with_the_day_and_a_change_of_it_waits_for_that(parts: Effects) -> None:
    brand = next(NAMES)
    small, large = [DayBudget("", "EUR", 100)], [DayBudget("", "EUR", 500)]
    assert await take(parts.database, brand, small, 100)
    assert not await take(parts.database, brand, large, 1)
    assert await take(parts.database, brand, large, 500, NOON + timedelta(days=1))


async def test_what_was_rolled_back_was_not_taken(parts: Effects) -> None:
    brand, budget = next(NAMES), [DayBudget("", "EUR", 100)]
    async with parts.database.transaction() as connection, connection.begin_nested() as undone:
        assert await spend(connection, brand, budget, 100, NOON) is None
        await undone.rollback()
    assert await take(parts.database, brand, budget, 100)


async def test_budgets_of_days_long_gone_are_forgotten(parts: Effects) -> None:
    brand = next(NAMES)
    await take(parts.database, brand, [DayBudget("", "EUR", 100)], 1)
    for before, left in ((NOON, SLICES), (NOON + timedelta(days=1), 0)):
        async with parts.database.transaction() as connection:
            await connection.execute(FORGET, {"before": before, "limit": 100})
        assert len(await rows(parts.database, budget_slices, brand=brand)) == left


# ---- grants -------------------------------------------------------------------------------------


def under(parts: Effects, budget: dict[str, int] | None = None, **numbers: Any) -> None:
    parts.grants.policies = PolicyBook(own=(policy("ours", since=date(2026, 1, 1), brand=BRAND, **numbers),))
    parts.grants.journeys = {JOURNEY: declared(JOURNEY, budget=budget)}


async def gives(parts: Effects, run: str, amount: int, number: int = 1, **more: Any) -> GiveResult:
    give = parts.given(Give, run, f"grant:cash#{number}", reward=cash(amount), **more)
    return done(await parts.grants.give(give))


async def runs_of(parts: Effects, players: int) -> list[str]:
    found = []
    for number in range(players):
        player = parts.casino.player(f"p{number}")
        await parts.casino.registers(player)
        found.append(await parts.enters(player))
    return found


@pytest.mark.parametrize(("budget", "numbers", "why"), [
    ({"EUR": 1_000}, {}, "over_budget:journey"),
    (None, {"bonus_per_day": {"EUR": 1_000}}, "over_budget:brand"),
    ({"EUR": 5_000}, {"bonus_per_day": {"EUR": 1_000}}, "over_budget:brand"),
])  # fmt: skip
async def test_grants_of_many_players_at_once_stay_within_the_day_and_the_rest_is_told_why(
    parts: Effects, budget: dict[str, int] | None, numbers: dict[str, Any], why: str
) -> None:
    under(parts, budget, **numbers)
    runs = await runs_of(parts, 24)
    told = await asyncio.gather(*(gives(parts, run, 70) for run in runs))
    assert [one.status for one in told].count("confirmed") == 1_000 // 70
    assert {one.reason for one in told if one.status == "refused"} == {why}
    assert set((await used(parts.database, BRAND)).values()) == {70 * (1_000 // 70)}
    (decided,) = {row["rule"] for row in await rows(parts.database, gate_decisions, reason=why)}
    assert decided == "bonus-budget"


async def test_a_grant_tried_again_is_taken_from_the_budget_once(parts: Effects) -> None:
    under(parts, {"EUR": 1_000})
    (run,) = await runs_of(parts, 1)
    for _ in range(3):
        assert (await gives(parts, run, 400)).status == "confirmed"
    assert await used(parts.database, BRAND) == {JOURNEY: 400}


async def test_what_the_gate_refuses_is_taken_from_no_budget(parts: Effects) -> None:
    under(parts, {"EUR": 1_000}, holdout=100)
    (run,) = await runs_of(parts, 1)
    assert (await gives(parts, run, 400)).reason == "withheld:holdout"
    assert await used(parts.database, BRAND) == {}


async def test_a_player_stays_within_their_own_value_however_many_journeys_give_at_once(parts: Effects) -> None:
    under(parts, bonus_ceiling={"EUR": 1_000})
    (first,) = await runs_of(parts, 1)
    player = first.split(":")[2]
    runs = [first, *[await parts.enters(player, entry=number) for number in range(2, 13)]]
    told = await asyncio.gather(*(gives(parts, run, 300) for run in runs))
    assert [one.status for one in told].count("confirmed") == 3
    assert {one.reason for one in told if one.status == "refused"} == {"over_value"}
    kept = await rows(parts.database, grants, player_id=player, status="confirmed")
    assert {(row["value_minor"], row["currency"]) for row in kept} == {(300, "EUR")}
    parts.casino.clock.later(timedelta(days=31))
    assert (await gives(parts, first, 1_000, number=2)).status == "confirmed"


async def test_what_an_account_got_before_it_was_merged_counts_for_the_person(parts: Effects) -> None:
    under(parts, bonus_ceiling={"EUR": 1_000})
    absorbed, survivor = await runs_of(parts, 2)
    assert (await gives(parts, absorbed, 700)).status == "confirmed"
    one, other = (run.split(":")[2] for run in (survivor, absorbed))
    await parts.casino.happens(one, PlayerMerged, survivor_id=one, absorbed_id=other)
    assert (await gives(parts, survivor, 301)).reason == "over_value"
    assert (await gives(parts, survivor, 300, number=2)).status == "confirmed"


async def test_a_bonus_of_another_currency_can_be_added_to_none_and_lets_no_other_pass(parts: Effects) -> None:
    under(parts, bonus_ceiling={"EUR": 1_000, "USD": 1_000})
    (run,) = await runs_of(parts, 1)
    assert (await gives(parts, run, 300)).status == "confirmed"
    await parts.casino.happens(run.split(":")[2], ProfileUpdated, changed={"currency": "USD"})
    assert (await gives(parts, run, 300, number=2)).reason == "facts_unreadable"
    parts.casino.clock.later(timedelta(days=31))
    assert (await gives(parts, run, 300, number=3)).status == "confirmed"


async def test_what_a_person_lets_pass_is_given_beyond_every_budget_and_never_past_the_gate(parts: Effects) -> None:
    under(parts, {"EUR": 0}, bonus_ceiling={"EUR": 0}, bonus_per_day={"EUR": 0})
    (run,) = await runs_of(parts, 1)
    assert (await gives(parts, run, 300)).reason == "over_value"
    assert (await gives(parts, run, 300, number=2, approved=True)).status == "confirmed"
    under(parts, {"EUR": 0}, banned_rewards={"cash"})
    assert (await gives(parts, run, 300, number=3, approved=True)).reason == "banned_reward"
