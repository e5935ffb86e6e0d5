"""A receiver of webhooks on loopback: it verifies what it is told as a stranger would, and answers as the test says."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
from standardwebhooks import Webhook

#: The answer to the event that came: a status, a whole response as bytes, or None to never answer.
Answer = Callable[["Told"], "int | bytes | None"]


@dataclass(frozen=True)
class Told:
    """An event as it came."""

    id: str
    event: dict[str, Any]
    headers: dict[str, str]
    body: bytes
    at: datetime

    @property
    def type(self) -> str:
        kind: str = self.event["type"]
        return kind

    @property
    def player(self) -> str:
        subject: str = self.event.get("subject", "")
        return subject

    def verify(self, secret: str) -> None:
        """Raise unless it was signed with this secret, a moment ago."""
        Webhook(secret).verify(self.body, self.headers)


@dataclass
class Receiver:
    """A running receiver, and everything it was told so far."""

    url: str
    answer: Answer = lambda _: 204
    told: list[Told] = field(default_factory=list)
    under_way: int = 0
    most_under_way: int = 0

    def of_type(self, kind: str) -> list[Told]:
        return [one for one in self.told if one.type == kind]


@asynccontextmanager
async def receiving(answer: Answer = lambda _: 204) -> AsyncIterator[Receiver]:
    """A receiver for as long as the block lasts."""
    writers: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:-2])}
            body = await reader.readexactly(int(headers["content-length"]))
            told = Told(headers["webhook-id"], orjson.loads(body), headers, body, datetime.now(UTC))
            receiver.told.append(told)
            receiver.under_way += 1
            receiver.most_under_way = max(receiver.most_under_way, receiver.under_way)
            answered = receiver.answer(told)
            if answered is None:
                await reader.read()
            elif isinstance(answered, bytes):
                writer.write(answered)
            else:
                writer.write(f"HTTP/1.1 {answered} Told\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            receiver.under_way -= 1
            writers.discard(writer)
            writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    receiver = Receiver(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/hooks", answer)
    try:
        yield receiver
    finally:
        listener.close()
        for writer in list(writers):
            writer.close()
        await listener.wait_closed()
