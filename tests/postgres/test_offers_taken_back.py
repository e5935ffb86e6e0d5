"""Offers that a player may not have any more are taken back from the bonus engine, unless they were taken before."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from activities.grant_rows import LEASE
from activities.tables import events, grants
from tests.support.engine import Effects, done, effects, execute, rows
from tests.support.servers import LocalBonusEngine
from workflows import (
    ExclusionSet,
    HarmSignal,
    PlayerMerged,
    RewardClaimed,
    RewardExpired,
    RewardForfeited,
    cash,
    days,
    free_spins,
    points,
)
from workflows.effects import Give, PausePromotions

SPINS = free_spins(10, valid=days(7))


@pytest.fixture(scope="module")
async def shared(module_postgres_url: str, bonus_engine_server: LocalBonusEngine) -> AsyncIterator[Effects]:
    given = {"bonus_engine_url": bonus_engine_server.url, "provider_timeout": timedelta(minutes=1)}
    async with effects(module_postgres_url, **given) as parts:
        yield parts


class Offered:
    """A player with a run that gives."""

    def __init__(self, parts: Effects, engine: LocalBonusEngine, player: str, run: str) -> None:
        self.parts, self.engine, self.player, self.run = parts, engine, player, run

    async def gives(self, reward: Any, number: int = 1) -> str:
        step = f"grant:{reward.kind}#{number}"
        given = done(await self.parts.grants.give(self.parts.given(Give, self.run, step, reward=reward)))
        assert given.status == "confirmed"
        return f"{self.run}/{step}"

    async def happens(self, kind: Any, /, **data: Any) -> None:
        await self.parts.casino.happens(self.player, kind, **data)

    async def state_of(self, key: str) -> tuple[str, str | None, bool]:
        (row,) = await rows(self.parts.database, grants, id=key)
        return row["status"], row["revoke_reason"], row["revoke_due"] is not None

    def voids(self, key: str) -> int:
        return [(one["action"], one["key"]) for one in self.engine.asked()].count(("void", key))


@pytest.fixture
async def offered(shared: Effects, bonus_engine: LocalBonusEngine) -> AsyncIterator[Offered]:
    with shared.for_one_test():
        await execute(shared.database, "DELETE FROM grants")
        player = shared.casino.player()
        await shared.casino.registers(player)
        yield Offered(shared, bonus_engine, player, await shared.enters(player))
    bonus_engine.process.start()


async def test_a_strong_sign_takes_an_offer_back_and_the_player_cannot_claim_it(offered: Offered) -> None:
    key = await offered.gives(SPINS)
    await offered.happens(HarmSignal, strength="strong")
    assert await offered.state_of(key) == ("confirmed", "harm_signal", True)
    assert await offered.parts.grants.revoke_once() == 1
    assert await offered.state_of(key) == ("revoked", "harm_signal", False)
    assert await offered.engine.claim(key) == 409
    assert await offered.parts.grants.revoke_once() == 0
    assert offered.voids(key) == 1


@pytest.mark.parametrize("survives", [True, False])
async def test_a_merge_with_an_account_that_was_excluded_before_takes_an_offer_back(
    offered: Offered, *, survives: bool
) -> None:
    key, casino = await offered.gives(SPINS), offered.parts.casino
    other = casino.player("other")
    await casino.registers(other)
    await casino.happens(other, ExclusionSet, kind="self_exclusion", until=None)
    assert await offered.state_of(key) == ("confirmed", None, False)
    survivor, absorbed = (offered.player, other) if survives else (other, offered.player)
    await casino.happens(survivor, PlayerMerged, survivor_id=survivor, absorbed_id=absorbed, rule="same_document")
    assert await offered.parts.grants.revoke_once() == 1
    assert await offered.state_of(key) == ("revoked", "player_protected", False)


async def test_what_the_engine_says_was_claimed_stays_the_players(offered: Offered) -> None:
    key = await offered.gives(SPINS)
    assert await offered.engine.claim(key) == 200
    await offered.happens(ExclusionSet, kind="self_exclusion", until=None)
    assert await offered.parts.grants.revoke_once() == 1
    assert await offered.state_of(key) == ("confirmed", "player_protected", False)


async def test_what_we_were_told_was_claimed_is_not_asked_about(offered: Offered) -> None:
    key = await offered.gives(SPINS)
    await offered.happens(RewardClaimed, grant_id=key)
    await offered.happens(HarmSignal, strength="strong")
    assert await offered.state_of(key) == ("confirmed", None, False)


@pytest.mark.parametrize("kind", [RewardClaimed, RewardForfeited, RewardExpired])
async def test_how_far_it_came_is_read_from_the_reward_and_not_from_events_that_are_kept_elsewhere(
    offered: Offered, kind: Any
) -> None:
    key = await offered.gives(SPINS)
    await offered.happens(kind, grant_id=key)
    await execute(offered.parts.database, "DELETE FROM events WHERE type LIKE 'reward.%'")
    await offered.happens(HarmSignal, strength="strong")
    assert await offered.state_of(key) == ("confirmed", None, False)


@pytest.mark.parametrize("reward", [points(5), cash(500)])
async def test_what_nobody_claims_is_not_taken_back(offered: Offered, reward: Any) -> None:
    key = await offered.gives(reward)
    await offered.happens(HarmSignal, strength="strong")
    assert await offered.state_of(key) == ("confirmed", None, False)


@pytest.mark.parametrize(("age", "marked"), [(days(7) - timedelta(seconds=1), True), (days(7), False)])
async def test_an_offer_that_is_over_is_left(offered: Offered, age: timedelta, *, marked: bool) -> None:
    key = await offered.gives(SPINS)
    offered.parts.casino.clock.later(age)
    await offered.happens(HarmSignal, strength="strong")
    assert (await offered.state_of(key))[2] is marked


@pytest.mark.parametrize("what", [{"strength": "medium"}, None])
async def test_less_than_that_takes_nothing_back(offered: Offered, what: dict[str, str] | None) -> None:
    key = await offered.gives(SPINS)
    if what is None:
        await offered.happens(ExclusionSet, kind="time_out")
    else:
        await offered.happens(HarmSignal, **what)
    assert await offered.state_of(key) == ("confirmed", None, False)


async def test_an_engine_that_is_away_is_asked_again_under_the_same_key(offered: Offered) -> None:
    key = await offered.gives(SPINS)
    await offered.happens(HarmSignal, strength="strong")
    await offered.engine.process.stop()
    assert await offered.parts.grants.revoke_once() == 0
    assert await offered.state_of(key) == ("confirmed", "harm_signal", True)
    offered.engine.process.start()
    offered.parts.casino.clock.later(LEASE)
    while await offered.parts.grants.revoke_once() == 0:
        offered.parts.casino.clock.later(LEASE)
    assert (await offered.state_of(key))[0] == "revoked"


async def test_one_under_way_is_taken_back_when_the_engine_has_answered(offered: Offered) -> None:
    await offered.engine.fail("error_after_commit")
    step = "grant:free_spins#1"
    request = offered.parts.given(Give, offered.run, step, reward=SPINS)
    with pytest.raises(Exception, match="bonus engine failed"):
        await offered.parts.grants.give(request)
    await offered.happens(HarmSignal, strength="strong")
    assert await offered.parts.grants.revoke_once() == 0
    assert done(await offered.parts.grants.give(request)).status == "confirmed"
    assert await offered.parts.grants.revoke_once() == 1
    assert await offered.state_of(f"{offered.run}/{step}") == ("revoked", "harm_signal", False)
    # An attempt that comes late is told that the player has it no more.
    assert done(await offered.parts.grants.give(request)).status == "refused"


async def test_a_journeys_pause_is_in_force_with_its_step_and_is_one_however_often_it_is_tried(
    offered: Offered,
) -> None:
    request = offered.parts.given(PausePromotions, offered.run, "pause_promotions#1", hours=72, why="a large loss")
    until = (await offered.parts.pauses.pause(request)).until
    offered.parts.casino.clock.later(timedelta(hours=1))
    assert (await offered.parts.pauses.pause(request)).until == until
    kept = await rows(offered.parts.database, events, player_id=offered.player, type="compliance.promotions_paused")
    assert [one["data"]["why"] for one in kept] == ["a large loss"]
    step = "grant:points#1"
    given = done(await offered.parts.grants.give(offered.parts.given(Give, offered.run, step, reward=points(5))))
    assert (given.status, given.reason) == ("refused", "promotions_paused")
    offered.parts.casino.clock.now = until
    step = "grant:points#2"
    given = done(await offered.parts.grants.give(offered.parts.given(Give, offered.run, step, reward=points(5))))
    assert given.status == "confirmed"
