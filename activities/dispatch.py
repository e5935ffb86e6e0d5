"""Deliveries to Temporal: start, or one signal with everything a run has not heard yet.

At least once. A run drops what it heard before, which makes it exactly once. A run's deliveries
are taken together and in order: whoever holds the row lock on the oldest holds them all.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psycopg
from prometheus_client import Counter, Histogram
from sqlalchemy import Row, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.types import Integer, Text
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from activities.database import Database
from activities.intake import CHANNEL
from activities.settings import TASK_QUEUE
from workflows.effects import Batch, Item, RunInput
from workflows.registry import Registry

logger = logging.getLogger(__name__)

CLAIM = 64
RPC_LIMIT = timedelta(seconds=10)
POLL = 1.0
# Above this many attempts a delivery is looked at by people; it goes on being tried.
BACKOFF_CEILING = 60

DELIVERED = Counter("journeys_deliveries_total", "Deliveries handed to Temporal.", ["kind"])
DEAD = Counter("journeys_dead_letters_total", "Deliveries Temporal refused for good.")
DELAY = Histogram(
    "journeys_delivery_delay_seconds",
    "From the event's transaction to Temporal's acknowledgement.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600),
)


@dataclass(frozen=True)
class Refused:
    """Temporal will never take this; a person must look."""

    reason: str


@dataclass(frozen=True)
class Later:
    """Temporal did not take this now."""

    reason: str


Outcome = Refused | Later | None


class Dispatcher:
    """Hands deliveries to Temporal. Any number may run side by side."""

    def __init__(self, database: Database, client: Client, registry: Registry) -> None:
        self.database = database
        self.client = client
        self.registry = registry

    async def run_once(self) -> int:
        """Claim runs that have deliveries due and deliver; how many runs were served.

        The claim's transaction is held during the calls to Temporal, which bound themselves to
        ten seconds: if this process dies, Postgres frees the claim at once and nothing waits for
        a lease to expire.
        """
        async with self.database.transaction() as connection:
            claimed = (await connection.execute(_CLAIM, {"limit": CLAIM})).scalars().all()
            if not claimed:
                return 0
            rows = (await connection.execute(_READ, {"runs": list(claimed)})).all()
            by_run: dict[str, list[Row[Any]]] = {}
            for row in rows:
                by_run.setdefault(row.run_id, []).append(row)
            outcomes = await asyncio.gather(*(self._deliver(run_id, found) for run_id, found in by_run.items()))
            done: list[Row[Any]] = []
            later: dict[str, str] = {}
            for (run_id, found), outcome in zip(by_run.items(), outcomes, strict=True):
                match outcome:
                    case None:
                        done += found
                    case Refused(reason):
                        done += found
                        DEAD.inc(len(found))
                        await connection.execute(_BURY, {"run": run_id, "seqs": _seqs(found), "reason": reason})
                    case Later(reason):
                        later[run_id] = reason
            if done:
                await connection.execute(_DELETE, {"runs": [r.run_id for r in done], "seqs": _seqs(done)})
            if later:
                await connection.execute(_POSTPONE, {"runs": list(later), "errors": list(later.values())})
        return len(by_run) - len(later)

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until told to stop, woken by Postgres and at least once a second."""
        wake = asyncio.Event()
        listener = asyncio.create_task(self._listen(wake))
        try:
            while not stop.is_set():
                wake.clear()
                try:
                    served = await self.run_once()
                except (SQLAlchemyError, OSError) as away:
                    logger.warning("Postgres is away, dispatch tries again: %s", away)
                    served = 0
                    await _either(stop.wait(), timeout=POLL)
                if not served:
                    await _either(wake.wait(), stop.wait(), timeout=POLL)
        finally:
            listener.cancel()
            await asyncio.gather(listener, return_exceptions=True)

    async def _listen(self, wake: asyncio.Event) -> None:
        url = self.database.url.replace("postgresql+psycopg", "postgresql")
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
                    await connection.execute(f"LISTEN {CHANNEL}")
                    wake.set()
                    async for _ in connection.notifies():
                        wake.set()
            except psycopg.Error:
                await asyncio.sleep(POLL)

    async def _deliver(self, run_id: str, rows: Sequence[Row[Any]]) -> Outcome:
        start = next((row for row in rows if row.kind == "start"), None)
        items = [Item(seq=row.seq, kind=row.kind, **row.payload) for row in rows if row.kind != "start"]
        try:
            if start is not None:
                outcome = await self._start(run_id, RunInput.model_validate(start.payload), items)
            else:
                outcome = await self._signal(run_id, items)
        except RPCError as error:
            return _judge(error)
        if outcome is None:
            for row in rows:
                DELIVERED.labels(row.kind).inc()
                DELAY.observe(max(row.age, 0.0))
        return outcome

    async def _start(self, run_id: str, given: RunInput, items: list[Item]) -> Outcome:
        journey = self.registry.journeys.get(given.journey)
        if journey is None:
            return Refused(f"No journey {given.journey} is deployed here; deploy it again and retry.")
        together: dict[str, Any] = {}
        if items:
            together = {"start_signal": "deliver", "start_signal_args": [Batch(items=items)]}
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
            # An earlier attempt succeeded without our hearing of it, and the run is over already.
            return None
        return None

    async def _signal(self, run_id: str, items: list[Item]) -> Outcome:
        handle = self.client.get_workflow_handle(run_id)
        try:
            await handle.signal("deliver", Batch(items=items), rpc_timeout=RPC_LIMIT)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return await self._missing(run_id)
        return None

    async def _missing(self, run_id: str) -> Outcome:
        """A run that Temporal no longer knows: over, which is fine, or lost, which is not."""
        async with self.database.reading() as connection:
            state = (await connection.execute(_RUN_STATE, {"run": run_id})).scalar_one_or_none()
        if state == "active":
            return Refused(
                "Temporal knows no such run although it never recorded its end: it was terminated or its "
                "history is gone. Stop the run here, or restore Temporal and retry."
            )
        return None


