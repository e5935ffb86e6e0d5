"""A national register is asked before a player's press gives anything, outside of any transaction."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

import pytest

from activities.loyalty_tables import loyalty_limits, player_commands, shop_purchases, spins
from activities.player_commands import CommandKind, PlayerCommand
from activities.registers import SOURCE
from activities.tables import events, gate_decisions
from tests.support.engine import BRAND, NOON, Effects, Row, effects, execute, rows
from tests.support.spelpaus import ADDRESS, Spelpaus
from workflows import RoundCompleted

JOURNEYS = "tests.support.shop_journeys"
PRESSES: dict[CommandKind, str] = {"spin": "daily", "opt_in": "three_games", "buy": "badge"}
PRICE = 10


@dataclass
class Swede:
    """A player in Sweden with a hundred points, and the register they are asked about at."""

    parts: Effects
    player: str
    register: Spelpaus

    async def presses(self, kind: CommandKind, key: str = "k-1") -> Row:
        asked = PlayerCommand(BRAND, self.player, key, kind, PRESSES[kind], price=PRICE if kind == "buy" else 0)
        return await self.parts.commands.do(asked)

    async def what_is_kept(self) -> dict[str, int]:
        tables = {"spins": spins, "purchases": shop_purchases}
        kept = {name: len(await rows(self.parts.database, one, player_id=self.player)) for name, one in tables.items()}
        return kept | {"limits": len(await rows(self.parts.database, loyalty_limits))}


@pytest.fixture(scope="module")
async def shared(module_postgres_url: str) -> AsyncIterator[Effects]:
    async with effects(module_postgres_url, journeys=JOURNEYS, **ADDRESS) as built:
        yield built


@pytest.fixture
async def swede(shared: Effects, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Swede]:
    with shared.for_one_test():
        await execute(shared.database, "DELETE FROM loyalty_limits")
        register = Spelpaus(shared.database)
        monkeypatch.setattr(shared.commands.registers, "registers", {"spelpaus": register})
        player = shared.casino.player()
        await shared.casino.registers(player, country="SE", timezone="Europe/Stockholm")
        # Heard of before they registered, so that no earlier bonus is possible.
        await execute(shared.database, "UPDATE players SET created_at = :at WHERE id = :id", at=NOON, id=player)
        await shared.casino.happens(
            player, RoundCompleted, round_id=player, stake_minor=10_000, win_minor=0, game_id="g", category="slot"
        )
        yield Swede(shared, player, register)


@pytest.mark.parametrize("kind", PRESSES)
async def test_who_is_not_listed_is_given_what_they_pressed_for(swede: Swede, kind: CommandKind) -> None:
    assert (await swede.presses(kind))["status"] == "done"
    assert swede.register.asked == [swede.player]
    decision = (await rows(swede.parts.database, gate_decisions, player_id=swede.player))[-1]
    assert decision["seen"]["registers"]["spelpaus"][0] is False


async def test_an_answer_serves_until_it_is_as_old_as_the_policy_lets_it_be(swede: Swede) -> None:
    await swede.presses("opt_in")
    swede.parts.casino.clock.later(timedelta(seconds=29))
    assert (await swede.presses("buy", "k-2"))["status"] == "done"
    assert len(swede.register.asked) == 1
    swede.parts.casino.clock.later(timedelta(seconds=1))
    assert (await swede.presses("spin", "k-3"))["status"] == "done"
    assert len(swede.register.asked) == 2


@pytest.mark.parametrize("kind", PRESSES)
async def test_who_is_listed_is_given_nothing_and_excluded(swede: Swede, kind: CommandKind) -> None:
    swede.register.listed.add(swede.player)
    assert await swede.presses(kind) == {"status": "refused", "reason": "self_excluded"}
    assert await swede.what_is_kept() == {"spins": 0, "purchases": 0, "limits": 0}
    (event,) = await rows(swede.parts.database, events, player_id=swede.player, source=SOURCE)
    assert (event["data"]["kind"], event["data"]["scope"]) == ("register", "national")


@pytest.mark.parametrize("kind", PRESSES)
async def test_without_its_answer_nothing_is_kept_but_the_refusal(swede: Swede, kind: CommandKind) -> None:
    swede.register.is_away = True
    refused = {"status": "refused", "reason": "register_unknown"}
    assert [await swede.presses(kind) for _ in range(2)] == [refused] * 2
    assert await swede.what_is_kept() == {"spins": 0, "purchases": 0, "limits": 0}
    (kept,) = await rows(swede.parts.database, player_commands, player_id=swede.player)
    assert kept["answer"] == refused
    assert len(swede.register.asked) == 1, "the same press is answered the same, and asks nobody"
    swede.register.is_away = False
    assert (await swede.presses(kind, "another press"))["status"] == "done"


async def test_nobody_asks_about_who_may_not_press_anyway_or_is_elsewhere(swede: Swede) -> None:
    assert (await swede.presses("spin"))["status"] == "done"
    swede.parts.casino.clock.later(timedelta(minutes=5))
    assert (await swede.presses("spin", "k-2"))["reason"] == "no_attempts"
    finn = swede.parts.casino.player("finn")
    await swede.parts.casino.registers(finn, country="FI", timezone="Europe/Helsinki")
    assert (await Swede(swede.parts, finn, swede.register).presses("spin"))["status"] == "done"
    assert swede.register.asked == [swede.player]


async def test_where_one_bonus_is_the_most_a_player_who_may_have_had_one_is_given_none(swede: Swede) -> None:
    late = "UPDATE players SET created_at = :at WHERE id = :id"
    await execute(swede.parts.database, late, at=NOON + timedelta(days=30), id=swede.player)
    assert (await swede.presses("spin"))["reason"] == "facts_unreadable"
    assert swede.register.asked == [], "whom nothing may be given to, nobody asks about"
