"""Whether the event loop of a worker or a dispatcher still turns: `/livez`, beside `/metrics` on the same port.

The page is answered by a thread, which would answer for ever while the loop hangs; so the loop leaves a sign of life
and the thread looks how old it is. The API needs none of this: its own `/livez` is answered by its loop.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import disable_created_metrics, make_wsgi_app

# When a series began is a line of each, and nobody asks.
disable_created_metrics()  # type: ignore[no-untyped-call]  # annotated nowhere in the library

#: Seconds between two signs of life, and without one after which the process is taken for dead.
BEAT_EVERY, DEAD_AFTER = 1.0, 30.0
PATH: Final = "/livez"


class Heartbeat:
    """When the event loop last turned."""

    def __init__(self, timer: Callable[[], float] = time.monotonic) -> None:
        self._timer = timer
        self._last = timer()

    @property
    def age(self) -> float:
        """Seconds since the last sign of life."""
        return self._timer() - self._last

    @property
    def alive(self) -> bool:
        """Whether the loop turned a moment ago."""
        return self.age < DEAD_AFTER

    def beat(self) -> None:
        """Leave a sign of life."""
        self._last = self._timer()

    async def run(self, stop: asyncio.Event) -> None:
        """Leave signs of life until told to stop."""
        while not stop.is_set():
            self.beat()
            await asyncio.sleep(BEAT_EVERY)


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the standard library
        """Say nothing: a page that is asked for every few seconds is no news."""


def application(heartbeat: Heartbeat) -> Callable[..., Iterable[bytes]]:
    """The WSGI application behind the port: metrics, and whether the loop turns."""
    metrics = make_wsgi_app()

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ.get("PATH_INFO") != PATH:
            answered: Iterable[bytes] = metrics(environ, start_response)
            return answered
        status = "200 OK" if heartbeat.alive else "503 Service Unavailable"
        start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [f"The event loop turned {heartbeat.age:.1f} s ago.\n".encode()]

    return answer


def serve(port: int, host: str, heartbeat: Heartbeat) -> WSGIServer:
    """Answer on a port from now on, in a thread that ends with the process. Raises OSError where the port is taken."""
    server = make_server(host, port, application(heartbeat), _Server, handler_class=_Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
