"""A back-test on many machines: its shards are activities of a workflow.

Every machine runs `python -m stage.backtest.distributed` with the same code, journeys and templates installed,
Temporal's own `TEMPORAL_*` variables and one folder that all of them see under one path. Temporal hands out the shards,
tries again those of a machine that dies, and knows how far it is; there is no scheduler of ours.
"""

import asyncio
import logging
import os
import shutil
import signal
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Final

from pydantic import BaseModel
from temporalio import activity, workflow
from temporalio.client import Client, WorkflowFailureError
from temporalio.common import RetryPolicy
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.service import RPCError
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    from stage.backtest.backtest import BacktestPlan, OnProgress, play, save_shards, shards_for
    from stage.backtest.counts import BacktestCounts
    from stage.backtest.event_log import Log
    from stage.errors import StageError
    from workflows.errors import JourneysError

logger = logging.getLogger("journeys.stage")

QUEUE: Final = "back-test"
#: A shard of a thousand players takes seconds; a machine that says nothing for so long is gone.
HEARTBEAT_TIMEOUT: Final = timedelta(minutes=2)
#: Of one shard. Only its machine may fail it: a mistake in a journey is the same everywhere.
SHARD_RETRIES: Final = RetryPolicy(maximum_attempts=5)
#: How often progress is asked for.
PROGRESS_EVERY: Final = timedelta(seconds=1)


class Shards(BaseModel):
    """What the workflow is asked: the plan, and where each shard lies."""

    plan: BacktestPlan
    paths: list[Path]


class Shard(BaseModel):
    """What one activity is asked."""

    plan: BacktestPlan
    path: Path


@workflow.defn(name="BackTest")
class BackTest:
    """Play every shard, wherever there is a worker; where the counts of each were written, in order."""

    def __init__(self) -> None:
        self.events = 0

    @workflow.run
    async def run(self, given: Shards) -> list[Path]:
        """Fan out and wait for all."""
        return list(await asyncio.gather(*(self._play(Shard(plan=given.plan, path=path)) for path in given.paths)))

    @workflow.query
    def played(self) -> int:
        """How many events were played so far."""
        return self.events

    async def _play(self, shard: Shard) -> Path:
        path, events = await workflow.execute_activity(
            play_shard,
            shard,
            start_to_close_timeout=timedelta(hours=6),
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=SHARD_RETRIES,
            summary=shard.path.name,
        )
        self.events += events
        return path


@activity.defn
def play_shard(shard: Shard) -> tuple[Path, int]:
    """Play one shard and write its counts beside it. Done again, it writes the same."""
    log = Log.saved(shard.path)
    try:
        counts = play(shard.plan, log, lambda _: activity.heartbeat())
    except JourneysError as error:
        raise ApplicationError(str(error), type="StageError", non_retryable=True) from error
    path = shard.path.with_suffix(".json")
    half = path.with_suffix(f".{uuid.uuid4().hex}")
    half.write_bytes(counts.to_json())
    half.replace(path)
    return path, log.events.height


async def back_test_on_temporal(
    plan: BacktestPlan,
    log: Log,
    folder: Path,
    *,
    jobs: int = 1,
    on_progress: OnProgress = lambda _: None,
    client: Client | None = None,
) -> BacktestCounts:
    """Play a log by the workers that share `folder`; it is left as it was found. Raises StageError."""
    name = f"back-test-{uuid.uuid4().hex[:12]}"
    with _place(folder / name) as place:
        paths = save_shards(log.shards(shards_for(log, jobs)), place)
        return await _await(
            client or await _connect(), name, Shards(plan=plan, paths=paths), log.events.height, on_progress
        )


async def _await(client: Client, name: str, asked: Shards, events: int, on_progress: OnProgress) -> BacktestCounts:
    running = await client.start_workflow(BackTest.run, asked, id=name, task_queue=QUEUE)
    result = asyncio.ensure_future(running.result())
    reported = 0
    while not (await asyncio.wait({result}, timeout=PROGRESS_EVERY.total_seconds()))[0]:
        with suppress(RPCError):  # no worker yet to answer; the bar stands still until there is
            played = await running.query(BackTest.played, rpc_timeout=PROGRESS_EVERY)
            on_progress(played - reported)
            reported = played
    try:
        written = await result
    except WorkflowFailureError as error:
        raise StageError(_reason(error)) from error
    on_progress(events - reported)
    total = BacktestCounts()
    for path in written:
        total.add(BacktestCounts.from_json(path.read_bytes()))
    return total


@contextmanager
def _place(folder: Path) -> Iterator[Path]:
    """A folder of this back-test alone, gone afterwards; what is in it is somebody's life."""
    folder.mkdir(mode=0o700, parents=True)
    try:
        yield folder.resolve()
    finally:
        shutil.rmtree(folder)


def worker(client: Client) -> Worker:
    """A worker that plays one shard at a time: start one for each core."""
    return Worker(
        client,
        task_queue=QUEUE,
        workflows=[BackTest],
        activities=[play_shard],
        activity_executor=ThreadPoolExecutor(1),
        max_concurrent_activities=1,
    )


async def main() -> None:
    """Run a worker until SIGINT or SIGTERM; wait for Temporal where it is away."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    while not stop.is_set():
        try:
            client = await _connect()
        except StageError as away:
            logger.warning("%s", away)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), PROGRESS_EVERY.total_seconds())
            continue
        async with worker(client):
            logger.info("Process %d plays shards.", os.getpid())
            await stop.wait()


async def _connect() -> Client:
    config = ClientConfig.load_client_connect_config()
    config.setdefault("target_host", "localhost:7233")
    try:
        return await Client.connect(**config, data_converter=pydantic_data_converter)
    except (RuntimeError, RPCError) as error:
        raise StageError(
            f"Temporal does not answer at {config['target_host']}; set TEMPORAL_ADDRESS to where it does. ({error})"
        ) from None


def _reason(error: WorkflowFailureError) -> str:
    cause: BaseException | None = error
    while isinstance(cause, (WorkflowFailureError, ActivityError)):
        cause = cause.__cause__
    return str(cause) if isinstance(cause, ApplicationError) else f"The back-test was not finished: {cause}."


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    asyncio.run(main())
