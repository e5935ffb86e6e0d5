"""The command line as a test meets it: commands run to their end or watched, against a database or a served API."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg

from local.ports import free_port
from local.slowness import slowness
from local.supervisor import POLL, TRUSTS_NOBODY
from tests.support.commands import ROOT, command
from tests.support.machine import within

#: What the API signs unsubscribe links with.
LINK_SECRET = "a-secret-that-only-tests-know-of"
#: Nobody listens there; connecting fails at once.
NOWHERE = "postgresql://journeys@127.0.0.1:1/journeys"

Journeys = Callable[..., subprocess.CompletedProcess[str]]


def environment(**variables: str) -> dict[str, str]:
    ours = {"DATABASE_URL", "JOURNEYS", "JOURNEYS_URL", "JOURNEYS_KEY"}
    return {name: value for name, value in os.environ.items() if name not in ours} | {
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "200",
        "LINK_SECRETS": LINK_SECRET,
        **variables,
    }


def run_command(folder: Path) -> Journeys:
    """A function that runs a command in this folder, to its end."""

    def run(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(*words),
            cwd=folder,
            env=environment(**variables),
            capture_output=True,
            text=True,
            check=False,
            timeout=100 * slowness(),
        )

    return run


@contextmanager
def serving(database_url: str, folder: Path, **variables: str) -> Iterator[str]:
    """`journeys serve` on a free port, from its first answer to its clean end."""
    port = free_port()
    serve, known = command("serve", "--port", str(port)), environment(DATABASE_URL=database_url, **variables)
    with (folder / "serve.log").open("w") as log:
        server = subprocess.Popen(serve, cwd=folder, env=known, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60 * slowness()
        while True:
            assert server.poll() is None, (folder / "serve.log").read_text()
            assert time.monotonic() < deadline
            try:
                httpx.get(f"{url}/livez", timeout=1, verify=TRUSTS_NOBODY).raise_for_status()
                break
            except httpx.TransportError:
                # Asked without a pause, the server would have less of the processor to start with.
                time.sleep(POLL)
        yield url
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=30 * slowness()) in {0, -signal.SIGTERM}
    finally:
        server.kill()
        server.wait()


def rows(database_url: str, query: str, *values: object) -> list[tuple[object, ...]]:
    with psycopg.connect(database_url.replace("+psycopg", "")) as connection:
        return connection.execute(query.encode(), values or None).fetchall()


@dataclass(frozen=True)
class Terminal:
    """Somebody with a key of a brand, at the command line of a served API."""

    brand: str
    database_url: str
    variables: dict[str, str]
    folder: Path

    @asynccontextmanager
    async def running(self, *words: str) -> AsyncIterator[asyncio.subprocess.Process]:
        process = await asyncio.create_subprocess_exec(
            *command(*words),
            cwd=self.folder,
            env=environment(**self.variables),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def journeys(self, *words: str, typed: str = "") -> tuple[int, str]:
        """The exit code of a command and all that it said."""
        async with self.running(*words) as process:
            async with within(60):
                said, _ = await process.communicate(typed.encode())
            assert process.returncode is not None
            return process.returncode, " ".join(said.decode().split())
