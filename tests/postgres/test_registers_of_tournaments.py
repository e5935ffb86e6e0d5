"""A national register is asked about who is paid in a tournament before a prize is: outside of any transaction."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest

from activities.engine import WorkerEngine
from activities.providers.register import RegisterUnavailable
from activities.registers import REGISTER_PATIENCE
from tests.support.engine import execute
from tests.support.servers import LocalBonusEngine
from tests.support.spelpaus import ADDRESS, Spelpaus
from tests.support.tournament_house import House, next_week, tournament_engine


@dataclass
class Race:
    """Three Swedes who played for a place, the last of them the most, and the register."""

    house: House
    register: Spelpaus
    players: list[str]
    board: int
    played_at: datetime

    async def outcomes(self) -> list[str | None]:
        return [(await self.house.standing(one, at=self.played_at))["outcome"] for one in self.players]


@pytest.fixture(scope="module")
async def engine(module_postgres_url: str, bonus_engine_server: LocalBonusEngine) -> AsyncIterator[WorkerEngine]:
    async with tournament_engine(module_postgres_url, bonus_engine_server, **ADDRESS) as built:
        yield built


@pytest.fixture
async def race(engine: WorkerEngine, monkeypatch: pytest.MonkeyPatch) -> Race:
    house, register = next_week(engine), Spelpaus(engine.database)
    monkeypatch.setattr(engine.tournament_closing.registers, "registers", {"spelpaus": register})
    players = [house.casino.player(name) for name in ("a", "b", "c")]
    for one in players:
        await house.casino.registers(one, country="SE", timezone="Europe/Stockholm")
        # Heard of before they registered, so that no earlier bonus is possible.
        await execute(engine.database, "UPDATE players SET created_at = :at WHERE id = :id", at=house.now, id=one)
    board = await house.opens()
    for number, one in enumerate(players, 1):
        await house.plays(one, 1_000 * number)
    return Race(house, register, players, board, house.now)


async def test_who_is_not_listed_is_paid_and_who_is_loses_the_prize(race: Race) -> None:
    race.register.listed.add(race.players[2])
    await race.house.closes(race.board)
    assert [await race.house.points_of(one) for one in race.players] == [100, 100, 0]
    assert sorted(race.register.asked) == sorted(race.players)
    assert await race.outcomes() == ["paid", "paid", "withheld:place_lost"]


async def test_prizes_wait_an_hour_for_the_register_and_are_then_withheld(race: Race) -> None:
    race.register.is_away = True
    with pytest.raises(RegisterUnavailable):
        await race.house.closes(race.board)
    race.register.is_away = False
    assert await race.house.engine.tournament_closing.pay_page(race.board)
    assert [await race.house.points_of(one) for one in race.players] == [100, 100, 500]


async def test_whose_answer_grew_old_while_others_were_asked_about_is_asked_about_again(race: Race) -> None:
    race.register.meanwhile = lambda: race.house.casino.clock.later(timedelta(seconds=40))
    await race.house.closes(race.board)
    assert [await race.house.points_of(one) for one in race.players] == [100, 100, 500]
    assert await race.outcomes() == ["paid"] * 3


async def test_after_an_hour_without_its_word_prizes_are_withheld(race: Race) -> None:
    race.register.is_away = True
    with pytest.raises(RegisterUnavailable):
        await race.house.closes(race.board)
    race.house.casino.clock.later(REGISTER_PATIENCE)
    assert await race.house.engine.tournament_closing.pay_page(race.board)
    assert await race.outcomes() == ["withheld:register_unknown"] * 3
