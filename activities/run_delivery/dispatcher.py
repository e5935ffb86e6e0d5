"""Hands deliveries to Temporal: a start, or one signal with everything a run has not heard yet.

At least once. A run drops what it heard before, which makes it exactly once. A run's deliveries
are claimed together and in order: whoever holds the row lock on the oldest holds them all.
"""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from types import MappingProxyType

from prometheus_client import Counter, Histogram
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection
from structlog.contextvars import bind_contextvars, bound_contextvars
from temporalio.client import Client
from temporalio.common import Priority, WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from activities import tracing
from activities.clock import sleep_or_stop
from activities.database import Database
from activities.notifications import listen
from activities.processes import Processes
from activities.rolling_release import may_be_known_elsewhere
from activities.run_delivery.dead_letters import bury
from activities.run_delivery.deliveries import BULK, CHANNEL, DueDelivery, claim, postpone, remove
from activities.run_delivery.delivery_breaker import DeliveryBrake, DeliveryBreaker
from activities.run_delivery.search_attributes import RunAttributes
from activities.run_delivery.temporal_answers import (
    DeliveryRefused,
    NotRunning,
    Outcome,
    RetryLater,
    names_namespace,
    outcome_of,
)
from activities.run_delivery.temporal_runs import RPC_LIMIT, InTemporal, Standing, look_at
from activities.runs import active_among, check_soon
from activities.settings import TASK_QUEUE
from workflows.declaration import version_name
from workflows.effect_queues import Urgency
from workflows.effects import RUN_OVER
from workflows.json_object import JsonObject
from workflows.run_protocol import DELIVER, Delivery, DeliveryBatch, RunInput
from workflows.source.journey_loading import Registry

logger = logging.getLogger(__name__)

POLL_S = 1.0
_BEGUN_ANEW = WorkflowIDReusePolicy.ALLOW_DUPLICATE

DELIVERED = Counter("journeys_deliveries_total", "Deliveries handed to Temporal.", ["kind"])
DEAD = Counter("journeys_dead_letters_total", "Deliveries Temporal refused for good.")
DELAY = Histogram(
    "journeys_delivery_delay_seconds",
    "From the event's transaction to Temporal's acknowledgement.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600),
)


