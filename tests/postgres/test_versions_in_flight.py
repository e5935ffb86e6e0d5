"""Who is on which version of a journey, as the rows of the runs say it."""

import asyncio
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from activities.shadows import end_stopped_runs, start_shadow, stop_shadow
from activities.tables import deliveries, runs
from activities.versions_in_flight import versions_in_flight
from tests.support.engine import BRAND, effects, execute, rows
from tests.support.outside_packages import Write, journey_of
from tests.support.releases import journeys_command, release, reloaded
from workflows import DepositFailed
from workflows.source.journey_loading import load

OTHER = "failed_deposit"
RUN_OF_HELLO = """
    INSERT INTO runs (id, brand, player_id, journey, arm, state, entered_at, ends_at, version)
    VALUES (:id, :brand, 'p', 'hello', 'treated', 'active', '2026-03-01', '2026-03-10', 1)
"""
SHADOW_RUN = "shadow-1:hello:acme:p:1"
RUN_OF_SHADOW = """
    INSERT INTO shadow_runs (id, shadow_id, brand, player_id, beside, ends_at)
    VALUES (:id, :shadow, :brand, 'p', 'hello:acme:p:1', now() + interval '1 day')
"""


async def test_an_entry_is_stamped_with_the_version_of_that_day(postgres_url: str) -> None:
    version = load().journeys[OTHER].version
    assert version
    async with effects(postgres_url) as parts:
        player = parts.casino.player()
        await parts.casino.registers(player)
        await parts.casino.happens(player, *[DepositFailed] * 3, failure="technical")
        [run] = await rows(parts.database, runs, journey=OTHER)
        assert run["version"] == version
        [start] = await rows(parts.database, deliveries, run_id=run["id"], kind="start")
        assert start["payload"]["version"] == version
        async with parts.database.transaction() as connection:
            [flying] = await versions_in_flight(connection, [OTHER])
        assert (flying.version, flying.brand, flying.runs) == (version, BRAND, 1)
        assert (flying.oldest, flying.over_by) == (run["entered_at"], run["ends_at"])


async def test_a_version_goes_only_when_nobody_is_on_it(
    postgres_url: str, package: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = datetime.now(UTC).date()
    name = package(hello=journey_of("await player.sleep(days(1))"))
    release(name)
    module = tmp_path / name / "hello.py"
    module.write_text(module.read_text().replace("sleep(days(1))", "sleep(days(2))"))
    release(name)
    monkeypatch.setenv("DATABASE_URL", postgres_url)
    frozen = next((tmp_path / name / "releases" / "hello").glob("v1_*"))
    async with effects(postgres_url) as parts:
        await execute(parts.database, RUN_OF_HELLO, id="hello:acme:p:1", brand=BRAND)
        listed = await asyncio.to_thread(journeys_command, name, "versions", "hello")
        lines = [line.split() for line in listed.splitlines()[1:]]
        assert all(began <= date.fromisoformat(line.pop(2)) <= datetime.now(UTC).date() for line in lines)
        assert lines == [
            ["hello", "v2", "new", "runs", "0"],
            ["hello", "v1", "pin", "2026-03-01", "2026-03-10", "1"],
        ]
        taking_out = (name, "release", "hello", "--gone", "1")
        refused = await asyncio.to_thread(journeys_command, *taking_out, code=1)
        assert refused == "v1 of hello has 1 run in flight, the last until 2026-03-10; move or stop them first.\n"
        assert frozen.exists()
        await execute(parts.database, "UPDATE runs SET state = 'ended'")
        async with parts.database.transaction() as connection:
            asked = {"journey": "hello", "version": 1, "percent": 5}
            shadow = await start_shadow(connection, BRAND, asked, "olena", parts.casino.clock())
        assert shadow is not None
        shadowed = await asyncio.to_thread(journeys_command, *taking_out, code=1)
        assert shadowed.startswith(f"v1 of hello is shadowed in {BRAND}; stop that first")
        await execute(parts.database, RUN_OF_SHADOW, id=SHADOW_RUN, shadow=shadow.id, brand=BRAND)
        async with parts.database.transaction() as connection:
            await stop_shadow(connection, shadow, "olena", parts.casino.clock())
        assert await asyncio.to_thread(journeys_command, *taking_out, code=1) == shadowed, "a run is to be ended yet"
        async with parts.database.transaction() as connection:
            await end_stopped_runs(connection, BRAND, [SHADOW_RUN], parts.casino.clock())
        assert await asyncio.to_thread(journeys_command, *taking_out, code=1) == shadowed, "a run is to be told yet"
        await execute(parts.database, "DELETE FROM deliveries")
        assert "v1 of hello is gone" in await asyncio.to_thread(journeys_command, *taking_out)
    assert not frozen.exists()
    journey = reloaded(name).journeys["hello"]
    assert (journey.version, dict(journey.versions)) == (2, {})
    present = await asyncio.to_thread(journeys_command, name, "release", "hello", "--gone", "2", code=1)
    assert present.startswith("v2 of hello is its present code")
