"""What the worst body costs an API process in memory, at every route that reads one."""

import logging
import sys
from pathlib import Path
from typing import Final

import httpx
import psutil
import pytest

from tests.postgres.test_api_bounds import JUDGED, worst
from tests.support.hostile_load import api_process

#: Bytes that one request may take.
MOST: Final = 50_000_000
#: A block of this size and more is given back when it is free, so that it counts again for the next request.
GIVEN_BACK: Final = str(64 * 1024)


class Memory:
    """The memory of another process, as Linux tells it, in bytes."""

    def __init__(self, pid: int) -> None:
        self._folder = Path(f"/proc/{pid}")
        self._process = psutil.Process(pid)

    def now(self) -> int:
        """How much it has, from where its most is reckoned anew."""
        (self._folder / "clear_refs").write_text("5")
        return int(self._process.memory_info().rss)

    def most(self) -> int:
        """The most that it has had since."""
        lines = (self._folder / "status").read_text().splitlines()
        (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
        return int(peak) * 1024


@pytest.mark.slow  # some minutes of bodies of 4 MiB
@pytest.mark.timeout(1_200)
@pytest.mark.skipif(sys.platform != "linux", reason="Only Linux tells the most memory that a process has had.")
async def test_no_body_takes_more_memory_than_a_request_may(postgres_url: str, session_folder: Path) -> None:
    keeping = {"MALLOC_MMAP_THRESHOLD_": GIVEN_BACK, "MALLOC_TRIM_THRESHOLD_": GIVEN_BACK}
    async with (
        api_process(postgres_url, session_folder, ("admin",), **keeping) as api,
        httpx.AsyncClient(base_url=api.url, headers=api.headers, timeout=60) as client,
    ):
        memory = Memory(api.pid)
        dearest = (0, "")
        for operation in JUDGED:
            for body in worst(operation):
                before = memory.now()
                answer = await client.request(
                    operation.method, operation.path, content=body, headers=dict(operation.headers)
                )
                assert answer.status_code < 500, answer.text[:300]
                cost = memory.most() - before
                dearest = max(dearest, (cost, f"{operation.id}: {len(body)} bytes, {body[:60]!r}"))
    logging.getLogger(__name__).info("The dearest body took %.1f MB: %s", dearest[0] / 1e6, dearest[1])
    assert dearest[0] < MOST, dearest
    # A process whose most could not be told would have taken nothing.
    assert dearest[0] > 4 * 1024 * 1024, dearest
