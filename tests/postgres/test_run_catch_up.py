"""A run hears what came to processes that knew less than it needs, once and in order."""

from collections.abc import AsyncIterator

import pytest

from activities.database import Database
from activities.loops.sweeper import Sweeper
from activities.processes import Processes
from activities.tables import deliveries, players, runs
from tests.support.engine import Casino, Row, connected, declared, execute, rows
from workflows import (
    DepositApproved,
    DepositFailed,
    Player,
    PlayerRegistered,
    SessionLogin,
    WithdrawalRequested,
    days,
    goal,
    journey,
    on,
    once,
)
from workflows.events import Event
from workflows.rules.index import RuleIndex


@journey(
    on(PlayerRegistered),
    entry=once,
    ends_after=days(30),
    goal=goal(DepositApproved, within=days(7)),
    exit_on=[on(WithdrawalRequested)],
)
async def waiting(player: Player, _registered: PlayerRegistered) -> None:
    """Waits for what each release says it does."""


def listening_to(*kinds: type[Event]) -> RuleIndex:
    return RuleIndex(declared(waiting, listens=kinds))


NOTHING = RuleIndex({})
LOGINS, LOGINS_AND_FAILURES = listening_to(SessionLogin), listening_to(SessionLogin, DepositFailed)


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    async with connected(postgres_url) as database:
        yield database


class Release:
    """One player, whose events come to processes of several releases."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.casino = Casino.of(database, {})
        self.player = self.casino.player()

    async def takes(self, rules: RuleIndex, *kinds: type[Event]) -> None:
        self.casino.intake.rules = rules
        await self.casino.happens(self.player, *kinds)

    async def sweeps(self, rules: RuleIndex) -> None:
        self.casino.intake.rules = rules
        await Sweeper(self.database, self.casino.intake, self.casino.clock).run_once()

    async def heard(self) -> list[str]:
        """The types of the events the run is told of, in the order of their numbers."""
        found = await rows(self.database, deliveries, kind="event")
        return [row["payload"]["event"]["type"].split(".")[-2] for row in found]

    async def run(self) -> Row:
        (run,) = await rows(self.database, runs)
        return run


@pytest.fixture
def release(database: Database) -> Release:
    return Release(database)


async def test_what_a_process_without_the_journey_took_in_is_heard_once_somebody_knows_it(release: Release) -> None:
    await release.takes(LOGINS, PlayerRegistered)
    await release.takes(NOTHING, SessionLogin)
    await release.takes(NOTHING, DepositFailed)
    assert await release.heard() == []
    for _ in range(2):
        await release.sweeps(LOGINS)
        assert await release.heard() == ["login"]
    (player,) = await rows(release.database, players)
    assert "missed" not in player["state"]["runs"][(await release.run())["id"]]


async def test_a_process_that_knows_an_older_journey_leaves_the_rest_to_one_that_knows_all(release: Release) -> None:
    await release.takes(LOGINS_AND_FAILURES, PlayerRegistered)
    await release.takes(LOGINS, DepositFailed)
    await release.takes(LOGINS, SessionLogin)
    assert await release.heard() == ["login"]
    new = Processes(release.database, LOGINS_AND_FAILURES, build="new")
    await new.beat()
    await release.sweeps(LOGINS)
    release.casino.clock.later(days(1))
    await release.takes(LOGINS_AND_FAILURES, SessionLogin)
    assert await release.heard() == ["login", "deposit_failed", "login"]


async def test_what_nobody_can_judge_any_more_is_let_go(release: Release) -> None:
    await release.takes(LOGINS_AND_FAILURES, PlayerRegistered)
    await release.takes(LOGINS, DepositFailed)
    await release.sweeps(LOGINS)
    (player,) = await rows(release.database, players)
    assert player["next_moment"] is None


async def test_a_run_that_goes_on_to_a_type_nobody_listened_to_hears_what_came_since_it_began(release: Release) -> None:
    await release.takes(LOGINS, DepositFailed)
    await release.takes(LOGINS, PlayerRegistered)
    # The clock of this test stands still, that of Postgres does not.
    await execute(release.database, "UPDATE runs SET entered_at = clock_timestamp()")
    await release.takes(LOGINS, DepositFailed)
    await release.casino.happens(release.player, DepositFailed, mode="history")
    await release.takes(LOGINS, SessionLogin)
    await release.takes(LOGINS_AND_FAILURES, SessionLogin)
    await release.takes(LOGINS_AND_FAILURES, DepositFailed)
    assert await release.heard() == ["login", "deposit_failed", "login", "deposit_failed"]


async def test_the_event_that_makes_a_run_catch_up_is_heard_once(release: Release) -> None:
    await release.takes(LOGINS, PlayerRegistered)
    await release.takes(LOGINS_AND_FAILURES, DepositFailed, SessionLogin)
    assert await release.heard() == ["deposit_failed", "login"]


async def test_a_goal_and_an_exit_that_were_missed_count_when_they_are_known(release: Release) -> None:
    await release.takes(LOGINS, PlayerRegistered)
    await release.takes(NOTHING, DepositApproved)
    await release.takes(NOTHING, WithdrawalRequested)
    await release.takes(NOTHING, SessionLogin)
    assert (await release.run())["goal_at"] is None
    await release.sweeps(LOGINS)
    assert (await release.run())["goal_at"] == release.casino.clock.now
    assert [row["payload"]["reason"] for row in await rows(release.database, deliveries, kind="stop")] == [
        "exit_on:payment.withdrawal_requested"
    ]
    assert await release.heard() == [], "It is stopping, and hears no more."


async def test_a_run_from_before_this_was_noted_is_left_as_it_is(release: Release) -> None:
    await release.takes(LOGINS, PlayerRegistered)
    await release.takes(LOGINS, DepositFailed)
    async with release.database.transaction() as connection:
        (row,) = await rows(release.database, players)
        (run_id,) = row["state"]["runs"]
        del row["state"]["runs"][run_id]["about"]
        await connection.execute(players.update().values(state=row["state"]))
    await release.takes(LOGINS_AND_FAILURES, SessionLogin)
    assert await release.heard() == ["login"]
