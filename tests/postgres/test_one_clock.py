"""Every process decides by the database's clock, whatever its own machine takes for the time."""

from datetime import UTC, datetime, timedelta

from activities.clock import DatabaseClock
from activities.engine import build
from activities.loops.sweeper import Sweeper
from activities.settings import Settings
from activities.tables import runs
from tests.support.engine import BRAND, Casino, connected, declared, execute, rows
from workflows import Inactive, Player, SessionLogin, always, days, inactive, journey
from workflows.source.journey_loading import Registry

AWAY = days(14)


@journey(inactive(SessionLogin, AWAY), entry=always, ends_after=days(30))
async def missed(player: Player, gone: Inactive) -> None:
    """Begins when a player has stayed away for a fortnight."""


def an_hour_ahead() -> datetime:
    return datetime.now(UTC) + timedelta(hours=1)


async def test_a_process_whose_machine_is_an_hour_ahead_sweeps_nobody_an_hour_early(postgres_url: str) -> None:
    async with connected(postgres_url) as database:
        registry = Registry(declared(missed), (), {})
        settings = Settings(database_url=postgres_url)
        engine = build(settings, registry, database, DatabaseClock(an_hour_ahead))
        casino = Casino(engine.intake)
        casino.clock.now = await database.now() - AWAY + timedelta(minutes=30)
        await casino.happens(casino.player(), SessionLogin)
        await engine.processes.beat()
        assert abs(engine.clock() - await database.now()) < timedelta(minutes=5)
        sweeper = Sweeper(database, engine.intake, engine.clock, processes=engine.processes)
        assert await sweeper.run_once() == 0
        assert await rows(database, runs) == []
        earlier = "UPDATE players SET next_moment = next_moment - interval '1 hour' WHERE brand = :brand"
        await execute(database, earlier, brand=BRAND)
        assert await sweeper.run_once() == 1


class TestReckoning:
    """The clock between two answers of the database."""

    TOLD = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def clock(self, now: list[float]) -> DatabaseClock:
        return DatabaseClock(an_hour_ahead, timer=lambda: now[0])

    def test_it_goes_on_by_itself_from_the_middle_of_the_answer(self) -> None:
        now = [100.0]
        clock = self.clock(now)
        clock.set(self.TOLD, 99.0, 101.0)
        now[0] = 107.0
        assert clock() == self.TOLD + timedelta(seconds=7)

    def test_an_answer_that_took_long_does_not_replace_one_that_was_quick_until_that_is_old(self) -> None:
        now = [100.0]
        clock = self.clock(now)
        clock.set(self.TOLD, 100.0, 100.01)
        clock.set(self.TOLD, 101.0, 111.0)
        now[0] = 100.005
        assert clock() == self.TOLD
        clock.set(self.TOLD, 200.0, 210.0)
        now[0] = 205.0
        assert clock() == self.TOLD
