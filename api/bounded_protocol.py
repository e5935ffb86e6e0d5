"""The HTTP/1.1 protocol of the API: bounds on what a connection may send before anybody knows whose it is.

uvicorn bounds neither the head of a request nor the time that one takes, so a stranger could fill the memory with one
header, or hold every descriptor with half a request each. A proxy in front bounds both too; the process is safe alone.
"""

import asyncio
import resource
from typing import Any, Final, Literal, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.problems import Problem

#: Bytes of the request line and all headers together.
HEAD_LIMIT: Final = 64 * 1024
#: Seconds in which the head of a request must have come, counted from the connection or from its first byte.
HEAD_TIMEOUT: Final = 10.0
#: Seconds for which the sender of a body may say nothing; while we do not read, its silence is ours.
BODY_SILENCE: Final = 30.0
#: Bytes that are still read of a body nobody asked for, so that its sender sees the answer: as many as one may have.
DRAINED: Final = 4 * 1024 * 1024


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with bounds: 431 for a head that is too large, and no waiting for one that never comes."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._reading: Literal["head", "body"] | None = None
        self._head_bytes = 0
        self._drained = 0
        self._heard = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Expect the first request."""
        super().connection_made(transport)
        self._begin_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Watch it no longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, as far as the bounds go."""
        if self._reading is None:
            self._begin_head()
        elif self._reading == "body":
            self._heard = self.loop.time()
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._reading == "head":
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_LIMIT:
                self._refuse_head()
        elif self._reading == "body" and self.cycle.response_complete:
            self._drained += len(data)
            if self._drained > DRAINED:
                self.transport.close()

    def on_message_begin(self) -> None:
        """Count anew: this may be a request that came in one piece with the one before."""
        super().on_message_begin()
        if self._reading is None:
            self._begin_head()

    def on_headers_complete(self) -> None:
        """Hand the request on; from here its body counts."""
        super().on_headers_complete()
        self._reading, self._head_bytes, self._drained, self._heard = "body", 0, 0, self.loop.time()

    def on_message_complete(self) -> None:
        """Wait for the application, for as long as it takes."""
        super().on_message_complete()
        self._reading = None

    def _begin_head(self) -> None:
        self._reading, self._head_bytes, self._heard = "head", 0, self.loop.time()
        if self._timer is None:
            self._timer = self.loop.call_later(HEAD_TIMEOUT, self._check)

    def _check(self) -> None:
        """Close a connection that says nothing for too long, or look again when it may be."""
        self._timer = None
        if self._reading is None or self.transport.is_closing():
            return
        if self._reading == "body" and self.flow.read_paused:
            self._heard = self.loop.time()
        limit = HEAD_TIMEOUT if self._reading == "head" else BODY_SILENCE
        left = self._heard + limit - self.loop.time()
        if left <= 0:
            self.transport.close()
        else:
            self._timer = self.loop.call_later(left, self._check)

    def _refuse_head(self) -> None:
        detail = f"Send at most {HEAD_LIMIT} bytes of address and headers in one request."
        answer = Problem("head-too-large", detail).response()
        lines = [b"HTTP/1.1 431 Request Header Fields Too Large", b"connection: close"]
        lines += [name + b": " + value for name, value in answer.raw_headers]
        self.transport.write(b"\r\n".join([*lines, b"", cast("bytes", answer.body)]))
        self.transport.close()

    def _unsupported_upgrade_warning(self) -> None:
        # Whoever asks for WebSockets is answered over HTTP; a line of log for each would be a stranger's to fill.
        pass


def most_connections() -> int:
    """How many connections a process takes at a time; beyond them it answers 503 at once.

    Below the limit of descriptors, beyond which nobody could connect and nothing could be opened.
    """
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 4_000 if descriptors == resource.RLIM_INFINITY else max(64, min(4_000, descriptors - 128))