class Dispatcher:
    """Hands deliveries to Temporal. Any number may run side by side.

    `weights` are the brands' shares of what all runs wait for; `poll` is how many seconds a missed notification costs.
    """

    def __init__(
        self,
        database: Database,
        client: Client,
        registry: Registry,
        *,
        processes: Processes | None = None,
        weights: Mapping[str, float] = MappingProxyType({}),
        poll: float = POLL_S,
    ) -> None:
        self.database = database
        self.client = client
        self.registry = registry
        self.attributes = RunAttributes(client)
        self.processes = processes or Processes(database, registry.rules)
        self.weights = weights
        self.poll = poll
        self.breaker = DeliveryBreaker()
        self.brake = DeliveryBrake()

    async def run_once(self) -> int:
        """Claim runs that have deliveries due and deliver; how many runs were served."""
        served, _ = await self._pass()
        return served

    async def _pass(self) -> tuple[int, bool]:
        """How many runs were served, and whether nothing that was due is left for another pass.

        The claim's transaction is held during the calls to Temporal, which are bound to ten
        seconds: if this process dies, Postgres frees the claim at once and nothing waits for a
        lease to expire.
        """
        async with self.database.transaction() as connection:
            by_run, all_due = await claim(connection, self.registry.journeys, self.brake.allowance)
            if not by_run:
                return 0, True
            if any(self._is_unknown(row) for rows in by_run.values() for row in rows):
                await self.processes.look(connection)
            outcomes = await self._deliver_all(by_run)
            over = {run_id: by_run[run_id] for run_id, outcome in outcomes.items() if isinstance(outcome, NotRunning)}
            outcomes |= await self._not_running(connection, over)
            served = await self._record(connection, by_run, outcomes)
            return served, all_due and not any(isinstance(one, DeliveryRefused) for one in outcomes.values())

    async def _deliver_all(self, by_run: Mapping[str, Sequence[DueDelivery]]) -> dict[str, Outcome]:
        """Deliver to each of these runs. While the breaker is open the first asks alone whether it still is."""
        if self.breaker.why is not None:
            first, *others = by_run
            outcomes = self.breaker.judge({first: await self._deliver(first, by_run[first])})
            if self.breaker.why is not None:
                return outcomes | dict.fromkeys(others, self.breaker.why)
            by_run = {run_id: by_run[run_id] for run_id in others}
        else:
            outcomes = {}
        seconds: list[float] = []

        async def timed(run_id: str, rows: Sequence[DueDelivery]) -> Outcome:
            began = time.monotonic()
            try:
                return await self._deliver(run_id, rows)
            finally:
                seconds.append(time.monotonic() - began)

        answers = await asyncio.gather(*(timed(run_id, rows) for run_id, rows in by_run.items()))
        told = self.breaker.judge(dict(zip(by_run, answers, strict=True))) if by_run else {}
        self.brake.judge(told, seconds)
        return outcomes | told

    async def _record(
        self, connection: AsyncConnection, by_run: dict[str, list[DueDelivery]], outcomes: dict[str, Outcome]
    ) -> int:
        """Remove, bury or postpone the deliveries of these runs; how many runs have nothing left to deliver."""
        done: list[DueDelivery] = []
        later: dict[str, str] = {}
        for run_id, rows in by_run.items():
            match outcomes[run_id]:
                case RetryLater(reason):
                    later[run_id] = reason
                    continue
                case DeliveryRefused(reason, some):
                    rows = [*some] or rows  # noqa: PLW2901 - the others are delivered in the next pass
                    DEAD.inc(len(rows))
                    with bound_contextvars(run_id=run_id):
                        logger.error("Run %s: %s", run_id, reason)
                    await bury(connection, run_id, [row.seq for row in rows], reason)
                case None:
                    for row in rows:
                        DELIVERED.labels(row.kind).inc()
                        DELAY.observe(max(row.age, 0.0))
            done += rows
        await remove(connection, done)
        await postpone(connection, {run_id: rows[-1].seq for run_id, rows in by_run.items()}, later)
        return len(by_run) - len(later)

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until told to stop, woken by Postgres and at least once in `poll` seconds."""
        wake = asyncio.Event()
        listener = asyncio.create_task(listen(self.database.url, CHANNEL, wake))
        stopping = asyncio.create_task(_wake_at_stop(stop, wake))
        try:
            while not stop.is_set():
                wake.clear()
                try:
                    served, is_done = await self._pass()
                except (SQLAlchemyError, OSError) as away:
                    logger.warning("Postgres is away, dispatch tries again: %s", away)
                    served, is_done = 0, True
                    await sleep_or_stop(stop, POLL_S)
                except Exception:
                    logger.exception("A pass of dispatch failed and is tried again.")
                    served, is_done = 0, True
                    await sleep_or_stop(stop, POLL_S)
                if self.brake.pause:
                    await sleep_or_stop(stop, self.brake.pause)
                elif is_done or not served:
                    # Where nothing was taken, to try the rest at once would put all of it off for longer.
                    with suppress(TimeoutError):
                        async with asyncio.timeout(self.poll):
                            await wake.wait()
        finally:
            listener.cancel()
            stopping.cancel()
            await asyncio.gather(listener, stopping, return_exceptions=True)

    async def _deliver(self, run_id: str, rows: Sequence[DueDelivery]) -> Outcome:
        """Deliver everything to one run; whatever goes wrong concerns no other run."""
        # For this run alone: each is told in a task of its own.
        bind_contextvars(run_id=run_id)
        read = _Read.of(rows)
        if read.start is not None and (unknown := self._unknown(read.start)) is not None:
            name, why = unknown
            return RetryLater(why) if name in self.processes.others.journeys else _refuse_if_old(rows, why)
        in_bulk = rows[0].priority == BULK
        if read.unreadable:
            return await self._deliver_around(run_id, rows, read, in_bulk=in_bulk)
        outcome = await self._call(run_id, read.start, read.items, in_bulk=in_bulk)
        if isinstance(outcome, DeliveryRefused) and read.start is None and read.stops:
            return await self._cancel(run_id, outcome)
        return outcome

    def _unknown(self, start: RunInput) -> tuple[str, str] | None:
        """What a run is to play that is not here, as processes call it, and what to do about it."""
        journey = self.registry.journeys.get(start.journey)
        if journey is None:
            return start.journey, f"No journey {start.journey} is deployed here; deploy it again and retry."
        if not journey.knows(start.version):
            name = version_name(start.journey, start.version)
            return (
                name,
                f"Version {start.version} of {start.journey} is not deployed here; deploy the release that has it.",
            )
        return None

    def _is_unknown(self, row: DueDelivery) -> bool:
        return row.kind == "start" and row.payload.get("journey") not in self.registry.journeys

    async def _deliver_around(
        self, run_id: str, rows: Sequence[DueDelivery], read: "_Read", *, in_bulk: bool
    ) -> Outcome:
        """What this release cannot read waits for one that can; a stop does not, and ends what it would have told."""
        refused = _refuse_if_old(
            read.unreadable, "The delivery cannot be read by this release; deploy the one that wrote it and retry."
        )
        begins = any(row.kind == "start" for row in rows)
        if begins and read.start is None:
            # It has not begun, so there is nothing to stop and nobody to tell anything else.
            return replace(refused, rows=()) if isinstance(refused, DeliveryRefused) else refused
        if read.stops:
            return await self._call(run_id, read.start, read.stops, in_bulk=in_bulk)
        if not begins and any(row.kind == "stop" for row in read.unreadable):
            return await self._cancel(run_id, DeliveryRefused("its stop cannot be read"))
        return refused

    async def _call(
        self, run_id: str, start: RunInput | None, items: list[Delivery], *, in_bulk: bool, anew: bool = False
    ) -> Outcome:
        try:
            # The client repeats calls by itself for as long again, and the claim is held all the while.
            async with asyncio.timeout(RPC_LIMIT.total_seconds()):
                if start is None:
                    return await self._signal(run_id, items)
                with tracing.about(start.brand, run_id, start.trigger):
                    return await self._start(run_id, start, items, in_bulk=in_bulk, anew=anew)
        except TimeoutError:
            return RetryLater(f"Temporal did not answer within {RPC_LIMIT.total_seconds():.0f} seconds.")
        except RPCError as error:
            return outcome_of(error)
        except Exception as error:
            logger.exception("The call to Temporal for run %s failed in a way nobody foresaw.", run_id)
            return RetryLater(f"{type(error).__name__}: {error}"[:500])

    async def _cancel(self, run_id: str, refused: DeliveryRefused) -> Outcome:
        """End a run that cannot be told to stop, as one that has had all the signals Temporal allows a run."""
        try:
            await self.client.get_workflow_handle(run_id).cancel(rpc_timeout=RPC_LIMIT)
        except RPCError as error:
            return NotRunning() if error.status is RPCStatusCode.NOT_FOUND else outcome_of(error)
        logger.warning("Run %s was cancelled, because it could not be told to stop: %s", run_id, refused.reason)
        return None

    async def _start(self, run_id: str, run: RunInput, items: list[Delivery], *, in_bulk: bool, anew: bool) -> Outcome:
        together: JsonObject = {}
        if items:
            together = {"start_signal": DELIVER, "start_signal_args": [DeliveryBatch(items=items)]}
        else:
            together = {"id_conflict_policy": WorkflowIDConflictPolicy.USE_EXISTING}
        try:
            await self.client.start_workflow(
                run.journey,
                run,
                id=run_id,
                task_queue=TASK_QUEUE,
                id_reuse_policy=_BEGUN_ANEW if anew else WorkflowIDReusePolicy.REJECT_DUPLICATE,
                static_summary=f"{run.journey} for {run.brand}/{run.player_id}",
                rpc_timeout=RPC_LIMIT,
                # Whatever the run does takes its brand's turn, and in bulk comes after everybody else.
                priority=Priority(Urgency.BULK if in_bulk else None, run.brand, self.weights.get(run.brand)),
                search_attributes=await self.attributes.of(run),
                **together,
            )
        except RPCError as refusal:
            if self.attributes.refused(refusal):
                return RetryLater(f"Temporal does not show our runs yet: {refusal.message}")
            raise
        except WorkflowAlreadyStartedError:
            # An earlier attempt succeeded without our hearing of it, or before Postgres was set back, and the run is
            # closed already.
            return NotRunning()
        return None

    async def _not_running(
        self, connection: AsyncConnection, rows_of: Mapping[str, Sequence[DueDelivery]]
    ) -> dict[str, Outcome]:
        """What becomes of deliveries to runs that Temporal does not have under way: dropped, if these recorded an end.

        Asked after Temporal has answered, because a run records its end here before it closes there.
        """
        if not rows_of:
            return {}
        active = await active_among(connection, rows_of)
        answers = await asyncio.gather(*(self._lost(run_id, rows_of[run_id]) for run_id in active))
        # Last, because whoever ends one of them waits for its row until this transaction ends.
        await check_soon(connection, active)
        return dict.fromkeys(rows_of) | dict(zip(active, answers, strict=True))

    async def _lost(self, run_id: str, rows: Sequence[DueDelivery]) -> Outcome:
        """The same for one that is under way in the books. Comparing ends it, or begins it anew."""
        found = await self._look_at(run_id)
        if not isinstance(found, InTemporal):
            return found
        read = _Read.of(rows)
        if read.start is not None and found.may_begin:
            return await self._call(run_id, read.start, read.items, in_bulk=rows[0].priority == BULK, anew=True)
        if found.standing is Standing.OPEN or found.outcome == RUN_OVER:
            return RetryLater("The run was under way again, or begins anew.")
        if read.start is not None or found.standing is Standing.PLAYED:
            return None
        return DeliveryRefused(
            "Temporal has no such run under way although it never recorded its end: it was terminated or its "
            "history is gone. Stop the run here, or restore Temporal and retry."
        )

    async def _look_at(self, run_id: str) -> InTemporal | DeliveryRefused | RetryLater:
        try:
            async with asyncio.timeout(RPC_LIMIT.total_seconds()):
                return await look_at(self.client, run_id)
        except TimeoutError:
            return RetryLater(f"Temporal did not answer within {RPC_LIMIT.total_seconds():.0f} seconds.")
        except RPCError as error:
            return outcome_of(error)
        except Exception as error:
            logger.exception("What Temporal has of run %s cannot be read.", run_id)
            return RetryLater(f"{type(error).__name__}: {error}"[:500])

    async def _signal(self, run_id: str, items: list[Delivery]) -> Outcome:
        handle = self.client.get_workflow_handle(run_id)
        try:
            await handle.signal(DELIVER, DeliveryBatch(items=items), rpc_timeout=RPC_LIMIT)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND and not names_namespace(error):
                return NotRunning()
            raise
        return None


@dataclass(frozen=True)
class _Read:
    """What a run is to be told, as far as this release can read it."""

    start: RunInput | None
    items: list[Delivery]
    unreadable: list[DueDelivery]

    @property
    def stops(self) -> list[Delivery]:
        return [item for item in self.items if item.kind == "stop"]

    @classmethod
    def of(cls, rows: Sequence[DueDelivery]) -> "_Read":
        start: RunInput | None = None
        items: list[Delivery] = []
        unreadable: list[DueDelivery] = []
        for row in rows:
            try:
                if row.kind == "start":
                    start = RunInput.model_validate(row.payload)
                else:
                    items.append(Delivery(seq=row.seq, id=row.id, kind=row.kind, **row.payload))
            except (ValidationError, TypeError):
                logger.exception("A delivery to run %s cannot be read.", row.run_id)
                unreadable.append(row)
        return cls(start, items, unreadable)


def _refuse_if_old(rows: Sequence[DueDelivery], reason: str) -> DeliveryRefused | RetryLater:
    """Refuse for good only what no process of another release can know."""
    oldest = timedelta(seconds=max(row.age for row in rows))
    return RetryLater(reason) if may_be_known_elsewhere(oldest) else DeliveryRefused(reason, rows)


async def _wake_at_stop(stop: asyncio.Event, wake: asyncio.Event) -> None:
    await stop.wait()
    wake.set()
