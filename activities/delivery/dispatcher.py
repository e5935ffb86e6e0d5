"""Deliveries to Temporal: start, or one signal with everything a run has not heard yet.

At least once. A run drops what it heard before, which makes it exactly once. A run's deliveries
are taken together and in order: whoever holds the row lock on the oldest holds them all.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psycopg
from prometheus_client import Counter, Histogram
from pydantic import ValidationError
from sqlalchemy import Row, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Integer, Text
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from activities.database import Database
from activities.intake.intake import CHANNEL
from activities.loops.sweeper import wait
from activities.settings import RELEASE, TASK_QUEUE
from workflows.run_protocol import Delivery, DeliveryBatch, RunInput
from workflows.source.registry import Registry

logger = logging.getLogger(__name__)

CLAIM = 64
MOST_AT_ONCE, MOST_BYTES = 500, 1_000_000
RPC_LIMIT = timedelta(seconds=10)
POLL = 1.0
# The longest pause between two attempts, in seconds; what protects a player never waits long.
LONGEST_PAUSE, LONGEST_URGENT_PAUSE = 60, 1

DELIVERED = Counter("journeys_deliveries_total", "Deliveries handed to Temporal.", ["kind"])
DEAD = Counter("journeys_dead_letters_total", "Deliveries Temporal refused for good.")
DELAY = Histogram(
    "journeys_delivery_delay_seconds",
    "From the event's transaction to Temporal's acknowledgement.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600),
)


@dataclass(frozen=True)
class DeliveryRefused:
    """Temporal will never take this; a person must look."""

    reason: str


@dataclass(frozen=True)
class Later:
    """Temporal did not take this now."""

    reason: str


@dataclass(frozen=True)
class Over:
    """Temporal has no such run under way: it is over, which is fine, or lost, which is not."""


Outcome = DeliveryRefused | Later | Over | None


class Dispatcher:
    """Hands deliveries to Temporal. Any number may run side by side.

    `poll` is how many seconds a missed notification can cost.
    """

    def __init__(self, database: Database, client: Client, registry: Registry, *, poll: float = POLL) -> None:
        self.database = database
        self.client = client
        self.registry = registry
        self.poll = poll

    async def run_once(self) -> int:
        """Claim runs that have deliveries due and deliver; how many runs were served.

        The claim's transaction is held during the calls to Temporal, which are bound to ten
        seconds: if this process dies, Postgres frees the claim at once and nothing waits for a
        lease to expire.
        """
        async with self.database.transaction() as connection:
            by_run: dict[str, list[Row[Any]]] = {}
            for row in await connection.execute(_CLAIM):
                by_run.setdefault(row.run_id, []).append(row)
            if not by_run:
                return 0
            told = await asyncio.gather(*(self._deliver(run_id, rows) for run_id, rows in by_run.items()))
            outcomes = dict(zip(by_run, told, strict=True))
            over = [run_id for run_id, outcome in outcomes.items() if isinstance(outcome, Over)]
            outcomes |= await _lost(connection, over)
            return await self._settle(connection, by_run, outcomes)

    async def _settle(
        self, connection: AsyncConnection, by_run: dict[str, list[Row[Any]]], outcomes: dict[str, Outcome]
    ) -> int:
        """Write down what became of every delivery of these runs; how many runs are done with."""
        done: list[Row[Any]] = []
        later: dict[str, str] = {}
        for run_id, rows in by_run.items():
            match outcomes[run_id]:
                case Later(reason):
                    later[run_id] = reason
                    continue
                case DeliveryRefused(reason):
                    DEAD.inc(len(rows))
                    logger.error("Run %s: %s", run_id, reason)
                    await connection.execute(_BURY, {"run": run_id, "seqs": _seqs(rows), "reason": reason})
                case None:
                    for row in rows:
                        DELIVERED.labels(row.kind).inc()
                        DELAY.observe(max(row.age, 0.0))
            done += rows
        if done:
            await connection.execute(_DELETE, {"runs": [r.run_id for r in done], "seqs": _seqs(done)})
        if later:
            newest = [by_run[run_id][-1].seq for run_id in later]
            given = {"runs": [*later], "newest": newest, "errors": [*later.values()]}
            await connection.execute(_POSTPONE, given)
        return len(by_run) - len(later)

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until told to stop, woken by Postgres and at least once in `poll` seconds."""
        wake = asyncio.Event()
        listener = asyncio.create_task(self._listen(wake))
        stopping = asyncio.create_task(_then(stop, wake))
        try:
            while not stop.is_set():
                wake.clear()
                try:
                    served = await self.run_once()
                except (SQLAlchemyError, OSError) as away:
                    logger.warning("Postgres is away, dispatch tries again: %s", away)
                    served = 0
                    await wait(stop, POLL)
                except Exception:
                    logger.exception("A pass of dispatch failed and is tried again.")
                    served = 0
                    await wait(stop, POLL)
                if not served:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(self.poll):
                            await wake.wait()
        finally:
            listener.cancel()
            stopping.cancel()
            await asyncio.gather(listener, stopping, return_exceptions=True)

    async def _listen(self, wake: asyncio.Event) -> None:
        url = self.database.url.replace("postgresql+psycopg", "postgresql")
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(url, autocommit=True, connect_timeout=2) as connection:
                    await connection.execute(f"LISTEN {CHANNEL}")
                    wake.set()
                    async for _ in connection.notifies():
                        wake.set()
            except psycopg.Error:
                await asyncio.sleep(POLL)

    async def _deliver(self, run_id: str, rows: Sequence[Row[Any]]) -> Outcome:
        """Tell one run everything; whatever goes wrong, it is this run's trouble and no other's."""
        try:
            start = next((RunInput.model_validate(row.payload) for row in rows if row.kind == "start"), None)
            items = [Delivery(seq=row.seq, kind=row.kind, **row.payload) for row in rows if row.kind != "start"]
        except (ValidationError, TypeError):
            logger.exception("A delivery to run %s cannot be read.", run_id)
            told = "The delivery cannot be read by this release; deploy the one that wrote it and retry."
            return _unless_young(rows, DeliveryRefused(told))
        if start is not None and start.journey not in self.registry.journeys:
            told = f"No journey {start.journey} is deployed here; deploy it again and retry."
            return _unless_young(rows, DeliveryRefused(told))
        outcome = await self._call(run_id, start, items)
        if isinstance(outcome, DeliveryRefused) and start is None and any(item.kind == "stop" for item in items):
            return await self._cancel(run_id, outcome)
        return outcome

    async def _call(self, run_id: str, start: RunInput | None, items: list[Delivery]) -> Outcome:
        try:
            # The client repeats calls by itself for as long again, and the claim is held all the while.
            async with asyncio.timeout(RPC_LIMIT.total_seconds()):
                if start is None:
                    return await self._signal(run_id, items)
                return await self._start(run_id, start, items)
        except TimeoutError:
            return Later(f"Temporal did not answer within {RPC_LIMIT.total_seconds():.0f} seconds.")
        except RPCError as error:
            return _judge(error)
        except Exception as error:
            logger.exception("The call to Temporal for run %s failed in a way nobody foresaw.", run_id)
            return Later(f"{type(error).__name__}: {error}"[:500])

    async def _cancel(self, run_id: str, refused: DeliveryRefused) -> Outcome:
        """End a run that cannot be told to stop, as one that has had all the signals Temporal allows a run."""
        try:
            await self.client.get_workflow_handle(run_id).cancel(rpc_timeout=RPC_LIMIT)
        except RPCError as error:
            return Over() if error.status is RPCStatusCode.NOT_FOUND else _judge(error)
        logger.warning("Run %s was cancelled, because it could not be told to stop: %s", run_id, refused.reason)
        return None

    async def _start(self, run_id: str, given: RunInput, items: list[Delivery]) -> Outcome:
        together: dict[str, Any] = {}
        if items:
            together = {"start_signal": "deliver", "start_signal_args": [DeliveryBatch(items=items)]}
        else:
            together = {"id_conflict_policy": WorkflowIDConflictPolicy.USE_EXISTING}
        try:
            await self.client.start_workflow(
                given.journey,
                given,
                id=run_id,
                task_queue=TASK_QUEUE,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                static_summary=f"{given.journey} for {given.brand}/{given.player_id}",
                rpc_timeout=RPC_LIMIT,
                **together,
            )
        except WorkflowAlreadyStartedError:
            # An earlier attempt succeeded without our hearing of it, and the run is closed already.
            return Over()
        return None

    async def _signal(self, run_id: str, items: list[Delivery]) -> Outcome:
        handle = self.client.get_workflow_handle(run_id)
        try:
            await handle.signal("deliver", DeliveryBatch(items=items), rpc_timeout=RPC_LIMIT)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND and not _names_namespace(error):
                return Over()
            raise
        return None


