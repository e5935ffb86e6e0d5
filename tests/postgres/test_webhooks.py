"""Outgoing events: written with what they tell of, told in order and at least once, and no receiver delays another."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from activities.database import Database
from activities.outgoing import webhook_queue, webhook_subscriptions
from activities.outgoing.outbox import Outbox, announce
from activities.outgoing.signing_secrets import SigningSecrets
from activities.outgoing.webhook_dispatcher import WebhookDispatcher
from activities.outgoing.webhook_sender import SLOTS
from activities.tables import outgoing_events, webhook_deliveries
from activities.tables import webhook_subscriptions as subscriptions
from tests.support.engine import BRAND, NOON, SECRET, Effects, HeldTimer, Row, effects, execute, rows
from tests.support.machine import eventually, within
from tests.support.webhook_receiver import Told, receiving
from workflows import ExclusionSet
from workflows.effects import End, OpenTask, Webhook
from workflows.outgoing_events import OutgoingEvent
from workflows.player_facts import PlayerFacts

KEYS = SigningSecrets((SECRET,))
LOOPBACK = ("127.0.0.0/8",)
BROKEN_OFF = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"


@pytest.fixture(scope="module")
async def shared(module_postgres_url: str) -> AsyncIterator[Effects]:
    async with effects(module_postgres_url) as parts:
        yield parts


@pytest.fixture
async def parts(shared: Effects) -> AsyncIterator[Effects]:
    """The effects, to which nobody has subscribed yet."""
    await execute(shared.database, "UPDATE webhook_subscriptions SET state = 'deleted'")
    shared.database.outbox = Outbox()
    with shared.for_one_test():
        yield shared


@pytest.fixture
def dispatcher(parts: Effects) -> WebhookDispatcher:
    return WebhookDispatcher(parts.database, KEYS, networks=LOOPBACK, attempt=timedelta(seconds=20))


_made = 0


async def subscribe(database: Database, url: str, *types: str) -> str:
    """A subscription that every process knows of."""
    global _made  # noqa: PLW0603 - ids of one module
    _made += 1
    subscription_id = f"wh_{_made}"
    async with database.transaction() as connection:
        values = {"id": subscription_id, "brand": BRAND, "url": url, "types": [*types] or ["*"]}
        await webhook_subscriptions.create(connection, values, KEYS.first())
    database.outbox = Outbox()
    return subscription_id


def fact(player: str, number: int = 0, kind: str = "journey.said") -> OutgoingEvent:
    return OutgoingEvent(BRAND, player, kind, NOON, {"number": number})


async def happens(database: Database, *facts: OutgoingEvent) -> None:
    async with database.transaction() as connection:
        announce(connection, *facts)


async def fails_at_the_end(database: Database, *facts: OutgoingEvent) -> None:
    async with database.transaction() as connection:
        announce(connection, *facts)
        raise RuntimeError


async def subscription(database: Database, subscription_id: str) -> Row:
    (row,) = await rows(database, subscriptions, id=subscription_id)
    return row


async def deliveries(database: Database, subscription_id: str) -> list[Row]:
    return await rows(database, webhook_deliveries, subscription_id=subscription_id)


async def due_now(database: Database, subscription_id: str) -> None:
    """The pauses of a subscription are over."""
    await execute(
        database,
        "UPDATE webhook_deliveries SET due_at = now(), claimed_until = NULL WHERE subscription_id = :id",
        id=subscription_id,
    )
    await execute(database, "UPDATE webhook_subscriptions SET due_at = now() WHERE id = :id", id=subscription_id)


def numbers(told: list[Told]) -> list[int]:
    return [one.event["data"]["number"] for one in told]


# ---- with what they tell of -----------------------------------------------------------------------


async def test_what_nobody_subscribed_to_leaves_no_row(parts: Effects) -> None:
    await subscribe(parts.database, "https://x.example", "task.*")
    before = await rows(parts.database, outgoing_events)

    await happens(parts.database, fact("p"))

    assert await rows(parts.database, outgoing_events) == before


async def test_a_fact_that_was_not_committed_is_not_told(parts: Effects) -> None:
    mine = await subscribe(parts.database, "https://x.example")

    with pytest.raises(RuntimeError):
        await fails_at_the_end(parts.database, fact("p", 1))
    async with parts.database.transaction() as connection:
        announce(connection, fact("p", 2))
        undone = await connection.begin_nested()
        announce(connection, fact("p", 3))
        await undone.rollback()

    assert len(await deliveries(parts.database, mine)) == 1


async def test_what_effects_and_intake_do_is_told_with_ids_and_nothing_personal(
    parts: Effects, dispatcher: WebhookDispatcher
) -> None:
    async with receiving() as receiver:
        await subscribe(parts.database, receiver.url, "task.*", "run.ended", "player.protected")
        player = parts.casino.player()
        await parts.casino.registers(player)
        run = await parts.enters(player)
        given = parts.given(
            OpenTask,
            run,
            "ask:Call#1",
            form="Call",
            question="Call Olena?",
            form_schema={"type": "object"},
            team="vip",
            due_at=NOON + timedelta(hours=1),
            facts=PlayerFacts(player_id=player),
        )

        await parts.tasks.open(given)
        await parts.tasks.open(given)
        await parts.runs.end(parts.given(End, run, "end", outcome="completed"))
        parts.casino.intake.database.outbox = Outbox()
        await parts.casino.happens(player, ExclusionSet, reason="Olena asked for it")
        await dispatcher.serve_once()

        told = [one.type for one in receiver.told]
        assert told == ["task.opened", "task.cancelled", "run.ended", "player.protected"]
        assert {one.player for one in receiver.told} == {player}
        assert not any(b"Olena" in one.body for one in receiver.told)
        sequences = [one.event["sequence"] for one in receiver.told]
        assert sequences == sorted(sequences)
        assert receiver.told[0].event["data"]["task_id"] == given.task_id


async def test_a_new_subscription_hears_all_that_is_committed_after_its_acknowledgement(parts: Effects) -> None:
    # A process whose clock stands still goes by what it has read for as long as its transaction lasts.
    parts.database.outbox = behind = Outbox(timer=HeldTimer())
    async with parts.database.transaction() as late:
        assert not await behind.is_wanted(late, BRAND, "journey.said")
        mine = await subscribe(parts.database, "https://x.example")
        parts.database.outbox = behind
        settled = asyncio.create_task(webhook_subscriptions.settle(parts.database))
        done, _ = await asyncio.wait({settled}, timeout=2.0)
        assert not done, "it was acknowledged while somebody may still commit what it never hears"
        announce(late, fact("p", 1))
    async with within(60):
        await settled
    parts.database.outbox = Outbox()

    await happens(parts.database, fact("p", 2))

    (told,) = await deliveries(parts.database, mine)
    (event,) = await rows(parts.database, outgoing_events, seq=told["event_seq"])
    assert event["data"] == {"number": 2}


async def test_what_a_journey_says_is_told_once_however_often_it_is_tried(
    parts: Effects, dispatcher: WebhookDispatcher
) -> None:
    async with receiving() as receiver:
        await subscribe(parts.database, receiver.url, "journey.hello")
        player = parts.casino.player()
        await parts.casino.registers(player)
        run = await parts.enters(player)
        saying = parts.given(Webhook, run, "webhook:hello#1", name="hello", given={"tier": "gold"})

        for _ in range(2):
            await parts.webhooks.say(saying)
            await dispatcher.serve_once()

        (told,) = receiver.told
        assert told.event["data"] == {
            "journey": "tested",
            "run_id": run,
            "step": "webhook:hello#1",
            "given": {"tier": "gold"},
            "arm": "treated",
        }


# ---- how they are told ------------------------------------------------------------------------------


async def test_an_event_is_a_signed_cloudevent(parts: Effects, dispatcher: WebhookDispatcher) -> None:
    async with receiving() as receiver:
        mine = await subscribe(parts.database, receiver.url)

        await happens(parts.database, fact("p-1", 7))
        await dispatcher.serve_once()

        (told,) = receiver.told
        told.verify(KEYS.secret(mine, KEYS.first()[0]))
        assert told.headers["content-type"].startswith("application/cloudevents+json")
        assert told.event["id"] == told.id
        assert told.event["specversion"] == "1.0"
        assert told.event["source"] == f"/brands/{BRAND}"
        assert (told.type, told.player, told.event["data"]) == ("journey.said", "p-1", {"number": 7})
        (delivery,) = await deliveries(parts.database, mine)
        assert (delivery["state"], delivery["attempts"], delivery["last_status"]) == ("delivered", 1, 204)


async def test_a_player_is_told_of_in_order_and_others_meanwhile(parts: Effects, dispatcher: WebhookDispatcher) -> None:
    async with receiving() as receiver:
        await subscribe(parts.database, receiver.url)
        players = [f"p-{number}" for number in range(30)]

        await asyncio.gather(
            *(happens(parts.database, *(fact(player, number) for player in players)) for number in range(4))
        )
        await dispatcher.serve_once()

        sequences: dict[str, list[str]] = defaultdict(list)
        for one in receiver.told:
            sequences[one.player].append(one.event["sequence"])
        assert len(receiver.told) == 120
        assert all(of_player == sorted(of_player) and len(of_player) == 4 for of_player in sequences.values())


async def test_what_is_not_taken_comes_again_with_its_id_and_those_behind_it_wait(
    parts: Effects, dispatcher: WebhookDispatcher
) -> None:
    answers = iter([500, 204, 204, 204])
    async with receiving(lambda _: next(answers)) as receiver:
        mine = await subscribe(parts.database, receiver.url)
        await happens(parts.database, fact("p", 1), fact("p", 2))

        await dispatcher.serve_once()
        assert numbers(receiver.told) == [1]
        assert (await subscription(parts.database, mine))["failing_since"] is not None
        await due_now(parts.database, mine)
        await dispatcher.serve_once()

        assert numbers(receiver.told) == [1, 1, 2]
        assert receiver.told[0].id == receiver.told[1].id
        assert (await subscription(parts.database, mine))["failing_since"] is None


async def test_a_receiver_that_hangs_delays_nobody_else(parts: Effects) -> None:
    dispatcher = WebhookDispatcher(parts.database, KEYS, networks=LOOPBACK, attempt=timedelta(seconds=30), poll=0.05)
    stop = asyncio.Event()
    async with receiving(lambda _: None) as dead, receiving() as alive:
        await subscribe(parts.database, dead.url)
        await subscribe(parts.database, alive.url)
        running = asyncio.create_task(dispatcher.run(stop))
        for number in range(5):
            await happens(parts.database, *(fact(f"p-{number}-{player}", number) for player in range(20)))

        await eventually(lambda: len(alive.told) == 100)

        assert len(dead.told) <= SLOTS
        stop.set()
    async with within(60):
        await running


async def test_a_dead_receiver_is_asked_by_one_attempt_at_a_time(parts: Effects, dispatcher: WebhookDispatcher) -> None:
    alive = False
    async with receiving(lambda _: 204 if alive else 503) as receiver:
        mine = await subscribe(parts.database, receiver.url)
        await happens(parts.database, *(fact(f"p-{number}") for number in range(20)))

        await dispatcher.serve_once()
        asked = len(receiver.told)
        assert webhook_subscriptions.FAILURES <= asked <= 2 * SLOTS
        await dispatcher.serve_once()  # its pause is not over
        assert len(receiver.told) == asked
        await execute(parts.database, "UPDATE webhook_subscriptions SET due_at = now() WHERE id = :id", id=mine)
        await execute(
            parts.database, "UPDATE webhook_deliveries SET due_at = now() WHERE subscription_id = :id", id=mine
        )
        await dispatcher.serve_once()
        assert len(receiver.told) == asked + 1

        alive = True
        await due_now(parts.database, mine)
        await dispatcher.serve_once()
        assert {one["state"] for one in await deliveries(parts.database, mine)} == {"delivered"}


async def test_what_a_dead_process_had_claimed_is_told_by_others(parts: Effects, dispatcher: WebhookDispatcher) -> None:
    async with receiving() as receiver:
        mine = await subscribe(parts.database, receiver.url)
        await happens(parts.database, fact("p", 1), fact("p", 2))
        async with parts.database.transaction() as connection:
            (claimed,) = await webhook_queue.claim(connection, mine, SLOTS)

        await dispatcher.serve_once()
        assert receiver.told == []  # it may be on its way, and what is behind it waits
        await due_now(parts.database, mine)
        await dispatcher.serve_once()

        assert numbers(receiver.told) == [1, 2]
        assert receiver.told[0].id == claimed.id


async def test_an_event_that_is_refused_by_itself_is_left_out_and_told_again_when_asked(
    parts: Effects, dispatcher: WebhookDispatcher
) -> None:
    bad = True
    async with receiving(lambda told: 422 if bad and told.event["data"]["number"] == 1 else 204) as receiver:
        mine = await subscribe(parts.database, receiver.url)
        await happens(parts.database, fact("p", 1), fact("p", 2), fact("q", 3))

        for _ in range(5):
            await dispatcher.serve_once()
            await due_now(parts.database, mine)
        await dispatcher.serve_once()
        assert numbers(receiver.told) == [1, 3, 1, 1, 1, 1, 2]
        failed = [one for one in await deliveries(parts.database, mine) if one["state"] == "failed"]
        assert [one["last_status"] for one in failed] == [422]

        bad = False
        async with parts.database.transaction() as connection:
            since, until = NOON - timedelta(hours=1), NOON + timedelta(hours=1)
            assert await webhook_queue.tell_again(connection, mine, since=since, until=until, most=10) == 1
        await dispatcher.serve_once()
        assert numbers(receiver.told)[-1] == 1


@pytest.mark.parametrize(
    ("answer", "state", "reason"),
    [(410, "disabled", "gone"), (302, "active", None), (BROKEN_OFF, "active", None)],
)
async def test_who_is_gone_hears_no_more_and_who_redirects_or_breaks_off_has_not_heard(
    parts: Effects, dispatcher: WebhookDispatcher, answer: int | bytes, state: str, reason: str | None
) -> None:
    async with receiving(lambda _: answer) as receiver:
        mine = await subscribe(parts.database, receiver.url)
        await happens(parts.database, fact("p"))

        await dispatcher.serve_once()

        kept = await subscription(parts.database, mine)
        assert (kept["state"], kept["reason"], len(receiver.told)) == (state, reason, 1)
        assert [one["state"] for one in await deliveries(parts.database, mine)] == ["pending"]


async def test_three_days_without_a_yes_disable_a_subscription(parts: Effects, dispatcher: WebhookDispatcher) -> None:
    async with receiving(lambda _: 500) as receiver:
        mine = await subscribe(parts.database, receiver.url)
        await happens(parts.database, fact("p"))
        await dispatcher.serve_once()
        long_ago = "UPDATE webhook_subscriptions SET failing_since = now() - interval '73 hours' WHERE id = :id"
        await execute(parts.database, long_ago, id=mine)
        await due_now(parts.database, mine)

        await dispatcher.serve_once()

        kept = await subscription(parts.database, mine)
        assert (kept["state"], kept["reason"], kept["last_error"]) == ("disabled", "failing", "It answered 500.")


# ---- receivers that mean us ill ---------------------------------------------------------------------


async def test_an_answer_without_end_and_one_that_drips_hold_a_place_for_the_time_of_an_attempt(parts: Effects) -> None:
    dispatcher = WebhookDispatcher(parts.database, KEYS, networks=LOOPBACK, attempt=timedelta(seconds=1))
    endless = b"HTTP/1.1 200 OK\r\nContent-Length: 900000000\r\n\r\n" + b"x" * 4_000_000
    async with receiving(lambda _: endless) as huge, receiving(lambda _: None) as silent:
        taken = await subscribe(parts.database, huge.url)
        lost = await subscribe(parts.database, silent.url)
        await happens(parts.database, fact("p"))

        async def is_taken() -> bool:
            await due_now(parts.database, taken)
            async with within(60):
                await dispatcher.serve_once()
            return [one["state"] for one in await deliveries(parts.database, taken)] == ["delivered"]

        # Its head said yes, and no more than an answer can hold was read; again where we stood still for an attempt.
        await eventually(is_taken)
        (kept,) = await deliveries(parts.database, lost)
        assert (kept["state"], kept["last_error"]) == ("pending", "It did not answer within 1 s.")


async def test_an_address_of_this_house_is_not_called(parts: Effects) -> None:
    dispatcher = WebhookDispatcher(parts.database, KEYS)
    async with receiving() as receiver:
        mine = await subscribe(parts.database, receiver.url)
        await happens(parts.database, fact("p"))

        await dispatcher.serve_once()

        assert receiver.told == []
        assert "not public" in (await subscription(parts.database, mine))["last_error"]


async def test_while_a_secret_changes_both_sign(parts: Effects, dispatcher: WebhookDispatcher) -> None:
    async with receiving() as receiver:
        mine = await subscribe(parts.database, receiver.url)
        now = await parts.database.now()
        old, until = KEYS.first(), now + timedelta(hours=1)
        new = KEYS.rotated(old, now, until)
        async with parts.database.transaction() as connection:
            stored = [one.as_json() for one in new]
            await webhook_subscriptions.change(connection, mine, now, secrets=stored)

        await happens(parts.database, fact("p"))
        await dispatcher.serve_once()

        (told,) = receiver.told
        told.verify(KEYS.secret(mine, old[0]))
        told.verify(KEYS.secret(mine, new[0]))
        assert KEYS.signing(mine, new, until) == [KEYS.secret(mine, new[0])]
