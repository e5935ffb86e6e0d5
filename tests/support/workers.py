"""The workers of one process in a test: of the runs with what needs the database alone, and of each provider."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from temporalio.client import Client
from temporalio.worker import Interceptor

from activities.engine import WorkerEngine
from worker import journey_worker, provider_workers


@asynccontextmanager
async def all_workers(
    client: Client, built: WorkerEngine, *, interceptors: Sequence[Interceptor] = (), **options: Any
) -> AsyncIterator[None]:
    """They work until the block ends; `options` are those of the runs' worker."""
    async with AsyncExitStack() as stack:
        for one in provider_workers(client, built, interceptors=interceptors):
            await stack.enter_async_context(one)
        await stack.enter_async_context(journey_worker(client, built, interceptors=interceptors, **options))
        yield
