"""A mail server on loopback that breaks off where a test says."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from activities.providers.email import EmailAdapter


@asynccontextmanager
async def speaking(timeout: timedelta, *, after_content: str = "", after_yes: str = "") -> AsyncIterator[EmailAdapter]:
    """A mail server that takes a mail's content and then hangs up or falls silent, before its yes or after it."""
    done = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for reply in (b"220 hello", b"250 hello", b"250 from", b"250 to", b"354 go on"):
            writer.write(reply + b"\r\n")
            await reader.readuntil(b"\r\n.\r\n" if reply.startswith(b"354") else b"\r\n")
        end = after_content
        if not after_content:
            writer.write(b"250 taken\r\n")
            await reader.readuntil(b"\r\n")
            end = after_yes
        if end == "fall silent":
            await done.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        port = server.sockets[0].getsockname()[1]
        yield EmailAdapter(f"smtp://127.0.0.1:{port}", sender="casino@northlight.example", timeout=timeout)
    finally:
        done.set()
        server.close()
