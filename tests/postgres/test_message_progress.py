"""How far a message has come: the furthest that its provider told, in whatever order, and of no other player's."""

from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import permutations

import pytest

from activities import tables
from activities.database import Database
from tests.support.engine import BRAND, NOON, Casino, connected, execute, rows
from workflows.events import MessageStatus

SECOND = timedelta(seconds=1)


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    async with connected(postgres_url) as database:
        yield database


async def message(database: Database, player: str, *, status: str = "sent", channel: str = "email") -> str:
    """The id of a message to a player."""
    key = f"tested:{BRAND}:{player}:1/send:news#1/{channel}"
    await execute(
        database,
        "INSERT INTO messages (id, brand, player_id, run_id, step, journey, channel, template, message_class, status, "
        "reason, decision) VALUES (:id, :brand, :player, :id, 'send:news#1', 'tested', :channel, 'news', 'marketing', "
        ":status, :reason, '{}')",
        id=key,
        brand=BRAND,
        player=player,
        channel=channel,
        status=status,
        reason=None if status == "sent" else "outcome_unknown",
    )
    return key


async def known(database: Database, key: str) -> tuple[str, str | None]:
    (row,) = await rows(database, tables.messages, id=key)
    return row["status"], row["delivery"]


@pytest.mark.parametrize("together", [True, False])
async def test_in_any_order_the_furthest_counts(database: Database, *, together: bool) -> None:
    casino = Casino.of(database, {})
    for number, order in enumerate(permutations(("delivered", "opened", "clicked", "bounced"), 4)):
        player = casino.player(f"p{number}{together}")
        key = await message(database, player)
        told = [
            (player, casino.event(MessageStatus, message_id=key, channel="email", status=status)) for status in order
        ]
        for batch in [told] if together else [[one] for one in told]:
            await casino.intake.ingest(BRAND, batch, NOON)
        assert await known(database, key) == ("sent", "clicked")


async def test_the_first_time_of_the_furthest_is_kept_and_history_tells_it_too(database: Database) -> None:
    casino = Casino.of(database, {})
    player = casino.player()
    key = await message(database, player)
    for ago, mode in ((1, "live"), (3, "history"), (2, "live")):
        told = casino.event(
            MessageStatus, message_id=key, channel="email", status="opened", occurred_at=NOON - ago * SECOND
        )
        await casino.intake.ingest(BRAND, [(player, told)], NOON, mode=mode)  # type: ignore[arg-type]
    (row,) = await rows(database, tables.messages, id=key)
    assert row["delivery_at"] == NOON - 3 * SECOND


async def test_a_provider_that_names_the_step_alone_means_the_message_on_its_channel(database: Database) -> None:
    casino = Casino.of(database, {})
    player = casino.player()
    mail, text = await message(database, player), await message(database, player, channel="sms")
    step = mail.removesuffix("/email")
    await casino.happens(player, MessageStatus, message_id=step, channel="email", status="delivered")
    assert (await known(database, mail), await known(database, text)) == (("sent", "delivered"), ("sent", None))


async def test_nobody_tells_of_another_players_message(database: Database) -> None:
    casino = Casino.of(database, {})
    player, other = casino.player("mine"), casino.player("other")
    key = await message(database, player)
    assert await casino.happens(other, MessageStatus, message_id=key, channel="email", status="opened") == ["accepted"]
    assert await known(database, key) == ("sent", None)


async def test_what_nobody_could_say_is_known_when_it_arrived(database: Database) -> None:
    casino = Casino.of(database, {})
    player, bounced = casino.player("doubt"), casino.player("bounced")
    one, two = [await message(database, who, status="unknown") for who in (player, bounced)]
    await casino.happens(player, MessageStatus, message_id=one, channel="email", status="delivered")
    await casino.happens(bounced, MessageStatus, message_id=two, channel="email", status="bounced")
    assert await known(database, one) == ("sent", "delivered")
    assert await known(database, two) == ("unknown", "bounced")


async def test_each_thing_that_is_told_keeps_its_first_time(database: Database) -> None:
    casino = Casino.of(database, {})
    player = casino.player()
    key = await message(database, player)
    told = [("delivered", 5), ("opened", 4), ("opened", 2), ("clicked", 3), ("delivered", 1), ("bounced", 6)]
    for status, ago in told:
        at = NOON - ago * SECOND
        await casino.happens(
            player, MessageStatus, message_id=key, channel="email", status=status, occurred_at=at, event_id=f"m-{ago}"
        )
    (row,) = await rows(database, tables.messages, id=key)
    firsts = {name: row[f"{name}_at"] for name in ("arrived", "opened", "clicked", "bounced", "complained")}
    assert firsts == {
        "arrived": NOON - 5 * SECOND,
        "opened": NOON - 4 * SECOND,
        "clicked": NOON - 3 * SECOND,
        "bounced": NOON - 6 * SECOND,
        "complained": None,
    }


async def test_what_a_machine_opened_nobody_opened(database: Database) -> None:
    casino = Casino.of(database, {})
    player = casino.player()
    key = await message(database, player)
    for status in ("opened", "clicked"):
        await casino.happens(player, MessageStatus, message_id=key, channel="email", status=status, machine=True)
    (row,) = await rows(database, tables.messages, id=key)
    assert (row["opened_at"], row["clicked_at"], row["machine_opened_at"]) == (None, None, NOON)
    await casino.happens(player, MessageStatus, message_id=key, channel="email", status="opened")
    (row,) = await rows(database, tables.messages, id=key)
    assert row["opened_at"] == NOON
