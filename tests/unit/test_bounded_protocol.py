"""What a stranger may send to the API before anybody knows who it is: bounded in bytes and in time."""

import asyncio

import pytest
from starlette.types import Receive, Scope, Send

from activities.settings import Settings
from api import bounded_protocol
from api.bounded_protocol import DRAINED, HEAD_LIMIT, most_connections
from tests.support.listening import listening
from tests.support.machine import within

GET = b"GET / HTTP/1.1\r\nHost: x\r\n"


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the number of bytes of the body; `/deaf` answers before it reads any."""
    assert scope["type"] == "http"
    size, more = 0, scope["path"] != "/deaf"
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    body = str(size).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def said(port: int, *parts: bytes, pause: float = 0) -> bytes:
    """All that is answered until the connection is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)
        async with within(20):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_a_request_is_served_as_ever() -> None:
    async with listening(echo) as port:
        post = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
        last = post.replace(b"Host", b"Connection: close\r\nHost")
        answers = await said(port, post, post[:20], post[20:-2], post[-2:], post + last)
    assert answers.count(b"HTTP/1.1 200 OK") == 4
    assert answers.endswith(b"\r\n\r\n5")


@pytest.mark.parametrize(
    "head",
    [
        GET + b"X-A: " + b"a" * HEAD_LIMIT * 2,
        GET + b"".join(b"X-%d: a\r\n" % number for number in range(20_000)),
        b"GET /" + b"a" * HEAD_LIMIT * 2,
        GET + b"\r\n" + GET + b"X-A: " + b"a" * HEAD_LIMIT * 2,
    ],
    ids=["one header", "many headers", "an address", "the second request"],
)
async def test_a_head_without_end_is_refused(head: bytes) -> None:
    pieces = [head[at : at + 10_000] for at in range(0, len(head), 10_000)]
    async with listening(echo) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        answer = b""
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            async with within(20):
                answer = await reader.read()
        except ConnectionError:
            pass  # it was closed while we wrote, which is what it is for
        finally:
            writer.close()
    assert not answer or b"431 Request Header Fields Too Large" in answer
    assert not answer or b"application/problem+json" in answer


@pytest.mark.parametrize(
    "half",
    [b"", GET, GET + b"X-A: a", b"\r\n\r\n", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf"],
    ids=["nothing", "a line", "half a header", "empty lines", "half a body"],
)
async def test_a_connection_on_which_nothing_comes_is_closed(half: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_protocol, "HEAD_TIMEOUT", 0.2)
    monkeypatch.setattr(bounded_protocol, "BODY_SILENCE", 0.2)
    async with listening(echo) as port:
        assert b"200 OK" not in await said(port, half)


async def test_who_sends_the_largest_body_there_is_hears_why_it_was_not_read() -> None:
    async with listening(echo) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        largest = Settings(database_url="postgresql://nowhere").body_limit
        writer.write(b"POST /deaf HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % largest)
        # Sent whole before the answer is read, as most clients do.
        for _ in range(0, largest, 65_536):
            writer.write(b"x" * 65_536)
            await writer.drain()
        async with within(20):
            assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
        writer.close()


async def test_a_body_nobody_reads_does_not_come_for_ever() -> None:
    async with listening(echo) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        sent = 0
        writer.write(b"POST /deaf HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
        assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
        try:
            async with within(20):
                while sent < 30 * DRAINED:
                    writer.write(b"x" * 65_536)
                    await writer.drain()
                    sent += 65_536
        except ConnectionError:
            pass
        finally:
            writer.close()
    assert sent < 15 * DRAINED


def test_a_process_takes_fewer_connections_than_it_may_open_files() -> None:
    assert 64 <= most_connections() <= 4_000
