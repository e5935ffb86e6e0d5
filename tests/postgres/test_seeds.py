"""The best tenth as a seed: ranked by revenue where all of it is told, of those alone who agreed and are free."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from temporalio.exceptions import ApplicationError

from activities.audiences import Audience, piece_of
from activities.database import Database
from activities.loops.seed_taking import SeedTaking
from activities.seeds import TOP_DECILE, Seed, list_seeds
from tests.support.engine import BRAND, Casino, HeldClock, connected, execute
from workflows import ConsentChanged, ExclusionSet
from workflows.events import HarmSignal
from workflows.gate.policy_book import of_deployment

NOW = datetime(2026, 6, 10, 6, 10, tzinfo=UTC)
POLICIES = of_deployment((), adults_only=True, licences={BRAND: "MT"})


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    async with connected(postgres_url) as database:
        yield database


@pytest.fixture
async def casino(database: Database) -> Casino:
    """A hundred players, of whom the number ten deposits and loses ten times as much as the first."""
    casino = Casino.of(database, {}, HeldClock(NOW))
    for number in range(100):
        await casino.registers(f"p{number:03}", opted_in=("ads", "profiling"))
    await counted_until(database, NOW)
    return casino


@pytest.fixture
def taking(database: Database, casino: Casino) -> SeedTaking:
    return SeedTaking(database, POLICIES, None, casino.clock)


async def counted_until(database: Database, moment: datetime) -> None:
    told = "INSERT INTO followers (name, as_of) VALUES ('events', :at) ON CONFLICT (name) DO UPDATE SET as_of = :at"
    await execute(database, told, at=moment)


async def deposited(database: Database, *, lost: str = "0", rounds: int = 0) -> None:
    """Who has a higher number deposited more; and lost what is said by `n`, the number."""
    await execute(
        database,
        "INSERT INTO player_days (brand, player_id, day, currency, known_on, deposits, deposited, staked, rounds) "
        f"SELECT :brand, 'p' || lpad(n::text, 3, '0'), '2026-06-01', 'EUR', '2026-06-01', 1, (n + 1) * 100, "
        f"{lost}, :rounds FROM generate_series(0, 99) n",
        brand=BRAND,
        rounds=rounds,
    )


async def inside(database: Database, now: datetime = NOW) -> list[str]:
    """Who is in the seed that is read."""
    known = {sha256(f"p{n:03}@synthetic.example".encode()).hexdigest(): f"p{n:03}" for n in range(100)}
    async with database.reading() as connection:
        piece = await piece_of(connection, POLICIES, Audience(BRAND, "seed", TOP_DECILE, "google"), None, now)
    return [known[email] for email, _ in piece.lines]


async def seed(database: Database) -> Seed:
    async with database.reading() as connection:
        (one,) = await list_seeds(connection, BRAND)
    return one


BEST = [f"p{number:03}" for number in range(90, 100)]


async def test_it_is_ranked_by_deposits_where_nobody_tells_what_was_lost(
    database: Database, taking: SeedTaking
) -> None:
    await deposited(database)
    assert await taking.look() == {BRAND: 10}
    assert await inside(database) == BEST
    told = await seed(database)
    assert (told.ranked_by, told.ranked, told.players, told.taken_on) == ("deposits", 100, 10, NOW.date())
    assert "no rounds or bets are told" in str(told.why)


async def test_it_is_ranked_by_revenue_where_every_part_is_there(database: Database, taking: SeedTaking) -> None:
    await deposited(database, lost="(100 - n) * 7", rounds=5)
    assert await taking.look() == {BRAND: 10}
    assert await inside(database) == [f"p{number:03}" for number in range(10)]
    assert ((await seed(database)).ranked_by, (await seed(database)).why) == ("ngr", None)


async def test_who_did_not_agree_to_be_profiled_is_not_ranked_and_who_is_not_free_is_left_out(
    database: Database, casino: Casino, taking: SeedTaking
) -> None:
    await deposited(database)
    await casino.registers("p100", opted_in=("ads",))
    for player in ("p099", "p098"):
        channel = "ads" if player == "p099" else "profiling"
        await casino.happens(player, ConsentChanged, channel=channel, product="all", opted_in=False)
    await casino.happens("p097", ExclusionSet, kind="self_exclusion", until=None)
    await casino.happens("p096", HarmSignal, kind="frustration", strength="weak")
    await execute(database, "DELETE FROM player_days WHERE player_id = 'p000'")
    await taking.look()
    # 98 are ranked: too few.
    assert await inside(database) == []
    assert (await seed(database)).ranked == 98
    for number in range(101, 110):
        await casino.registers(f"p{number}", opted_in=("ads", "profiling"))
    await execute(
        database,
        "INSERT INTO player_days (brand, player_id, day, currency, known_on, deposits, deposited) "
        "SELECT :brand, 'p' || n, '2026-06-02', 'EUR', '2026-06-02', 1, 10 FROM generate_series(100, 109) n",
        brand=BRAND,
    )
    await taking.look()
    assert await inside(database) == [f"p{number:03}" for number in range(89, 96)]


async def test_whoever_takes_back_what_they_agreed_to_is_out_of_it_at_once(
    database: Database, casino: Casino, taking: SeedTaking
) -> None:
    await deposited(database)
    await taking.look()
    await casino.happens("p099", ConsentChanged, channel="profiling", product="all", opted_in=False)
    await casino.happens("p098", ExclusionSet, kind="self_exclusion", until=None)
    assert await inside(database) == BEST[:8]


async def test_one_that_is_not_taken_any_more_is_empty(database: Database, taking: SeedTaking) -> None:
    await deposited(database)
    await taking.look()
    assert await inside(database, NOW + timedelta(days=3)) == BEST
    assert await inside(database, NOW + timedelta(days=4)) == []


async def test_it_waits_until_the_day_before_is_counted(database: Database, taking: SeedTaking) -> None:
    await counted_until(database, NOW - timedelta(days=1))
    with pytest.raises(ApplicationError, match="not all counted yet"):
        await taking.look()


async def test_what_became_known_today_belongs_to_the_seed_of_tomorrow(database: Database, taking: SeedTaking) -> None:
    await deposited(database)
    late = "INSERT INTO player_days (brand, player_id, day, currency, known_on, deposits, deposited) VALUES "
    await execute(database, f"{late} (:brand, 'p000', '2026-06-02', 'EUR', '2026-06-10', 1, 1000000)", brand=BRAND)
    await taking.look()
    assert await inside(database) == BEST
    taking.clock = HeldClock(NOW + timedelta(days=1))
    await counted_until(database, NOW + timedelta(days=1))
    await taking.look()
    assert await inside(database) == ["p000", *BEST[1:]]
