"""The engine as it is shipped, on servers of its own: what every figure is taken on."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import orjson
import psutil
import psycopg
from psycopg.rows import dict_row
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError

from activities.api_keys import create_key
from activities.database import Database
from activities.loops.maintenance_schedules import SCHEDULES
from activities.settings import Settings
from bench.measuring import patience, say, slowness
from local.ports import free_port
from local.stack import Stack
from local.supervisor import Service, Supervised

BRAND = "demo"
JOURNEYS = "bench.journeys"
EVENTS = "application/cloudevents-batch+json"
Row = dict[str, Any]
#: A part that could still be busy, and how much of a core all of them may use when they are not.
PARTS = ("temporal", "api", "worker", "dispatcher")
CALM, LOOK = 0.25, 0.5


class House(Stack):
    """The local stack with fsync on, plus what a benchmark needs: a client, a look into Postgres, server metrics."""

    http: httpx.AsyncClient
    sql: psycopg.AsyncConnection[Row]
    temporal: Client

    def __init__(self, folder: Path, **options: Any) -> None:
        super().__init__(folder, **options)
        self.metrics_port = free_port()

    def servers(self) -> list[Service]:
        return [
            replace(service, command=(*service.command, "--metrics-port", str(self.metrics_port)))
            if service.name == "temporal"
            else service
            for service in super().servers()
        ]

    @property
    def postgres_url(self) -> str:
        """Postgres, as libpq wants it."""
        return self.environment()["DATABASE_URL"].replace("+psycopg", "")

    async def key(self, brand: str) -> str:
        """A new key that may send a brand's events."""
        database = Database(Settings(database_url=self.environment()["DATABASE_URL"]))
        try:
            return (await create_key(database, brand, "bench", ["events:write"], datetime.now(UTC)))[1]
        finally:
            await database.close()

    async def post(self, body: bytes, *, mode: str = "live", key: str | None = None) -> None:
        """One batch of events, sent again as long as the API asks for it; anything else but a 202 is an error."""
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        while True:
            answer = await self.http.post("/v1/events", content=body, params={"mode": mode}, headers=headers)
            if answer.status_code not in {429, 503}:
                break
            await asyncio.sleep(float(answer.headers["Retry-After"]))
        if answer.status_code != 202:
            raise RuntimeError(f"The API answered {answer.status_code}: {answer.text[:300]}")

    async def post_all(self, bodies: Sequence[bytes], *, at_once: int, mode: str = "live") -> None:
        """Batches in order, `at_once` of them under way at any moment."""
        left = iter(bodies)

        async def sender() -> None:
            for body in left:
                await self.post(body, mode=mode)

        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(sender())

    async def rows(self, query: str, *values: Any) -> list[Row]:
        """What a query finds."""
        return await (await self.sql.execute(query, values)).fetchall()

    async def count(self, query: str, *values: Any) -> int:
        """The one number a query finds."""
        (row,) = await self.rows(query, *values)
        return int(next(iter(row.values())))

    async def until(
        self, done: Callable[[], Awaitable[bool]], *, within: float, what: str, every: float = 0.02
    ) -> None:
        """Wait for something to come true; longer than `within` seconds where the machine is slower than usual."""
        within = patience(within)
        deadline = asyncio.get_running_loop().time() + within
        while not await done():
            if asyncio.get_running_loop().time() > deadline:
                raise TimeoutError(f"{what} did not come within {within:.0f} seconds; the logs are in {self.folder}.")
            await asyncio.sleep(every)

    async def undisturbed(self) -> bool:
        """Nothing that recurs comes in between: its schedules are there and paused."""
        try:
            for schedule in SCHEDULES:
                await self.temporal.get_schedule_handle(schedule).pause(note="Measuring.")
        except RPCError:
            return False
        return True

    async def settle(self) -> None:
        """Let everybody finish what they still do, so that no round pays for the one before it."""
        await self.sql.execute("CHECKPOINT")
        pids = self.pids(*PARTS)
        before = cpu_seconds(pids)
        for _ in range(int(patience(240))):
            await asyncio.sleep(LOOK)
            now = cpu_seconds(pids)
            if now - before < CALM * LOOK * max(1.0, slowness()):
                return
            before = now

    def pids(self, *parts: str) -> list[int]:
        """The processes of these parts that run."""
        return [pid for name in parts if (pid := self.pid(name))]

    def memory_mb(self, *parts: str) -> dict[str, int]:
        """Megabytes that each part holds, shared pages counted once."""
        return {name: round(sum(_megabytes(one) for pid in self.pids(name) for one in family(pid))) for name in parts}

    @asynccontextmanager
    async def beside(self, name: str, *command: str, said: str) -> AsyncIterator[Supervised]:
        """A peer's process with our environment, ready once its log holds the word `said`."""
        log = self.folder / "logs" / f"{name}.log"

        async def ready(_: int) -> bool:
            return said in log.read_text()

        service = Service(name=name, command=command, environment=self.environment(), ready=ready)
        process = Supervised(service, log=log)
        process.start()
        try:
            await process.ready(within=timedelta(seconds=patience(120)))
            yield process
        finally:
            await process.stop()


def family(pid: int) -> list[psutil.Process]:
    """A process and all below it."""
    leader = psutil.Process(pid)
    return [leader, *leader.children(recursive=True)]


def cpu_seconds(pids: Sequence[int]) -> float:
    """What processes and all below them have used so far, those that have ended since included."""
    total = 0.0
    for pid in pids:
        for process in family(pid):
            with suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system + times.children_user + times.children_system
    return total


def _megabytes(process: psutil.Process) -> float:
    try:
        used = process.memory_full_info()
        return float(getattr(used, "pss", used.uss)) / 1e6
    except psutil.NoSuchProcess:
        return 0.0


def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="journeys-bench-"))
    folder.chmod(0o711)  # Postgres runs as another account when we are root
    return folder


#: Of the shipped journeys those that every figure was taken with; further ones begin with what the load plays.
MEASURED_WITH = ("welcome", "second_deposit", "tier_up", "win_back", "vip_onboarding", "failed_deposit")


@asynccontextmanager
async def house(*, journeys: str = "", extra: dict[str, str] | None = None) -> AsyncIterator[House]:
    """A running house in a new folder, gone afterwards."""
    folder = _folder()
    say("Starting Postgres, Temporal, the API, the worker and the dispatcher …")
    shipped = {"SHIPPED_JOURNEYS": ",".join(MEASURED_WITH)}
    variables = {"JOURNEYS": journeys, "IMPORT_SETTLES_AFTER": "PT720H", **shipped, **(extra or {})}
    try:
        async with House(folder, extra=variables) as built:
            headers = {"Authorization": f"Bearer {built.keys['backend']}", "Content-Type": EVENTS}
            url = built.environment()["TEMPORAL_ADDRESS"]
            built.temporal = await Client.connect(url, data_converter=pydantic_data_converter)
            async with (
                httpx.AsyncClient(base_url=built.api_url, headers=headers, timeout=60) as built.http,
                await psycopg.AsyncConnection.connect(
                    built.postgres_url, autocommit=True, row_factory=dict_row
                ) as built.sql,
            ):
                await built.until(built.undisturbed, within=60, what="The pause of what recurs", every=0.2)
                yield built
    finally:
        shutil.rmtree((folder / "postgres").resolve(), ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


def batches(events: Sequence[Row], size: int) -> list[bytes]:
    """Bodies of requests with `size` events each."""
    return [orjson.dumps(events[start : start + size]) for start in range(0, len(events), size)]
