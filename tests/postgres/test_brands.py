"""A brand is a boundary: what one has waiting holds no other back."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from activities.database import Database
from activities.intake.admission import AdmissionQueue
from activities.intake.backpressure import READ_EVERY, Pressure, fair_share
from activities.rolling_release import RELEASE
from activities.run_delivery.deliveries import CLAIM, MOST_AT_ONCE, claim
from activities.settings import Settings
from tests.support.engine import HeldTimer, connected, execute

KNOWN = frozenset({"known"})


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    async with connected(postgres_url) as database:
        yield database


async def waits(database: Database, brand: str, count: int, *, journey: str = "known", age: int = 0) -> None:
    """So many runs of a brand are to begin, since so many seconds."""
    await execute(
        database,
        "INSERT INTO deliveries (run_id, seq, brand, kind, payload, created_at, due_at) "
        "SELECT :brand || '-' || :journey || n, 0, :brand, 'start', json_build_object('journey', :journey), "
        "now() - interval '1 second' * :age, now() - interval '1 second' * :age FROM generate_series(1, :count) n",
        brand=brand,
        journey=journey,
        count=count,
        age=age,
    )


async def claimed(database: Database) -> Counter[str]:
    """How many runs of each brand a pass takes."""
    async with database.transaction() as connection:
        return Counter(run_id.partition("-")[0] for run_id in (await claim(connection, KNOWN)).by_run)


class TestDispatch:
    async def test_a_brand_alone_has_the_whole_pass(self, database: Database) -> None:
        await waits(database, "acme", 200)
        assert await claimed(database) == {"acme": CLAIM}

    async def test_a_brand_with_a_thousand_older_deliveries_leaves_another_its_turn(self, database: Database) -> None:
        await waits(database, "acme", 1_000, age=60)
        await waits(database, "luna", 3)
        assert await claimed(database) == {"acme": CLAIM // 2, "luna": 3}

    async def test_of_many_brands_each_has_a_share_of_a_pass(self, database: Database) -> None:
        brands = {f"brand{number:02}" for number in range(20)}
        for brand in brands:
            await waits(database, brand, 5)
        assert await claimed(database) == dict.fromkeys(brands, CLAIM // 20)

    async def test_a_small_pass_is_shared_as_a_large_one_whatever_the_runs_are_called(self, database: Database) -> None:
        await waits(database, "acme", 1_000, age=60)
        await waits(database, "luna", 30)
        async with database.transaction() as connection:
            taken, _ = await claim(connection, KNOWN, 8)
        assert Counter(run_id.partition("-")[0] for run_id in taken) == {"acme": 4, "luna": 4}

    @pytest.mark.parametrize(("most", "urgent"), [(8, 7), (4, 3), (1, 1)])
    async def test_stops_that_protect_leave_another_its_turn_in_a_small_pass_too(
        self, database: Database, most: int, urgent: int
    ) -> None:
        await waits(database, "acme", 1_000)
        await waits(database, "luna", 30)
        await execute(database, "UPDATE deliveries SET priority = 0 WHERE brand = 'luna'")
        async with database.transaction() as connection:
            taken, _ = await claim(connection, KNOWN, most)
        assert Counter(run_id.partition("-")[0] for run_id in taken)["luna"] == urgent
        assert len(taken) == most

    @pytest.mark.parametrize(
        ("acme", "luna", "later", "most", "all_due"),
        [
            (0, 0, 0, 72, True),
            (1, 0, 0, 72, True),
            (CLAIM - 1, 0, 0, 72, True),
            (CLAIM, 0, 0, 72, False),
            (30, 30, 0, 72, False),
            (3, 2, 5, 72, True),
            (5, 0, 0, 4, False),
        ],
    )
    async def test_a_pass_knows_whether_it_took_all_that_was_due(
        self, database: Database, acme: int, luna: int, later: int, most: int, *, all_due: bool
    ) -> None:
        await waits(database, "acme", acme)
        await waits(database, "luna", luna)
        await waits(database, "acme", later, journey="later", age=-60)
        async with database.transaction() as connection:
            taken, took_all = await claim(connection, [*KNOWN, "later"], most)
        assert took_all is all_due
        assert took_all is False or len(taken) == acme + luna

    @pytest.mark.parametrize(("stops", "others", "all_due"), [(1, 1_000, False), (40, 100, False), (3, 2, True)])
    async def test_a_stop_that_protects_hides_nothing_that_a_pass_left_behind(
        self, database: Database, stops: int, others: int, *, all_due: bool
    ) -> None:
        await waits(database, "acme", stops, journey="stopped")
        await execute(database, "UPDATE deliveries SET priority = 0")
        await waits(database, "acme", others, age=1)
        async with database.transaction() as connection:
            taken, took_all = await claim(connection, [*KNOWN, "stopped"])
        assert took_all is all_due is (len(taken) == stops + others)

    async def test_a_run_of_which_a_signal_holds_only_part_is_not_taken_whole(self, database: Database) -> None:
        for seqs, all_due in ((range(MOST_AT_ONCE), True), (range(MOST_AT_ONCE, MOST_AT_ONCE + 1), False)):
            await execute(
                database,
                "INSERT INTO deliveries (run_id, seq, brand, kind, payload) "
                "SELECT 'run', n, 'acme', 'event', '{}' FROM generate_series(CAST(:first AS int), :last) n",
                first=seqs[0],
                last=seqs[-1],
            )
            async with database.transaction() as connection:
                assert (await claim(connection, KNOWN)).all_due is all_due

    async def test_a_start_of_an_unknown_journey_is_left_to_who_knows_it_until_nobody_can(
        self, database: Database
    ) -> None:
        await waits(database, "acme", 1, journey="untold", age=int((RELEASE - timedelta(minutes=1)).total_seconds()))
        await waits(database, "acme", 1)
        assert await claimed(database) == {"acme": 1}
        await execute(database, "UPDATE deliveries SET created_at = created_at - interval '1 minute'")
        assert await claimed(database) == {"acme": 2}


class TestBackPressure:
    @pytest.fixture
    def timer(self) -> HeldTimer:
        return HeldTimer()

    def pressure(self, database: Database, timer: HeldTimer, weights: Mapping[str, float] | None = None) -> Pressure:
        settings = Settings(
            database_url=database.url, backlog_high=100, backlog_low=50, brand_weights=dict(weights or {})
        )
        return Pressure(database, settings, timer=timer)

    async def test_the_brand_that_floods_must_wait_and_the_others_need_not(
        self, database: Database, timer: HeldTimer
    ) -> None:
        pressure = self.pressure(database, timer)
        await waits(database, "acme", 150)
        await waits(database, "luna", 20)
        assert await pressure.is_high()
        assert [await pressure.is_high(brand) for brand in ("acme", "luna", "nova")] == [True, False, False]
        told = {
            b: REGISTRY.get_sample_value("journeys_delivery_backlog_of_brand", {"brand": b}) for b in ("acme", "luna")
        }
        assert told == {"acme": 150, "luna": 20}

    async def test_it_waits_until_it_is_below_its_share_of_the_lower_mark(
        self, database: Database, timer: HeldTimer
    ) -> None:
        pressure = self.pressure(database, timer)
        await waits(database, "luna", 20)
        await waits(database, "acme", 150)
        seen = []
        for left in (150, 70, 31, 29):
            await execute(
                database,
                "DELETE FROM deliveries WHERE brand = 'acme' AND run_id NOT IN "
                "(SELECT run_id FROM deliveries WHERE brand = 'acme' LIMIT :left)",
                left=left,
            )
            timer.now += READ_EVERY
            seen.append(await pressure.is_high("acme"))
        assert seen == [True, True, True, False]

    async def test_a_heavier_brand_may_have_more_waiting(self, database: Database, timer: HeldTimer) -> None:
        await waits(database, "acme", 70)
        await waits(database, "luna", 70)
        fair, weighted = self.pressure(database, timer), self.pressure(database, timer, {"acme": 3})
        assert [await fair.is_high(brand) for brand in ("acme", "luna")] == [True, True]
        assert [await weighted.is_high(brand) for brand in ("acme", "luna")] == [False, True]


BACKLOGS = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 1_000))
WEIGHTS = st.dictionaries(st.sampled_from("abcdefgh"), st.floats(0.1, 10))


@given(BACKLOGS, st.integers(1, 3_000), WEIGHTS)
def test_a_share_fills_the_room_and_wastes_none_of_it(
    waiting: dict[str, int], room: int, weights: dict[str, float]
) -> None:
    share = fair_share(waiting, room, weights)
    allowed = {brand: min(count, share * weights.get(brand, 1)) for brand, count in waiting.items()}
    if sum(waiting.values()) < room:
        assert allowed == waiting
    else:
        assert sum(allowed.values()) == pytest.approx(room)
        assert any(count >= 0.999 * share * weights.get(brand, 1) for brand, count in waiting.items())


async def test_batches_of_a_brand_wait_behind_one_of_another_and_not_behind_all() -> None:
    queue, order = AdmissionQueue(1), list[str]()
    first = asyncio.Event()

    async def comes(brand: str) -> None:
        async with queue.admitted(1, None, brand):
            order.append(brand)
            if len(order) == 1:
                await first.wait()

    async with asyncio.TaskGroup() as group:
        for brand in ["acme"] * 5 + ["luna"] * 2 + ["nova"]:
            group.create_task(comes(brand))
            await asyncio.sleep(0)
        first.set()
    assert order == ["acme", "acme", "luna", "nova", "acme", "luna", "acme", "acme"]
