"""A casino with the tournaments of `tournament_program`, and the work on them, on Postgres."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from activities.engine import WorkerEngine, worker_engine
from activities.settings import Settings
from activities.tables import point_transfers, standings, tournaments
from activities.tournaments import open_instance, read_tournament
from tests.support.engine import BRAND, SECRET, Casino, HeldClock, rows
from tests.support.servers import LocalBonusEngine
from tests.support.tournament_program import race
from workflows import RoundCompleted
from workflows.loyalty.tournaments import Instance, Tournament, board_of

PROGRAM = "tests.support.tournament_program"
ROUND: dict[str, Any] = {"game_id": "g", "category": "slot", "win_minor": 0, "currency": "EUR"}
WEEK_OF_TESTS = iter(range(10_000))


@dataclass
class House:
    """A casino with tournaments, and the work on them."""

    engine: WorkerEngine
    casino: Casino
    weeks: int = 0

    @property
    def now(self) -> datetime:
        return self.casino.clock.now

    def instance(self, declared: Tournament = race) -> Instance:
        found = declared.instance_at(self.now)
        assert found is not None
        return found

    async def joins(self, *names: str) -> list[str]:
        made = [self.casino.player(name) for name in names]
        for one in made:
            await self.casino.registers(one, country="DK", birth_date="1980-01-01")
        return made

    async def plays(self, player: str, stake: int = 1_000, **more: Any) -> None:
        await self.casino.happens(player, RoundCompleted, stake_minor=stake, **{**ROUND, **more})

    async def opens(self, declared: Tournament = race) -> int:
        async with self.engine.database.transaction() as connection:
            await open_instance(connection, BRAND, declared, self.instance(declared))
        return board_of(BRAND, self.instance(declared).id)

    async def standing(self, player: str, declared: Tournament = race, at: datetime | None = None) -> dict[str, Any]:
        instance = declared.newest(at or self.now)
        (found,) = await rows(self.engine.database, standings, player_id=player, board=board_of(BRAND, instance.id))
        return found

    async def closes(self, board: int, declared: Tournament = race) -> None:
        """The instance ends, and is closed and paid as its workflow has it done."""
        self.casino.clock.now = self.instance(declared).cut
        async with self.engine.database.reading() as connection:
            row = await read_tournament(connection, board)
        assert row is not None
        await self.engine.tournament_closing.close_now(row.run_input)
        while await self.engine.tournament_closing.pay_page(board):
            pass

    async def points_of(self, player: str) -> int:
        paid = await rows(self.engine.database, point_transfers, player_id=player)
        return sum(one["amount"] for one in paid if one["cause"] == "tournament")

    async def state(self, board: int) -> str:
        (row,) = await rows(self.engine.database, tournaments, board=board)
        return str(row["state"])


@asynccontextmanager
async def tournament_engine(
    postgres_url: str, bonus_engine: LocalBonusEngine, **settings: Any
) -> AsyncIterator[WorkerEngine]:
    """The engine of a worker that knows the program, on a clock that stands still."""
    chosen = Settings(
        database_url=postgres_url,
        webhook_secret=SECRET,
        link_secrets=(SECRET,),
        journeys=(PROGRAM,),
        bonus_engine_url=bonus_engine.url,
        **settings,
    )
    async with worker_engine(chosen, HeldClock()) as built:
        yield built


def next_week(engine: WorkerEngine) -> House:
    """The casino in a week that no other test has had, so that its boards are its own too."""
    clock = engine.clock
    assert isinstance(clock, HeldClock)
    number = next(WEEK_OF_TESTS)
    clock.now = datetime.fromisoformat("2024-01-03T12:00:00+00:00") + timedelta(weeks=number)
    return House(engine, Casino(engine.intake, clock, secrets.token_hex(3), events=10_000 * number))
