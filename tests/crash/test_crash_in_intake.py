"""In whichever batches, how often, beside what and wherever it breaks: it is as if each event had come alone."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial

import pytest
from hypothesis import HealthCheck, Phase, example, given, seed, settings

from activities.intake.intake import Intake
from activities.loops.sweeper import Sweeper
from local.postgres import Postgres
from tests.support.engine import BRAND, NOON, Casino, HeldClock, only_tracked
from tests.support.exact_journeys import SEGMENTS
from tests.support.exact_players import Life, Sent, excluded_payers, lives, silent_payer, ways
from tests.support.exactness import JOURNEYS, MANNERS, RULES, Faults, faulty, patiently, survives, world
from tests.support.examples import examples
from tests.support.servers import fresh_database
from workflows import (
    DepositApproved,
    DepositFailed,
    ExclusionSet,
    SessionLogin,
    WithdrawalRequested,
    days,
    hours,
)
from workflows.player_state.control_arms import arm_of

REACHED: Counter[str | None] = Counter()


@pytest.fixture(scope="module")
async def alone(postgres: Postgres) -> AsyncIterator[Faults]:
    """Where everything is taken in one event at a time."""
    async with fresh_database(postgres) as url, faulty(url) as faults:
        yield faults


@pytest.fixture(scope="module")
async def crowded(postgres: Postgres) -> AsyncIterator[Faults]:
    """Where it is not."""
    async with fresh_database(postgres) as url, faulty(url) as faults:
        yield faults


async def sweep(sweeper: Sweeper) -> None:
    while await sweeper.run_once():
        pass


async def one_by_one(faults: Faults, life: Life) -> None:
    """Every event in a transaction of its own, every sweep by itself."""
    clock = HeldClock()
    intake = Intake(faults.database, RULES)
    sweeper = Sweeper(faults.database, intake, clock)
    for stretch in life.stretches:
        clock.now = stretch.now
        await sweep(sweeper)
        for player in sorted(stretch.told):
            for event in stretch.told[player]:
                await intake.ingest(BRAND, [(player, event)], stretch.now, mode=stretch.mode)


async def all_at_once(faults: Faults, life: Life) -> None:
    """In the drawn way: batches side by side, everything repeated, sweepers in pairs, and a crash in every step."""
    chance, clock = random.Random(life.seed), HeldClock()
    intake = Intake(faults.database, RULES)
    pair = [Sweeper(faults.database, intake, clock) for _ in range(2)]
    before: list[Sent] = []
    for stretch in life.stretches:
        clock.now = stretch.now
        with faults.crash_at(chance.randrange(20), chance.choice(MANNERS)):
            await asyncio.gather(*(patiently(faults, partial(sweep, one)) for one in pair))
        await faults.freed()
        await sweep(pair[0])
        for batches in ways(stretch, before, chance):
            with faults.crash_at(chance.randrange(30), chance.choice(MANNERS)):
                await asyncio.gather(
                    *(
                        patiently(faults, partial(intake.ingest, BRAND, batch, stretch.now, mode=stretch.mode))
                        for batch in batches
                    )
                )
        before += [(player, event) for player, told in stretch.told.items() for event in told]


@seed(2026)
@example(life=silent_payer())
@example(life=excluded_payers())
@settings(
    database=None,
    deadline=None,
    max_examples=examples(20),
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(life=lives())
async def test_whatever_way_events_come_players_runs_and_deliveries_are_those_of_one_event_at_a_time(
    alone: Faults, crowded: Faults, life: Life
) -> None:
    alone.clear()
    crowded.clear()
    await one_by_one(alone, life)
    await all_at_once(crowded, life)
    expected, found = await world(alone.database), await world(crowded.database)
    for table, rows in expected.items():
        assert found[table] == rows, table
    assert len(crowded.felt) == crowded.crashes, "\n\n".join(crowded.felt)
    REACHED.update(row["journey"] for row in expected["runs"])
    REACHED.update(row["outcome"] for row in expected["runs"] if row["outcome"])
    REACHED.update(
        f"{row['segment']} {'stays' if row['left_at'] is None else 'left'}" for row in expected["memberships"]
    )
    REACHED.update(row["kind"] for row in expected["deliveries"])
    REACHED.update("goal" for row in expected["runs"] if row["goal_at"])


def test_the_drawn_lives_reached_everything_there_is() -> None:
    """Without it the test before could pass because nothing happens to anybody."""
    if not REACHED:
        pytest.skip("Nobody has lived yet.")
    wanted = {*JOURNEYS, "start", "event", "stop", "goal", "refused:self_excluded"}
    wanted |= {f"{segment.name} {what}" for segment in SEGMENTS for what in ("stays", "left")}
    assert wanted - REACHED.keys() == set()


async def test_a_run_is_told_what_was_known_when_it_began(alone: Faults) -> None:
    alone.clear()
    casino = Casino(Intake(alone.database, RULES))
    await casino.happens("p-1", *[DepositApproved] * 3, SessionLogin)
    starts = [row for row in (await world(alone.database, "deliveries"))["deliveries"] if row["kind"] == "start"]
    assert sorted((row["payload"]["journey"], row["payload"]["facts"]["deposits"]) for row in starts) == [
        ("exact_each", 1),
        ("exact_each", 2),
        ("exact_each", 3),
        ("exact_first", 1),
        ("exact_third", 3),
    ]
    assert not any("last_login" in row["payload"]["facts"] for row in starts)


async def test_newcomers_who_are_in_several_large_batches_are_made_once_and_without_a_circle(alone: Faults) -> None:
    """Made in another order by each, they would wait for each other, and Postgres would end one."""
    alone.clear()
    casino = Casino.of(alone.database, {})
    casino.intake.admission_timeout = timedelta(minutes=2)  # none is sent back, however slow the machine is
    names = [f"n-{number}" for number in range(1_500)]
    chance = random.Random(3)
    for _ in range(2):
        batches = [[(name, casino.event(SessionLogin)) for name in chance.sample(names, len(names))] for _ in range(5)]
        await asyncio.gather(*(casino.intake.ingest(BRAND, batch, NOON) for batch in batches))
        assert {row["state"]["counts"]["session.login"] for row in (await world(alone.database))["players"]} == {5}
        alone.clear()


# ---- one crash at every place -------------------------------------------------------------------


async def test_a_batch_survives_a_crash_at_every_statement(alone: Faults) -> None:
    casino = Casino(Intake(alone.database, RULES))
    one, third = "one", "third"
    other = next(
        name for name in map("other-{}".format, range(99)) if arm_of(BRAND, name, "exact_failed", 50) == "control"
    )
    now: list[Sent] = []

    async def prepare() -> None:
        alone.clear()
        casino.events = 0
        await casino.happens(one, DepositApproved, DepositApproved)
        await casino.happens(other, DepositFailed, DepositFailed, failure="technical")
        await only_tracked(alone.database)
        now[:] = [
            (one, casino.event(DepositApproved, payment_id="d-2")),
            (other, casino.event(DepositApproved, payment_id="d-3")),
            (third, casino.event(SessionLogin)),
            (one, casino.event(SessionLogin)),
            (one, casino.event(WithdrawalRequested)),
            (other, casino.event(ExclusionSet, kind="self_exclusion", until=None)),
        ]
        now.append(now[0])

    async def act() -> None:
        await casino.intake.ingest(BRAND, now, NOON)

    places = await survives(alone, prepare, act, lambda: world(alone.database))
    told = "\n".join(places)
    for meant in ("INTO events", "INTO players", "FOR UPDATE", "UPDATE players", "INTO runs", "goal_at", "'ended'"):
        assert meant in told, f"The batch was to reach {meant}."
    assert places[-2:] == ["before COMMIT", "after COMMIT"]
    # Who wants to hear of it is asked of Postgres before the commit, once a second at most.
    assert "INTO deliveries" in [place for place in places[:-2] if "webhook_subscriptions" not in place][-1]


async def test_a_sweep_survives_a_crash_at_every_statement(alone: Faults) -> None:
    clock = HeldClock()
    casino = Casino(Intake(alone.database, RULES), clock)
    sweeper = Sweeper(alone.database, casino.intake, clock)

    async def prepare() -> None:
        alone.clear()
        casino.events, clock.now = 0, NOON
        for number in range(12):
            await casino.happens(f"p-{number}", SessionLogin, DepositFailed, DepositFailed, failure="technical")
        await only_tracked(alone.database)
        clock.later(days(2) + hours(1))

    async def act() -> None:
        assert await sweeper.run_once() in {0, 12}

    places = await survives(alone, prepare, act, lambda: world(alone.database))
    found = await world(alone.database)
    assert {row["journey"] for row in found["runs"]} == {"exact_away", "exact_failed"}
    assert any(row["outcome"] == "ended" for row in found["runs"]), "some tracked run is over"
    assert "before COMMIT" in places
