"""Tells subscriptions what happened, each by a task of its own: a receiver that is slow or dead delays no other.

At least once, and of each player in order: an event is claimed only when the one before was taken. Between two attempts
nothing is held but a claim that ends by itself, so a process may die at any moment. Any number may run side by side.
"""

import asyncio
import logging
import random
import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

import httpx
from prometheus_client import Counter, Gauge, Histogram
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.clock import sleep_or_stop
from activities.database import Database
from activities.notifications import listen
from activities.outgoing import webhook_queue, webhook_subscriptions
from activities.outgoing.chat_messages import chat_message
from activities.outgoing.egress_guard import EgressGuard
from activities.outgoing.signing_secrets import SecretLost, SigningSecrets
from activities.outgoing.webhook_queue import AttemptRecord, ClaimedDelivery
from activities.outgoing.webhook_sender import ATTEMPT, SLOTS, Attempted, WebhookSender
from activities.outgoing.webhook_subscriptions import FAILURES, Subscription, note_failed

logger = logging.getLogger(__name__)

#: Seconds between two looks for something to tell when nobody wakes us, and between two readings of the gauges.
POLL_S: Final = 1.0
GAUGES_EVERY_S: Final = 15.0
#: Answers that come within so many seconds of each other are written together.
GATHER_S: Final = 0.005
#: Attempts at an event that its receiver refuses by itself, before it is left out and those behind it go on.
REFUSALS: Final = 5
#: For how long an event is tried whose receiver fails at it and takes others.
TRIED_FOR: Final = timedelta(days=3)
#: The pause after the first attempt, what it grows by, and the longest, in seconds.
FIRST_PAUSE, GROWTH, LONGEST_PAUSE = 5.0, 4.0, 6 * 3600.0

ATTEMPTS = Counter("journeys_webhook_attempts_total", "Attempts to tell a webhook, by what came of it.", ["outcome"])
DISABLED = Counter("journeys_webhooks_disabled_total", "Webhook subscriptions disabled by the engine.", ["reason"])
DELAY = Histogram(
    "journeys_webhook_delay_seconds",
    "From the commit of an outgoing event to its receiver's yes.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600, 3600, 86400),
)
WAITING = Gauge("journeys_webhook_events_waiting", "Events that subscriptions have yet to hear.")
OLDEST = Gauge("journeys_webhook_oldest_seconds", "How long ago the oldest of these happened.")
FAILING = Gauge("journeys_webhooks_failing", "Webhook subscriptions whose receiver has taken nothing for an hour.")


