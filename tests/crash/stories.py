"""What happens to players of a small house, and what of its engine may be broken meanwhile."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.crash.evidence import Row
from tests.crash.small_house import CANARY, SmallHouse

Story = Callable[[SmallHouse], Awaitable[None]]
Judge = Callable[[], Awaitable[list[str]]]
Patch = pytest.MonkeyPatch


@dataclass(frozen=True)
class Fault:
    """What is broken, who notices it, and what the judge says."""

    breaks: Callable[[Patch], None]
    story: Story
    found: str

    async def is_found(self, house: SmallHouse, judge: Judge, patch: Patch) -> None:
        """Break it, let the story happen, and have the judge say so."""
        self.breaks(patch)
        await self.story(house)
        problems = await judge()
        assert any(re.search(self.found, problem) for problem in problems), problems


def registered(house: SmallHouse, player: str) -> Row:
    about: dict[str, Any] = {"email": f"{player}@{CANARY}.example", "first_name": CANARY, "phone": "+380501234567"}
    about |= {"language": "en", "timezone": "Europe/Kyiv", "currency": "EUR"}
    return house.event(player, "player.registered", **about, opted_in=["email", "sms", "push", "in_app"])


def deposit(house: SmallHouse, player: str) -> Row:
    return house.event(
        player, "payment.deposit_approved", payment_id=f"x-{house.events}", amount_minor=1900, currency="EUR"
    )


def lost(house: SmallHouse, player: str) -> Row:
    about = {"game_id": "g-1", "category": "slot", "stake_minor": 100, "win_minor": 0}
    return house.event(player, "game.round_completed", round_id=f"x-{house.events}", **about)


def rose(house: SmallHouse, player: str) -> Row:
    return house.event(player, "loyalty.tier_changed", **{"from": "bronze", "to": "silver", "direction": "up"})


async def arrives(house: SmallHouse, player: str) -> None:
    """Somebody registers, deposits and loses thrice; nothing has come of it yet."""
    await house.tell(registered(house, player), deposit(house, player), *(lost(house, player) for _ in range(3)))


async def a_newcomer(house: SmallHouse) -> None:
    """A message on every channel, three rewards, three chapters, a child."""
    await arrives(house, house.player(f"new{house.events}"))
    await house.settles()


async def somebody_who_is_asked(house: SmallHouse) -> None:
    """Rises twice to the same tier: one question, one answer."""
    player = house.player(f"asked{house.events}")
    await arrives(house, player)
    await house.tell(rose(house, player))
    await house.settles()
    await house.tell(rose(house, player))
    await house.settles()
