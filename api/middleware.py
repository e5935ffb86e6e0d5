"""The outermost layer: who calls, how much they may send, what every answer carries, how long it took."""

import logging
import time
from collections.abc import Iterable
from typing import Any, Final

from fastapi import FastAPI
from prometheus_client import Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from activities.intake.admission import AdmissionTimeout
from api.credentials import authorization_of
from api.database import AWAY
from api.dependencies import ApiEngine
from api.problems import Problem, away

logger = logging.getLogger("journeys.api")

REQUESTS = Histogram(
    "journeys_http_request_seconds",
    "Time to the first byte of an answer.",
    ["method", "route", "status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60),
)
NDJSON: Final = frozenset({"application/x-ndjson", "application/ndjson"})
#: Prefix of every path that needs a key, and of what lies under it without needing one.
PRIVATE: Final = "/v1/"
PUBLIC: Final = "/v1/unsubscribe/"

_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
# The documentation page starts Swagger UI inline; its assets are our own.
_DOCS_POLICY: Final = (
    "default-src 'none'; connect-src 'self'; img-src 'self' data:; script-src 'self' 'unsafe-inline'; "
    "style-src 'self' 'unsafe-inline'; frame-ancestors 'none'"
)


class ApiMiddleware:
    """Guards the application. It is plain ASGI, so a body passes through it as it comes."""

    def __init__(self, app: ASGIApp, owner: FastAPI, body_limit: int) -> None:
        self.app = app
        self.owner = owner
        self.body_limit = body_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; whatever goes wrong below becomes a problem."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _protect(message, scope["path"])
                elapsed = time.perf_counter() - began
                REQUESTS.labels(_method(scope), _route(scope), str(status)).observe(elapsed)
            await send(message)

        try:
            receiving = await self._admitted(scope, receive)
            await self.app(scope, receiving, sending)
        except ClientDisconnect:
            return
        except Exception as error:
            if status:
                raise
            await _problem_of(error).response()(scope, receive, sending)

    async def _admitted(self, scope: Scope, receive: Receive) -> Receive:
        """The request's body, bounded, once its sender is known. Raises `Problem`."""
        headers = Headers(scope=scope)
        if b"%00" in scope.get("raw_path", b"") or b"%00" in scope["query_string"] or "\x00" in scope["path"]:
            raise Problem("malformed", "The address holds a NUL character; remove it.")
        if scope["path"].startswith(PRIVATE) and not scope["path"].startswith(PUBLIC):
            engine: ApiEngine = self.owner.state.engine
            key = await engine.keys.find(authorization_of(scope["path"], headers), engine.clock())
            scope.setdefault("state", {})["key"] = key
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type in NDJSON:
            # A stream has no end that could be too far; its lines are bounded where they are read.
            return receive
        return _bounded(receive, self.body_limit, headers.get("content-length"))


def _bounded(receive: Receive, limit: int, declared: str | None) -> Receive:
    problem = Problem("too-large", f"Send at most {limit} bytes in one request; GET /v1/limits lists the limits.")
    if declared is not None and declared.isdecimal() and int(declared) > limit:
        raise problem
    taken = 0

    async def bounded() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > limit:
            raise problem
        return message

    return bounded


def _problem_of(error: Exception) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, AdmissionTimeout):
        return away("More history is sent than can be taken in; send the request again, doing so is safe.")
    if isinstance(error, AWAY):
        return away()
    logger.error("A request failed by our own fault.", exc_info=error)
    return Problem("fault", "This is a mistake of the engine, not yours; it is in the log of the API.")


def _protect(message: Message, path: str) -> None:
    headers = MutableHeaders(scope=message)
    for name, value in _HEADERS.items():
        headers.setdefault(name, value)
    if path == "/docs":
        headers["Content-Security-Policy"] = _DOCS_POLICY


def _method(scope: Scope) -> str:
    known: Iterable[str] = ("GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS")
    return scope["method"] if scope["method"] in known else "other"


def _route(scope: Scope) -> str:
    # The route's template, never the path: a path holds ids and would make a series of each.
    route: Any = scope.get("route")
    return getattr(route, "path", None) or "none"