def _judge(error: RPCError) -> Outcome:
    """Which refusals are for good. Everything that may pass later is tried again."""
    if error.status in {RPCStatusCode.INVALID_ARGUMENT, RPCStatusCode.PERMISSION_DENIED}:
        return Refused(f"Temporal refused it: {error.message}")
    return Later(f"{error.status.name}: {error.message}"[:500])


def _seqs(rows: Sequence[Row[Any]]) -> list[int]:
    return [row.seq for row in rows]


async def _either(*waits: Any, timeout: float) -> None:  # noqa: ASYNC109 - any awaitable
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    await asyncio.wait(tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


_CLAIM = text(
    """
    SELECT d.run_id FROM deliveries d
    WHERE d.due_at <= now()
      AND NOT EXISTS (SELECT FROM deliveries e WHERE e.run_id = d.run_id AND e.seq < d.seq)
    ORDER BY d.priority, d.due_at
    LIMIT :limit
    FOR UPDATE OF d SKIP LOCKED
    """
)
_READ = text(
    """
    SELECT run_id, seq, kind, payload, extract(epoch FROM now() - created_at)::float8 AS age
    FROM deliveries WHERE run_id = ANY(:runs) ORDER BY run_id, seq
    """
).bindparams(bindparam("runs", type_=ARRAY(Text)))
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
_POSTPONE = text(
    f"""
    UPDATE deliveries d
    SET attempts = attempts + 1, last_error = t.error,
        due_at = now() + least({BACKOFF_CEILING}, 0.25 * power(2, least(attempts, 10))) * interval '1 second'
    FROM unnest(:runs, :errors) AS t (run_id, error) WHERE d.run_id = t.run_id
    """
).bindparams(bindparam("runs", type_=ARRAY(Text)), bindparam("errors", type_=ARRAY(Text)))
_RUN_STATE = text("SELECT state FROM runs WHERE id = :run")
