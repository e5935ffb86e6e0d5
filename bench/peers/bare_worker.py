"""The worker process of the hand-written workflows: the engine's activities and settings, Temporal's own sandbox."""

import asyncio
import os
import signal
from typing import Any

import uvloop
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Worker

from activities.engine import worker_engine
from activities.settings import settings_from
from bench.peers.bare_workflows import Parked, TwoSends
from bench.peers.player_entity import PlayerEntity
from worker import CACHED_RUNS, EFFECTS_AT_ONCE

QUEUE = "bare"
READY = "The bare worker runs."
WORKFLOWS: list[type[Any]] = [TwoSends, Parked, PlayerEntity]


async def main() -> None:
    """Work until told to stop."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    client = await Client.connect(os.environ["TEMPORAL_ADDRESS"], data_converter=pydantic_data_converter)
    async with (
        worker_engine(settings_from()) as built,
        Worker(
            client,
            task_queue=QUEUE,
            workflows=WORKFLOWS,
            activities=built.activities,
            max_concurrent_activities=EFFECTS_AT_ONCE,
            max_cached_workflows=CACHED_RUNS,
        ),
    ):
        print(READY, flush=True)
        await stop.wait()


if __name__ == "__main__":
    uvloop.run(main())