async def _lost(connection: AsyncConnection, run_ids: list[str]) -> dict[str, Outcome]:
    """Which of these runs Temporal should know and does not; the others are over.

    Asked after Temporal has answered, because a run records its end here before it closes there.
    """
    if not run_ids:
        return {}
    active = set((await connection.execute(_ACTIVE, {"runs": run_ids})).scalars())
    lost = DeliveryRefused(
        "Temporal has no such run under way although it never recorded its end: it was terminated or its "
        "history is gone. Stop the run here, or restore Temporal and retry."
    )
    return {run_id: lost if run_id in active else None for run_id in run_ids}


def _unless_young(rows: Sequence[Row[Any]], refused: DeliveryRefused) -> Outcome:
    """Refuse for good only what is old enough: while a release rolls, another process may know what we do not."""
    return refused if max(row.age for row in rows) > RELEASE.total_seconds() else Later(refused.reason)


def _judge(error: RPCError) -> Outcome:
    """Which refusals are for good. Everything that may pass later is tried again."""
    if error.status in {RPCStatusCode.INVALID_ARGUMENT, RPCStatusCode.PERMISSION_DENIED}:
        return DeliveryRefused(f"Temporal refused it: {error.message}")
    return Later(f"{error.status.name}: {error.message}"[:500])


