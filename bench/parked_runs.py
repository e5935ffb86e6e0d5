"""How very many real runs come to be parked: started by the engine, their first task answered without playing it.

A worker plays the first task of a hundred or so runs a second in its sandbox, so 100,000 would take a quarter of an
hour. Here the worker stops after the first run, and every other run is answered exactly as that one was: its history
holds the same timer with the same words. When the worker is back it plays a run that is called from that history.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from temporalio.api.command.v1 import Command, StartTimerCommandAttributes
from temporalio.api.enums.v1 import CommandType, EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.sdk.v1 import WorkflowTaskCompletedMetadata
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import PollWorkflowTaskQueueRequest, RespondWorkflowTaskCompletedRequest
from temporalio.service import RPCError, RPCStatusCode

from activities.settings import TASK_QUEUE
from bench.harness import BRAND, House, batches
from bench.measuring import patience, progress, say
from bench.reaction import park
from bench.traffic import cloud_event

#: Pollers, and how many runs may be on their way while more are sent.
POLLERS, AHEAD = 16, 1_000
BATCH = 500
NAME = "parker"
SHAPE = [
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED,
    EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED,
    EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED,
    EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED,
    EventType.EVENT_TYPE_TIMER_STARTED,
]


#: Nothing came for a minute, a task had waited too long and comes again, or the server put its own question off.
ASK_AGAIN = {RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.NOT_FOUND, RPCStatusCode.CANCELLED}


class Parker:
    """Answers first tasks as the worker answered the one it was shown."""

    def __init__(self, built: House, wait: Command, words: WorkflowTaskCompletedMetadata) -> None:
        self.built = built
        self.answered = 0
        #: When the last run was answered.
        self.last = time.monotonic()
        self._pollers: list[asyncio.Task[None]] = []
        self._wait = wait
        self._words = words

    @classmethod
    async def of(cls, built: House, run_id: str) -> "Parker":
        """A parker that has seen how the worker parked this run."""
        handle, events = built.temporal.get_workflow_handle(run_id), list[HistoryEvent]()

        async def waits() -> bool:
            events[:] = (await handle.fetch_history()).events
            return len(events) >= len(SHAPE)

        await built.until(waits, within=60, what="The wait of the first run", every=0.2)
        found = [event.event_type for event in events]
        assert found == SHAPE, f"A parked run should have begun with a timer alone, and has {found}."
        completed, timer = events[3].workflow_task_completed_event_attributes, events[4]
        wait = Command(
            command_type=CommandType.COMMAND_TYPE_START_TIMER,
            user_metadata=timer.user_metadata,
            start_timer_command_attributes=StartTimerCommandAttributes(
                timer_id=timer.timer_started_event_attributes.timer_id,
                start_to_fire_timeout=timer.timer_started_event_attributes.start_to_fire_timeout,
            ),
        )
        return cls(built, wait, completed.sdk_metadata)

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Take every task of the runs' queue; the worker is away meanwhile."""
        await self.built.stop("worker")
        self.last = time.monotonic()
        self._pollers = [asyncio.create_task(self._poll()) for _ in range(POLLERS)]
        try:
            yield
        finally:
            for poller in self._pollers:
                poller.cancel()
            await asyncio.gather(*self._pollers, return_exceptions=True)
            self.built.start("worker")
            await self.built.ready("worker")

    async def _poll(self) -> None:
        while True:
            try:
                await self._answer()
            except RPCError as error:
                if error.status not in ASK_AGAIN:
                    raise

    async def _answer(self) -> None:
        """Take one task, if there is one."""
        client = self.built.temporal
        asking = PollWorkflowTaskQueueRequest(
            namespace=client.namespace, task_queue=TaskQueue(name=TASK_QUEUE), identity=NAME
        )
        task = await client.workflow_service.poll_workflow_task_queue(asking)
        if not task.task_token:
            return
        await client.workflow_service.respond_workflow_task_completed(
            RespondWorkflowTaskCompletedRequest(
                namespace=client.namespace,
                task_token=task.task_token,
                identity=NAME,
                commands=[self._wait],
                sdk_metadata=self._words,
            )
        )
        self.answered += 1
        self.last = time.monotonic()

    def still_working(self) -> None:
        """Raise what a poller failed of, or TimeoutError when nothing was to be answered for a minute."""
        for poller in self._pollers:
            if poller.done():
                poller.result()
        if time.monotonic() - self.last > patience(60):
            raise TimeoutError(f"After {self.answered:,} runs no other came; the logs are in {self.built.folder}.")


async def park_many(built: House, ids: Sequence[str], within: float) -> int:
    """Park these known players, in order, for so many seconds at most; how many are parked.

    All of it is the engine's own but the answer to a run's first task: the event over HTTP, the rows, the delivery, the
    start in Temporal.
    """
    await park(built, ids[:1])
    (first,) = await built.rows("SELECT id FROM runs WHERE brand = %s AND player_id = %s", BRAND, ids[0])
    parker, sent = await Parker.of(built, first["id"]), 1
    until, done = time.monotonic() + patience(within), progress("Parked runs")
    async with parker.working():
        while parker.answered + 1 < sent or (sent < len(ids) and time.monotonic() < until):
            if sent < len(ids) and time.monotonic() < until and sent - parker.answered < AHEAD:
                some = ids[sent : sent + BATCH]
                await built.post(batches([cloud_event("bench.parked", p, f"parked-{p}") for p in some], BATCH)[0])
                sent += len(some)
            else:
                await asyncio.sleep(0.05)
            parker.still_working()
            done(parker.answered + 1, len(ids))
    if sent < len(ids):
        say(f"{sent:,} of {len(ids):,} runs were parked when the time for it was over; it goes on with these.")
    return sent
