"""Segments on a real Postgres: membership is written with the decision, by intake, by the sweep, and asked by a run."""

import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.database import Database
from activities.intake.intake import Intake
from activities.loops.sweeper import Sweeper
from activities.rolling_release import RELEASE
from activities.tables import deliveries, memberships, steps
from tests.support.derived.journeys import well_off
from tests.support.engine import BRAND, NOON, Casino, HeldClock, connected, done, effects, rows, run_of, runs_of
from workflows import DepositApproved, SessionLogin, days
from workflows.effects import Match
from workflows.source.journey_loading import load

REGISTRY = load(("tests.support.derived.journeys",))


@pytest.fixture(scope="module")
async def database(module_postgres_url: str) -> AsyncIterator[Database]:
    async with connected(module_postgres_url) as pool:
        yield pool


@pytest.fixture
def casino(database: Database) -> Casino:
    # The tests share a database, so each has numbers of its own for its events.
    return Casino(Intake(database, REGISTRY.rules), HeldClock(), events=secrets.randbelow(10**9))


async def stays(database: Database, player: str, segment: str = "well_off") -> list[tuple[timedelta, timedelta | None]]:
    """When the player came and left, counted from noon."""
    found = await rows(database, memberships, brand=BRAND, player_id=player, segment=segment)
    return [(row["entered_at"] - NOON, row["left_at"] and row["left_at"] - NOON) for row in found]


async def test_membership_and_the_start_it_causes_are_written_together(casino: Casino, database: Database) -> None:
    player = casino.player()
    await casino.happens(player, DepositApproved, amount_minor=60_000)
    assert await stays(database, player) == []
    await casino.happens(player, DepositApproved, amount_minor=60_000)
    assert await stays(database, player) == [(timedelta(0), None)]
    (start,) = await rows(database, deliveries, run_id=await run_of(database, player, "well_off_welcome"))
    assert start["payload"]["trigger"]["data"] == {"segment": "well_off"}


async def test_the_sweep_closes_a_membership_at_its_moment_and_a_new_one_is_a_new_row(
    casino: Casino, database: Database
) -> None:
    player = casino.player()
    await casino.happens(player, DepositApproved, amount_minor=100_000)
    sweeper = Sweeper(database, casino.intake, casino.clock)
    casino.clock.later(days(32))
    while await sweeper.run_once():
        pass
    assert await stays(database, player) == [(timedelta(0), days(32))]
    await casino.happens(player, DepositApproved, amount_minor=100_000)
    assert await stays(database, player) == [(timedelta(0), days(32)), (days(32), None)]


async def test_a_stay_that_begins_and_ends_in_one_batch_is_kept(casino: Casino, database: Database) -> None:
    player = casino.player()
    casino.clock.later(days(40))
    batch = [
        (player, casino.event(SessionLogin, occurred_at=NOON + days(30))),
        (player, casino.event(SessionLogin, occurred_at=NOON + days(40))),
        (player, casino.event(SessionLogin, occurred_at=NOON + days(39))),
    ]
    await casino.intake.ingest(BRAND, batch, casino.clock.now)
    assert await stays(database, player, "gone") == [(days(40), days(40))]


async def test_history_makes_members_and_starts_nobody(casino: Casino, database: Database) -> None:
    player = casino.player()
    await casino.happens(player, DepositApproved, mode="history", amount_minor=100_000)
    assert await stays(database, player) == [(timedelta(0), None)]
    assert await runs_of(database, player, "well_off_welcome") == []


def grown_old() -> ActivityEnvironment:
    """An attempt so late that no release can still be rolling."""
    environment = ActivityEnvironment()
    info = environment.info
    environment.info = replace(info, scheduled_time=info.started_time - 2 * RELEASE)
    return environment


async def test_an_unknown_segment_is_waited_for_while_a_release_rolls(module_postgres_url: str) -> None:
    async with effects(module_postgres_url, journeys="tests.support.derived.journeys") as parts:
        given = parts.given(Match, f"a:{BRAND}:b:1", "matches:nobody#1", segment="nobody")
        await parts.enters("b", "a")
        with pytest.raises(ApplicationError, match="No segment is called nobody"):
            await ActivityEnvironment().run(parts.runs.match, given)


async def test_a_run_asks_and_the_answer_stands_in_its_story(module_postgres_url: str) -> None:
    async with effects(module_postgres_url, journeys="tests.support.derived.journeys") as parts:
        parts.casino.events = secrets.randbelow(10**9)
        player = parts.casino.player()
        await parts.casino.happens(player, DepositApproved, amount_minor=100_000)
        run = await run_of(parts.database, player, "well_off_welcome")
        for step, segment, matches, unknown in (("1", well_off.name, True, False), ("2", "nobody", False, True)):
            given = parts.given(Match, run, f"matches:{segment}#{step}", segment=segment)
            answer = done(await grown_old().run(parts.runs.match, given))
            assert (answer.matches, answer.unknown) == (matches, unknown)
        parts.casino.clock.later(days(32))
        given = parts.given(Match, run, "matches:well_off#3", segment="well_off")
        assert not done(await ActivityEnvironment().run(parts.runs.match, given)).matches
        again = parts.given(Match, run, "matches:well_off#1", segment="well_off")
        assert done(await ActivityEnvironment().run(parts.runs.match, again)).matches, "what was told stands"
        told = [(row["step"], row["outcome"]) for row in await rows(parts.database, steps, run_id=run)]
        assert told == [
            ("matches:nobody#2", "unknown_segment"),
            ("matches:well_off#1", "yes"),
            ("matches:well_off#3", "no"),
        ]
