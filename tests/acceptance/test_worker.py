"""The worker's process: how it waits and how it goes."""

import asyncio
import os
import sys
from pathlib import Path

from local.ports import free_port
from tests.support.engine import SECRET
from tests.support.machine import within

ROOT = Path(__file__).parent.parent.parent


async def test_a_worker_that_waits_for_temporal_ends_when_it_is_told_to() -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "worker"),
        cwd=ROOT,
        env=os.environ
        | {
            "DATABASE_URL": f"postgresql://{nowhere}/none",
            "TEMPORAL_ADDRESS": nowhere,
            "WEBHOOK_SECRET": SECRET,
            "LINK_SECRETS": SECRET,
        },
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        async with within(60):
            while b"Temporal is away" not in (line := await process.stderr.readline()):
                assert line, "the worker ended by itself"
            process.terminate()
            await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0
