"""An API in a process of its own, and what may press on it at once: strangers, floods, a session that hangs."""

import asyncio
import secrets
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx
import orjson
import psycopg

from activities.api_keys import ALPHABET, LENGTH, _check, create_key
from activities.database import Database
from activities.settings import Settings
from local.ports import free_port
from local.supervisor import Service, http_ok
from tests.support.api_client import BACKEND, LINK_SECRET
from tests.support.engine import BRAND
from tests.support.servers import running

EVENTS = "application/cloudevents-batch+json"


@dataclass
class Pressed:
    """An API process under load, and what it answered to whom."""

    url: str
    key: str
    pid: int
    answers: dict[str, Counter[int]] = field(default_factory=dict)

    def count(self, who: str, status: int) -> None:
        self.answers.setdefault(who, Counter())[status] += 1

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}


@asynccontextmanager
async def api_process(
    database_url: str, folder: Path, scopes: Sequence[str] = BACKEND, **environment: str
) -> AsyncIterator[Pressed]:
    """`journeys serve` on this database, with the protocol and the limits of production."""
    database = Database(Settings(database_url=database_url))
    _, key = await create_key(database, BRAND, "backend", scopes, datetime.now(UTC))
    await database.close()
    port = free_port()
    service = Service(
        name="pressed-api",
        command=(sys.executable, "-m", "cli", "serve", "--port", str(port)),
        environment={"DATABASE_URL": database_url, "LINK_SECRETS": LINK_SECRET, **environment},
        ready=lambda _: http_ok(f"http://127.0.0.1:{port}/readyz"),
    )
    async with running(service, folder) as process:
        if process.identity is None:
            raise ProcessLookupError(service.name)
        yield Pressed(f"http://127.0.0.1:{port}", key, process.identity.pid)


@asynccontextmanager
async def row_held(database_url: str, player_id: str) -> AsyncIterator[None]:
    """Somebody's own session has the row of this player locked, and does nothing."""
    plain = database_url.replace("postgresql+psycopg", "postgresql")
    async with await psycopg.AsyncConnection.connect(plain) as session:
        await session.execute("SELECT FROM players WHERE id = %s FOR UPDATE", [player_id])
        yield
        await session.rollback()


def stranger() -> str:
    """A key that is well formed and that nobody made."""
    body = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
    return f"jx_{body}_{_check(body)}"


def event(kind: str, player_id: str, /, **data: object) -> dict[str, object]:
    """An event on its way, with an identity of its own."""
    about = {"specversion": "1.0", "id": secrets.token_hex(8), "source": "/load", "subject": player_id}
    return {**about, "type": f"igaming.{kind}.v1", "data": data}


@asynccontextmanager
async def pressing(on: Pressed, who: str, callers: int, request: Callable[[], bytes]) -> AsyncIterator[None]:
    """So many connections that ask as fast as they are answered, while the block lasts."""
    tasks = [asyncio.create_task(_ask(on, who, request)) for _ in range(callers)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _ask(on: Pressed, who: str, request: Callable[[], bytes]) -> None:
    """One connection, made anew when it is closed. By hand: a client would take more of the machine than it asks."""
    address = httpx.URL(on.url)
    while True:
        try:
            reader, writer = await asyncio.open_connection(address.host, address.port)
            try:
                while True:
                    writer.write(request())
                    await writer.drain()
                    head = await reader.readuntil(b"\r\n\r\n")
                    length = next(
                        (line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b":0"
                    )
                    await reader.readexactly(int(length.partition(b":")[2]))
                    on.count(who, int(head.split(b" ", 2)[1]))
            finally:
                writer.close()
        except (OSError, asyncio.IncompleteReadError):
            await asyncio.sleep(0.05)


def http(method: str, path: str, key: str, body: bytes = b"", media_type: str = "application/json") -> bytes:
    """A request as it goes over the wire."""
    head = f"{method} {path} HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer {key}\r\n"
    if body:
        head += f"Content-Type: {media_type}\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def batches(key: str, size: int) -> Iterator[bytes]:
    """Requests without an end, each with a batch of logins of its own."""
    while True:
        told = [event("session.login", f"flood-{secrets.randbelow(5_000)}") for _ in range(size)]
        yield http("POST", "/v1/events", key, orjson.dumps(told), EVENTS)


async def paced(count: int, a_second: float, act: Callable[[int], Awaitable[object]]) -> None:
    """Do something so often at this rate, whether or not what began before has ended."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.TaskGroup() as group:
        for number in range(count):
            await asyncio.sleep(max(0.0, began + number / a_second - loop.time()))
            group.create_task(_done(act(number)))


async def _done(doing: Awaitable[object]) -> None:
    await doing