class WebhookDispatcher:
    """Looks for subscriptions with something to hear, and has each served by a task of its own."""

    def __init__(
        self,
        database: Database,
        secrets: SigningSecrets,
        *,
        networks: Sequence[str] = (),
        console: str = "",
        attempt: timedelta = ATTEMPT,
        poll: float = POLL_S,
    ) -> None:
        self.database = database
        self.secrets = secrets
        self.networks = networks
        #: Where people open what a channel of theirs is told of.
        self.console = console
        self.attempt = attempt
        self.poll = poll
        # Reading the certificates of the system takes longer than a request.
        self._tls: ssl.SSLContext | None = None
        self._serving: dict[str, asyncio.Task[None]] = {}
        self._gauges_at = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Tell until told to stop; what is under way then is finished."""
        wake = asyncio.Event()
        listener = asyncio.create_task(listen(self.database.url, webhook_queue.CHANNEL, wake))
        try:
            while not stop.is_set():
                wake.clear()
                try:
                    await self.look(stop)
                except (SQLAlchemyError, OSError) as away:
                    logger.warning("Postgres is away, webhooks wait: %s", away)
                    await sleep_or_stop(stop, POLL_S)
                with suppress(TimeoutError):
                    async with asyncio.timeout(self.poll):
                        await wake.wait()
        finally:
            listener.cancel()
            await asyncio.gather(listener, *self._serving.values(), return_exceptions=True)

    async def look(self, stop: asyncio.Event) -> None:
        """Begin to serve every subscription that has something to hear and is not being served."""
        async with self.database.reading() as connection:
            due = await webhook_subscriptions.due(connection)
            if time.monotonic() - self._gauges_at >= GAUGES_EVERY_S:
                await _read_gauges(connection)
                self._gauges_at = time.monotonic()
        self._serving = {one: task for one, task in self._serving.items() if not task.done()}
        for subscription_id in due:
            if subscription_id not in self._serving:
                self._serving[subscription_id] = asyncio.create_task(self._serve(subscription_id, stop))

    async def serve_once(self) -> None:
        """Tell what there is to tell now, and come back when it is told."""
        await self.look(asyncio.Event())
        await asyncio.gather(*self._serving.values())

    async def _serve(self, subscription_id: str, stop: asyncio.Event) -> None:
        if self._tls is None:
            self._tls = httpx.create_ssl_context(trust_env=False)
        sender = WebhookSender(EgressGuard(self.networks), self._tls, attempt=self.attempt)
        try:
            await self._tell(subscription_id, sender, stop)
        except (SQLAlchemyError, OSError) as away:
            logger.warning("Postgres is away, a webhook waits: %s", away)
        except Exception:
            logger.exception("Webhook %s cannot be served and is looked at again.", subscription_id)
        finally:
            await sender.close()

    async def _tell(self, subscription_id: str, sender: WebhookSender, stop: asyncio.Event) -> None:
        under_way: set[asyncio.Task[Attempted]] = set()
        attempted: list[Attempted] = []
        try:
            while True:
                free = 0 if stop.is_set() else SLOTS - len(under_way)
                async with self.database.transaction() as connection:
                    await self._record(connection, subscription_id, attempted)
                    subscription, claimed = await self._claim(connection, subscription_id, free, len(under_way))
                if subscription is not None:
                    under_way |= {self._begin(subscription, sender, one) for one in claimed}
                if not under_way:
                    return
                done, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                if under_way:
                    more, under_way = await asyncio.wait(under_way, timeout=GATHER_S)
                    done |= more
                attempted = [task.result() for task in done]
        finally:
            # What is cut off is told again when its claim has ended.
            for task in under_way:
                task.cancel()

    def _begin(
        self, subscription: Subscription, sender: WebhookSender, claimed: ClaimedDelivery
    ) -> "asyncio.Task[Attempted]":
        # The receiver judges an attempt by its own clock, which is the wall's.
        now = datetime.now(UTC)
        keys = self.secrets.signing(subscription.id, subscription.generations, now)
        shape = subscription.format
        chat = None if shape == "cloudevents" else chat_message(shape, claimed, self.console)
        return asyncio.create_task(sender.send(subscription.url, keys, claimed, now, chat=chat))

    async def _claim(
        self, connection: AsyncConnection, subscription_id: str, free: int, under_way: int
    ) -> tuple[Subscription | None, list[ClaimedDelivery]]:
        """What it is to hear next. While its receiver fails, one attempt at a time asks whether it is back."""
        subscription = await webhook_subscriptions.serving(connection, subscription_id)
        if subscription is None or not free:
            return None, []
        try:
            self.secrets.signing(subscription.id, subscription.generations, datetime.now(UTC))
        except SecretLost as lost:
            await note_failed(connection, subscription_id, FAILURES, str(lost))
            return None, []
        if subscription.is_failing:
            free = 0 if under_way else 1
        return subscription, await webhook_queue.claim(connection, subscription_id, free) if free else []

    async def _record(self, connection: AsyncConnection, subscription_id: str, attempted: Sequence[Attempted]) -> None:
        """Write what attempts came to, and what they say of the receiver."""
        if not attempted:
            return
        await webhook_queue.record(connection, subscription_id, [_record_of(one) for one in attempted])
        for one in attempted:
            ATTEMPTS.labels(one.verdict).inc()
            if one.verdict == "taken":
                DELAY.observe(max(one.delivery.age, 0.0))
        bad = [one for one in attempted if one.verdict != "taken"]
        if len(bad) < len(attempted) and await webhook_subscriptions.note_taken(connection, subscription_id):
            await webhook_queue.hasten(connection, subscription_id)
        if bad:
            disabled = await note_failed(
                connection,
                subscription_id,
                # One that takes others is there.
                sum(one.verdict == "failed" for one in bad) if len(bad) == len(attempted) else 0,
                bad[-1].error or "",
                pause=max(one.pause.total_seconds() for one in bad),
                gone=any(one.verdict == "gone" for one in bad),
            )
            if disabled is not None:
                DISABLED.labels(disabled).inc()
                logger.error("Webhook %s is disabled (%s): %s", subscription_id, disabled, bad[-1].error)


def _record_of(one: Attempted) -> AttemptRecord:
    """What is written of an attempt: whether the event was taken, is tried again, or is left out."""
    tries = one.delivery.attempts
    too_often = one.verdict == "refused" and tries >= REFUSALS
    too_long = tries >= REFUSALS and one.delivery.age > TRIED_FOR.total_seconds()
    pause = min(LONGEST_PAUSE, FIRST_PAUSE * GROWTH ** min(tries - 1, 20)) * random.uniform(0.8, 1.2)
    state: webhook_queue.DeliveryState = "pending"
    if one.verdict == "taken":
        state, pause = "delivered", 0.0
    elif too_often or too_long:
        state, pause = "failed", 0.0
    return AttemptRecord(one.delivery.seq, tries, state, one.status, one.error, pause)


async def _read_gauges(connection: AsyncConnection) -> None:
    row = (await connection.execute(_GAUGES)).one()
    WAITING.set(row.waiting)
    OLDEST.set(row.oldest)
    FAILING.set(row.failing)


_GAUGES: Final = text(
    """
    SELECT (SELECT count(*) FROM (SELECT FROM webhook_deliveries WHERE state = 'pending' LIMIT 100000) few) AS waiting,
           coalesce(extract(epoch FROM now() - (SELECT min(created_at) FROM (
               SELECT created_at FROM webhook_deliveries WHERE state = 'pending' LIMIT 100000) few)),
               0)::float8 AS oldest,
           (SELECT count(*) FROM webhook_subscriptions
            WHERE state = 'active' AND failing_since < now() - interval '1 hour') AS failing
    """
)
