"""What is said of players, on a real Postgres: the profile in order, all accounts of one person protected."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from activities.database import Database
from activities.tables import deliveries, players
from tests.support.engine import BRAND, NOON, Casino, connected, declared, rows
from tests.support.machine import within
from workflows import (
    DepositApproved,
    ExclusionSet,
    MessageStatus,
    Player,
    PlayerMerged,
    ProfileUpdated,
    SessionLogin,
    always,
    days,
    journey,
    minutes,
    on,
)


@journey(on(DepositApproved), entry=always, ends_after=days(30))
async def thanks(player: Player, deposit: DepositApproved) -> None:
    """Somebody has to be stopped."""


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    async with connected(postgres_url) as database:
        yield database


@pytest.fixture
def casino(database: Database) -> Casino:
    return Casino.of(database, declared(thanks))


async def row(database: Database, player: str) -> dict[str, Any]:
    (found,) = await rows(database, players, id=player)
    return found


async def test_the_newest_word_on_each_field_of_the_profile_is_kept(casino: Casino, database: Database) -> None:
    player = casino.player("profile")
    await casino.registers(player, occurred_at=NOON - days(30), first_name="Alex")
    newest = {"email": "new@synthetic.example", "first_name": "Nova", "language": "uk"}
    await casino.happens(player, ProfileUpdated, occurred_at=NOON - minutes(5), changed=newest)
    late = {"email": "old@synthetic.example", "first_name": "Olda", "language": "ru"}
    for mode in ("live", "history"):
        await casino.happens(player, ProfileUpdated, mode=mode, occurred_at=NOON - days(20), changed=late)
    found = await row(database, player)
    assert {name: found["profile"][name] for name in ("email", "first_name")} == {
        "email": "new@synthetic.example",
        "first_name": "Nova",
    }
    assert found["state"]["facts"]["language"] == "uk"


async def test_what_was_erased_is_not_brought_back_by_history_or_by_a_registration_sent_again(
    casino: Casino, database: Database
) -> None:
    player = casino.player("erased")
    await casino.registers(player, occurred_at=NOON - days(30))
    gone = {"email": None, "first_name": None, "phone": None, "timezone": None}
    await casino.happens(player, ProfileUpdated, occurred_at=NOON - minutes(5), changed=gone)
    known = {"email": "gone@synthetic.example", "first_name": "Alex", "timezone": "Europe/Kyiv"}
    await casino.happens(player, ProfileUpdated, mode="history", occurred_at=NOON - days(20), changed=known)
    await casino.registers(player)
    found = await row(database, player)
    assert {name: found["profile"][name] for name in ("email", "first_name", "phone")} == dict.fromkeys(
        ("email", "first_name", "phone")
    )
    assert "timezone" not in found["state"]["facts"]


async def merged(casino: Casino, one: str, other: str) -> None:
    await casino.happens(one, PlayerMerged, survivor_id=one, absorbed_id=other)


async def stopped(database: Database, player: str) -> bool:
    stops = [found for found in await rows(database, deliveries, kind="stop") if f":{player}:" in found["run_id"]]
    return bool(stops) and all(found["priority"] == 0 for found in stops)


@pytest.mark.parametrize("excluded_first", [True, False])
async def test_an_exclusion_of_one_account_protects_the_other_and_stops_its_runs(
    casino: Casino, database: Database, *, excluded_first: bool
) -> None:
    one, other = casino.player("a"), casino.player("b")
    for player in (one, other):
        await casino.registers(player)
    await casino.happens(one, DepositApproved)
    if not excluded_first:
        await merged(casino, one, other)
    await casino.happens(other, ExclusionSet, kind="self_exclusion", until=None)
    if excluded_first:
        assert not await stopped(database, one)
        await merged(casino, one, other)
    for player in (one, other):
        (block,) = (await row(database, player))["state"]["exclusions"]
        assert block["kind"] == "self_exclusion"
    assert await stopped(database, one)


async def test_all_of_a_chain_of_accounts_are_one_person(casino: Casino, database: Database) -> None:
    names = [casino.player(name) for name in "dcba"]
    for player in names:
        await casino.registers(player)
    for one, other in pairwise(names):
        await merged(casino, one, other)
    await casino.happens(names[-1], MessageStatus, channel="email", status="complained")
    for player in names:
        state = (await row(database, player))["state"]
        assert state["consents"]["email"][0] is False
        assert sorted([*state["accounts"], player]) == sorted(names)


async def test_accounts_of_one_person_told_of_at_the_same_time_do_not_wait_for_each_other_for_ever(
    casino: Casino, database: Database
) -> None:
    one, other = casino.player("a"), casino.player("b")
    await merged(casino, one, other)

    async def excluded(player: str, number: int) -> None:
        until = NOON + timedelta(days=1 + number)
        batch = [(player, casino.event(kind, until=until)) for kind in (SessionLogin, ExclusionSet)]
        await casino.intake.ingest(BRAND, batch, NOON)

    async with within(30):
        await asyncio.gather(*(excluded(player, number) for number in range(8) for player in (one, other)))
    kept = [(await row(database, player))["state"]["exclusions"] for player in (one, other)]
    assert max(block["until"] for block in kept[0]) == max(block["until"] for block in kept[1])


async def test_an_account_that_nobody_heard_of_is_protected_from_its_first_event_on(
    casino: Casino, database: Database
) -> None:
    one, unknown = casino.player("a"), casino.player("unknown")
    await casino.happens(one, ExclusionSet, kind="self_exclusion", until=None)
    await merged(casino, one, unknown)
    await casino.registers(unknown)
    await casino.happens(unknown, DepositApproved)
    assert (await row(database, unknown))["state"]["exclusions"]
    assert not [found for found in await rows(database, deliveries) if f":{unknown}:" in found["run_id"]]


async def test_what_a_merged_account_does_counts_for_the_one_that_stayed(database: Database) -> None:
    casino = Casino.of(database, {})
    stays, gone, chained = casino.player("stays"), casino.player("gone"), casino.player("chained")
    for player in (stays, gone, chained):
        await casino.happens(player, DepositApproved)
    await casino.happens(gone, PlayerMerged, survivor_id=gone, absorbed_id=chained)
    for told_of in (gone, stays):
        await casino.happens(told_of, PlayerMerged, survivor_id=stays, absorbed_id=gone)
    other_process = Casino.of(database, {})
    other_process.mark, other_process.events = casino.mark, 100
    for player in (gone, chained):
        assert await other_process.happens(player, DepositApproved) == ["accepted"]
    found = {row["id"]: row["state"] for row in await rows(database, players)}
    assert found[stays]["counts"][DepositApproved.type] == 5
    assert [found[one]["merged_into"] for one in (gone, chained)] == [stays, stays]
    assert DepositApproved.type not in found[gone].get("counts", {})
