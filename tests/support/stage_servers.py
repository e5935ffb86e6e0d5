"""A server that skips time, for tests that need more than one."""

from datetime import timedelta

from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from local.slowness import slowness
from local.temporal import PROGRAM


async def skipping() -> WorkflowEnvironment:
    """A Temporal whose clock jumps over waits; use it in `async with`."""
    return await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=str(PROGRAM.with_name("temporal-test-server")),
        test_server_startup_timeout=timedelta(seconds=30 * slowness()),
        data_converter=pydantic_data_converter,
    )