def _names_namespace(error: RPCError) -> bool:
    """Whether it is the namespace that was not found, as from a server that is still starting."""
    return any("NamespaceNotFound" in detail.type_url for detail in error.grpc_status.details)


def _seqs(rows: Sequence[Row[Any]]) -> list[int]:
    return [row.seq for row in rows]


async def _then(stop: asyncio.Event, wake: asyncio.Event) -> None:
    await stop.wait()
    wake.set()


# First whose runs, then what of it: of each run the oldest, no more than one signal can carry, because Temporal refuses
# two megabytes for good. A stop that protects takes everything before it along, however long that was to wait. Limits
# are spelled out and lists materialized, because what is known of a queue's size is soon wrong: planned by that, a pass
# has read the whole backlog.
_CLAIM = text(
    f"""
    WITH urgent AS MATERIALIZED (
        SELECT DISTINCT u.run_id FROM deliveries u WHERE u.priority = 0 AND u.due_at <= now()
    ), first AS MATERIALIZED (
        SELECT d.run_id FROM urgent
        JOIN deliveries d ON d.run_id = urgent.run_id
          AND d.seq = (SELECT min(e.seq) FROM deliveries e WHERE e.run_id = urgent.run_id)
        LIMIT {CLAIM}
        FOR UPDATE OF d SKIP LOCKED
    ), others AS MATERIALIZED (
        SELECT d.run_id FROM deliveries d
        WHERE d.due_at <= now()
          AND NOT EXISTS (SELECT FROM deliveries e WHERE e.run_id = d.run_id AND e.seq < d.seq)
        ORDER BY d.priority, d.due_at
        LIMIT {CLAIM}
        FOR UPDATE OF d SKIP LOCKED
    ), claimed AS MATERIALIZED (
        SELECT run_id FROM first UNION SELECT run_id FROM others
    )
    SELECT run_id, seq, kind, payload, extract(epoch FROM now() - created_at)::float8 AS age
    FROM claimed CROSS JOIN LATERAL (
        SELECT d.seq, d.kind, d.payload, d.created_at, row_number() OVER w AS place,
               sum(octet_length(d.payload::text)) OVER w AS bytes
        FROM deliveries d WHERE d.run_id = claimed.run_id WINDOW w AS (ORDER BY d.seq)
    ) theirs
    WHERE place = 1 OR (place <= {MOST_AT_ONCE} AND bytes <= {MOST_BYTES})
    ORDER BY run_id, seq
    """  # noqa: S608 - our own numbers
)
_DELETE = text(
    """
    DELETE FROM deliveries d USING unnest(:runs, :seqs) AS t (run_id, seq)
    WHERE d.run_id = t.run_id AND d.seq = t.seq
    """
).bindparams(bindparam("runs", type_=ARRAY(Text)), bindparam("seqs", type_=ARRAY(Integer)))
_BURY = text(
    """
    INSERT INTO dead_letters (run_id, seq, brand, kind, payload, reason)
    SELECT run_id, seq, brand, kind, payload, :reason FROM deliveries
    WHERE run_id = :run AND seq = ANY(:seqs)
    """
).bindparams(bindparam("seqs", type_=ARRAY(Integer)))
# Only what was tried: a stop that came meanwhile is due at once. The pause begins when the attempt has ended,
# which now(), the transaction's beginning, would not know.
_POSTPONE = text(
    """
    UPDATE deliveries d
    SET attempts = attempts + 1, last_error = t.error,
        due_at = clock_timestamp() + interval '1 second' * least(
            CASE d.priority WHEN 0 THEN :urgent_pause ELSE :pause END, 0.25 * power(2, least(attempts, 10)))
    FROM unnest(:runs, :newest, :errors) AS t (run_id, newest, error)
    WHERE d.run_id = t.run_id AND d.seq <= t.newest
    """
).bindparams(
    bindparam("runs", type_=ARRAY(Text)),
    bindparam("newest", type_=ARRAY(Integer)),
    bindparam("errors", type_=ARRAY(Text)),
    pause=LONGEST_PAUSE,
    urgent_pause=LONGEST_URGENT_PAUSE,
)
_ACTIVE = text("SELECT id FROM runs WHERE id = ANY(:runs) AND state = 'active'").bindparams(
    bindparam("runs", type_=ARRAY(Text))
)
