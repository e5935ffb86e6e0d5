"""What becomes of a reward after it was given, on the stage: waited for, taken back, kept."""

from datetime import UTC, datetime
from typing import Any

import pytest

from content.settings import SHIPPED_TEMPLATES
from content.templates import read_template_facts
from stage.world.faults import Away, Declines, Faults
from stage.world.world import World
from tests.support.outside_packages import Write, mistakes
from workflows import (
    DepositApproved,
    Event,
    PlayerRegistered,
    RewardClaimed,
    RewardExpired,
    StatusChanged,
    days,
    hours,
    minutes,
)
from workflows.source.journey_loading import load

MORNING = datetime(2026, 3, 9, 9, tzinfo=UTC)
GIVES = """
from workflows import DepositApproved, Player, RewardClaimed, days, free_spins, hours, journey, on, once

@journey(on(DepositApproved), entry=once, ends_after=days(9), control=0)
async def gives(player: Player, deposit: DepositApproved) -> None:
    \"\"\"Gives spins twice and takes back what nobody claims.\"\"\"
    first = await player.grant(free_spins(10, max_win=500))
    second = await player.grant(free_spins(20, max_win=500))
    claimed = await player.event(RewardClaimed, of=second, within=hours(48))
    await player.mark("claimed", second=claimed is not None)
    taken = await player.revoke(first)
    kept = await player.revoke(second)
    await player.mark("over", first=taken.status, second=kept.status, why=[taken.reason, kept.reason])
"""


class Giving:
    """A player who deposits in the morning, and the journey above."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._happens(PlayerRegistered, timezone="Europe/London", currency="GBP")
        self._happens(StatusChanged, to="active")
        self._happens(DepositApproved, payment_id="pay", amount_minor=5000)

    def _happens(self, kind: type[Event], **data: Any) -> None:
        number = sum(len(state.counts) for state in self.world.players.values())
        given = {"event_id": f"e{number}-{kind.type}-{self.world.now}", "event_source": "/test"}
        self.world.happen("p", kind(**given, occurred_at=self.world.now, **data))

    def told(self, kind: type[Event], number: int, **data: Any) -> None:
        """The engine tells something of the first or the second reward."""
        self._happens(kind, grant_id=f"{self.run}/grant:free_spins#{number}", **data)

    @property
    def run(self) -> str:
        return next(iter(self.world.runs))

    def later(self, **time: int) -> None:
        self.world.advance_to(self.world.now + days(time.get("days", 0)) + hours(time.get("hours", 0)))

    def marked(self, name: str) -> Any:
        return next(dict(one.detail) for one in self.world.story if one.step == f"mark:{name}#1")

    def rewards(self) -> list[tuple[str, str | None]]:
        return [(grant.status, grant.stage) for grant in self.world.grants]


@pytest.fixture
def package_of(package: Write) -> str:
    return package(gives=GIVES)


def world(package: str, faults: Faults | None = None) -> World:
    return World(load((package,)), read_template_facts([SHIPPED_TEMPLATES]), MORNING, faults=faults)


def test_a_claim_of_one_reward_does_not_end_the_wait_for_another(package_of: str) -> None:
    with world(package_of) as staged:
        giving = Giving(staged)
        giving.later(hours=1)
        giving.told(RewardClaimed, 1)
        giving.later(days=1)
        assert giving.rewards() == [("confirmed", "claimed"), ("confirmed", None)]
        assert not any(one.step == "mark:claimed#1" for one in staged.story)
        giving.told(RewardClaimed, 2)
        giving.later(hours=1)
        assert giving.marked("claimed") == {"second": True}
        assert giving.marked("over") == {"first": "kept", "second": "kept", "why": ["claimed", "claimed"]}


def test_what_nobody_claims_is_taken_back(package_of: str) -> None:
    with world(package_of) as staged:
        giving = Giving(staged)
        giving.later(days=3)
        assert giving.marked("over") == {"first": "revoked", "second": "revoked", "why": ["journey", "journey"]}
        assert giving.rewards() == [("revoked", "revoked")] * 2


def test_what_expired_meanwhile_is_gone_too(package_of: str) -> None:
    with world(package_of) as staged:
        giving = Giving(staged)
        giving.later(hours=1)
        giving.told(RewardExpired, 1, reason="not_claimed")
        giving.later(days=3)
        assert giving.marked("over")["first"] == "revoked"


def test_a_word_that_comes_late_takes_nothing_back(package_of: str) -> None:
    with world(package_of) as staged:
        giving = Giving(staged)
        giving.later(hours=1)
        giving.told(RewardExpired, 1)
        giving.told(RewardClaimed, 1)
        giving.later(hours=1)
        assert giving.rewards()[0] == ("confirmed", "expired")


def test_about_a_reward_that_was_refused_nobody_waits(package_of: str) -> None:
    def refuse(call: Any, given: Any) -> None:  # noqa: ARG001 - it does not matter to whom
        if call.name == "grant":
            raise Declines("bonus_engine", reason="not_eligible")

    with world(package_of, refuse) as staged:
        giving = Giving(staged)
        giving.later(hours=1)
        assert giving.marked("claimed") == {"second": False}
        assert giving.marked("over")["why"] == ["not_eligible", "not_eligible"]


def test_an_engine_that_is_away_is_waited_for(package_of: str) -> None:
    def away(call: Any, given: Any) -> None:  # noqa: ARG001 - it does not matter to whom
        if call.name == "revoke" and call.waited < minutes(30):
            raise Away("bonus_engine")

    with world(package_of, away) as staged:
        giving = Giving(staged)
        giving.later(days=3)
        assert giving.marked("over")["first"] == "revoked"


def test_only_what_is_about_a_reward_can_be_waited_for_so(package: Write) -> None:
    wrong = GIVES.replace("player.event(RewardClaimed, of=second", "player.event(DepositApproved, of=second")
    assert mistakes(package(gives=wrong)) == [
        "Journey gives, line 9: DepositApproved is about no reward; of= takes what has a grant_id."
    ]
