"""A device is one player's: who registers it has it, and who had it before gets nothing there any more."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from activities.database import Database
from activities.erasures import ErasureRequest, request_erasure
from activities.tables import device_owners, events, players
from tests.support.engine import BRAND, Casino, HeldClock, connected, rows
from workflows import DeviceRegistered, DeviceRemoved, hours
from workflows.player_state.devices import devices_of

TABLET = "the-tablet-at-home"


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    async with connected(postgres_url) as database:
        yield database


@pytest.fixture
def casino(database: Database) -> Casino:
    return Casino.of(database, {}, HeldClock(datetime.now(UTC)))


async def devices(database: Database) -> dict[str, list[str]]:
    """Who has which devices; who has none is left out."""
    found = {row["id"].partition("-")[0]: devices_of(row["profile"]) for row in await rows(database, players)}
    return {name: tokens for name, tokens in found.items() if tokens}


async def test_a_device_that_another_player_registers_is_theirs_alone(database: Database, casino: Casino) -> None:
    anna, oleh = casino.player("anna"), casino.player("oleh")
    await casino.happens(anna, DeviceRegistered, token=TABLET)
    await casino.happens(anna, DeviceRegistered, token="annas-phone")
    casino.clock.later(hours(1))
    await casino.happens(oleh, DeviceRegistered, token=TABLET)
    assert await devices(database) == {"anna": ["annas-phone"], "oleh": [TABLET]}
    (told,) = await rows(database, events, player_id=anna, type="player.device_removed")
    assert (told["source"], told["data"]["reason"]) == ("engine:devices", "moved")


async def test_it_comes_back_with_the_player_who_registers_it_again(database: Database, casino: Casino) -> None:
    for name in ("anna", "oleh", "anna", "anna"):
        await casino.happens(casino.player(name), DeviceRegistered, token=TABLET)
        casino.clock.later(hours(1))
    assert await devices(database) == {"anna": [TABLET]}


@pytest.mark.parametrize("mode", ["live", "history"])
async def test_a_registration_that_comes_late_takes_nothing_back(database: Database, casino: Casino, mode: str) -> None:
    earlier = casino.event(DeviceRegistered, token=TABLET)
    casino.clock.later(hours(1))
    await casino.happens(casino.player("oleh"), DeviceRegistered, token=TABLET)
    late = [(casino.player("anna"), earlier)]
    await casino.intake.ingest(BRAND, late, casino.clock.now, mode="history" if mode == "history" else "live")
    assert await devices(database) == {"oleh": [TABLET]}


async def test_of_a_batch_the_later_registration_counts(database: Database, casino: Casino) -> None:
    first = casino.event(DeviceRegistered, token=TABLET)
    casino.clock.later(timedelta(seconds=1))
    second = casino.event(DeviceRegistered, token=TABLET)
    told = [(casino.player("oleh"), second), (casino.player("anna"), first)]
    await casino.intake.ingest(BRAND, told, casino.clock.now)
    assert await devices(database) == {"oleh": [TABLET]}


async def test_who_registers_it_at_the_same_time_does_not_share_it(database: Database, casino: Casino) -> None:
    names = [f"player{number}" for number in range(8)]
    async with asyncio.TaskGroup() as all_of_them:
        for name in names:
            casino.clock.later(timedelta(milliseconds=1))
            told = [(casino.player(name), casino.event(DeviceRegistered, token=TABLET))]
            all_of_them.create_task(casino.intake.ingest(BRAND, told, casino.clock.now + hours(1)))
    assert await devices(database) == {names[-1]: [TABLET]}
    (owner,) = await rows(database, device_owners)
    assert owner["player_id"] == casino.player(names[-1])


async def test_who_logged_out_is_told_nothing_when_the_next_comes(database: Database, casino: Casino) -> None:
    await casino.happens(casino.player("anna"), DeviceRegistered, token=TABLET)
    casino.clock.later(hours(1))
    await casino.happens(casino.player("anna"), DeviceRemoved, token=TABLET)
    assert await rows(database, device_owners) == []
    await casino.happens(casino.player("oleh"), DeviceRegistered, token=TABLET)
    assert await devices(database) == {"oleh": [TABLET]}
    assert len(await rows(database, events, type="player.device_removed")) == 1


async def test_of_a_player_who_is_erased_no_token_is_written_again(database: Database, casino: Casino) -> None:
    anna = casino.player("anna")
    await casino.happens(anna, DeviceRegistered, token=TABLET)
    async with database.transaction() as connection:
        asked = ErasureRequest(BRAND, anna, "objection", "T-1", "olena")
        await request_erasure(connection, casino.intake, asked, casino.clock.now)
    casino.clock.later(hours(1))
    await casino.happens(casino.player("oleh"), DeviceRegistered, token=TABLET)
    assert await devices(database) == {"oleh": [TABLET]}
    assert await rows(database, events, player_id=anna, type="player.device_removed") == []
