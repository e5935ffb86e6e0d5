"""What every request passes before it reaches a route: log, metrics, headers, problems, key, bounds of the body.

Each is plain ASGI, so a stream passes through as it comes. `add_middleware` puts them in their order.
"""

import logging
import secrets
import time
from collections.abc import Iterable
from typing import Any, Final

from fastapi import FastAPI
from fastapi.routing import APIRoute
from prometheus_client import Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars, bound_contextvars, clear_contextvars, unbind_contextvars

from activities.intake.admission import AdmissionTimeout
from activities.intake.locked_elsewhere import PlayersLocked
from api.audit_trail import Audited
from api.bounds import ITEM, Bounds
from api.content_encoding import ContentEncoding
from api.database import AWAY
from api.dependencies import ApiEngine
from api.integrations.authorization import EVENTS, authorization_of, reads_no_items, takes_batches
from api.json_types import REPEATED, find_repeated_name
from api.permissions import player_key, scopes_asked
from api.problems import CORRECT, HELD, Problem, away

logger = logging.getLogger("journeys.api")

# A status has a counter of its own: a histogram for each of them would make a scrape of megabytes.
REQUESTS = Counter("journeys_http_requests_total", "Answers begun.", ["method", "route", "status"])
REQUEST_TIME = Histogram(
    "journeys_http_request_seconds",
    "Time to the first byte of an answer.",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 2.5, 10, 60),
)
NDJSON: Final = frozenset({"application/x-ndjson", "application/ndjson"})
#: Prefix of every path that needs a key, and of what lies under it and needs none.
PRIVATE: Final = "/v1/"
PUBLIC: Final = ("/v1/unsubscribe/", "/v1/answers/", "/v1/integrations/", "/v1/audience-files/")
#: Characters of a caller's own X-Request-ID that stand in the log.
LONGEST_REQUEST_ID: Final = 64

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


class LogContext:
    """Names the request on every line that is logged meanwhile: the caller's X-Request-ID, or an id made up here."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        named = Headers(scope=scope).get("x-request-id", "")[:LONGEST_REQUEST_ID]
        # A pipelined request is served in the context of the one before it.
        clear_contextvars()
        with bound_contextvars(request_id=named or secrets.token_hex(8)):
            try:
                await self.app(scope, receive, send)
            finally:
                # Bound by `KeyRequired`, and left for the layers around it.
                unbind_contextvars("brand")


class RequestMetrics:
    """Counts answers by method, route and status, and measures how long each took to begin by method and route."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()

        async def measured(message: Message) -> None:
            if message["type"] == "http.response.start":
                elapsed = time.perf_counter() - began
                method, route = _method(scope), _route(scope)
                REQUESTS.labels(method, route, str(message["status"])).inc()
                REQUEST_TIME.labels(method, route).observe(elapsed)
            await send(message)

        await self.app(scope, receive, measured)


class SecurityHeaders:
    """Puts on every answer the headers that tell a browser to be careful with it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if scope["path"] == "/docs":
                    headers["Content-Security-Policy"] = _DOCS_POLICY
            await send(message)

        await self.app(scope, receive, protected)


class ProblemResponses:
    """Answers whatever is raised below with a problem, unless an answer has begun."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; a caller who has hung up is answered nothing."""
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except ClientDisconnect:
            return
        except Exception as error:
            if begun or scope["type"] != "http":
                raise
            await _problem_of(error).response()(scope, receive, watched)


class KeyRequired:
    """Lets nobody below `/v1/` without a valid API key, which it leaves in the request's state."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Raises `Problem`."""
        if scope["type"] == "http":
            if b"%00" in scope.get("raw_path", b"") or b"%00" in scope["query_string"] or "\x00" in scope["path"]:
                raise Problem("malformed", "The address holds a NUL character; remove it.")
            path: str = scope["path"]
            if path.startswith(PRIVATE) and not path.startswith(PUBLIC):
                engine: ApiEngine = scope["app"].state.engine
                authorization = authorization_of(path, Headers(scope=scope))
                address, _ = scope.get("client") or (None, None)
                key = player_key(engine.player_tokens, authorization, engine.clock())
                key = key or await engine.keys.find(authorization, engine.clock(), address)
                scope.setdefault("state", {})["key"] = key
                bind_contextvars(brand=key.brand)
        await self.app(scope, receive, send)


class BodyBounds:
    """Reads a body as one piece when somebody below asks for it; refuses one too large, or too tangled to parse.

    The key's scope is asked first: nobody sends a body to where they may not act. A stream of events has no end that
    could be too far; its lines are bounded where they are read.
    """

    def __init__(self, app: ASGIApp, batches: Bounds) -> None:
        self.app = app
        self.batches = batches

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Raises `Problem`, also from below, where the body is read."""
        if scope["type"] == "http":
            path, headers = scope["path"], Headers(scope=scope)
            media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
            if path != EVENTS or media_type not in NDJSON:
                receive = _bounded(scope, receive, self.batches if takes_batches(path) else ITEM, headers)
        await self.app(scope, receive, send)


def _bounded(scope: Scope, receive: Receive, bounds: Bounds, headers: Headers) -> Receive:
    declared = headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > bounds.size:
        raise Problem("too-large", bounds.too_many_bytes)
    read = False

    async def bounded() -> Message:
        nonlocal read
        if read:
            return await receive()
        _check_scopes(scope)
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return message
            body += message.get("body", b"")
            if len(body) > bounds.size:
                raise Problem("too-large", bounds.too_many_bytes)
            more = message.get("more_body", False)
        read = True
        # Whatever the headers say: bytes of gzip are as good as never so many commas, and are judged again unpacked.
        if (excess := bounds.text_excess(body)) is not None:
            raise Problem("too-large", excess)
        if reads_no_items(scope["path"]) and (repeated := find_repeated_name(bytes(body))) is not None:
            raise Problem("invalid", CORRECT, errors=[{"pointer": repeated, "detail": REPEATED}])
        return {"type": "http.request", "body": bytes(body), "more_body": False}

    return bounded


def _check_scopes(scope: Scope) -> None:
    """Ask a key for the scopes of the route that is about to read a body. Raises `Problem` 403."""
    route, key = scope.get("route"), scope.get("state", {}).get("key")
    if isinstance(route, APIRoute) and key is not None:
        for asked in scopes_asked(route):
            asked.check(key)


def _problem_of(error: Exception) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, AdmissionTimeout):
        return away("More is sent than can be taken in; send the request again, doing so is safe.")
    if isinstance(error, PlayersLocked):
        return away(HELD)
    if isinstance(error, AWAY):
        return away()
    logger.error("A request failed by our own fault.", exc_info=error)
    return Problem("fault", "This is a mistake of the engine, not yours; it is in the log of the API.")


def _method(scope: Scope) -> str:
    known: Iterable[str] = ("GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS")
    return scope["method"] if scope["method"] in known else "other"


def _route(scope: Scope) -> str:
    # The route's template, never the path: a path holds ids and would make a series of each.
    route: Any = scope.get("route")
    return getattr(route, "path", None) or "none"


def add_middleware(app: FastAPI, batches: Bounds) -> None:
    """Put the layers around an application, the innermost first: what refuses a request is inside what answers it."""
    app.add_middleware(Audited)
    app.add_middleware(BodyBounds, batches=batches)
    app.add_middleware(ContentEncoding)
    app.add_middleware(KeyRequired)
    app.add_middleware(ProblemResponses)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(RequestMetrics)
    app.add_middleware(LogContext)
