"""Unpacks gzipped bodies at every door, a piece at a time, so that nothing below knows how a body travelled."""

import zlib
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import Problem

_GZIP: Final = 16 + zlib.MAX_WBITS
#: Bytes unpacked at a time.
_PIECE: Final = 64 * 1024
#: How many times its size a body may unpack to, beyond the first megabyte; events do to 10 or 30 times, zeros to 1,000.
MOST_TIMES: Final = 100
UNPACKED_FREELY: Final = 1024 * 1024


class ContentEncoding:
    """Reads a body as `Content-Encoding` says, gzip or as it is; any other is refused by its name.

    What counts and bounds a body stands inside, so that its limits are those of the unpacked body. A stream has none,
    which is why no body may unpack to more than a hundred times its size.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Raises `Problem`, also from below, where the body is read."""
        if scope["type"] == "http":
            named = ", ".join(Headers(scope=scope).getlist("content-encoding")).strip().lower()
            if named in {"gzip", "x-gzip"}:
                # In place: what stands outside reads the route from this very scope.
                told = (b"content-encoding", b"content-length")
                scope["headers"] = [(name, value) for name, value in scope["headers"] if name.lower() not in told]
                receive = _unpacked(receive)
            elif named not in {"", "identity"}:
                raise Problem(
                    "media-type",
                    f"Content-Encoding {named[:64]} is not read here; send the body as it is, or with "
                    "Content-Encoding: gzip.",
                )
        await self.app(scope, receive, send)


def _unpacked(receive: Receive) -> Receive:
    unpacking = zlib.decompressobj(_GZIP)
    waiting = b""
    packed = taken = 0
    more, full, over = True, False, False

    async def unpacked() -> Message:
        nonlocal waiting, packed, taken, more, full, over
        if over:
            return await receive()
        while True:
            if more and not waiting and not full:
                message = await receive()
                if message["type"] != "http.request":
                    return message
                waiting, more = message.get("body", b""), message.get("more_body", False)
                packed += len(waiting)
            try:
                piece = unpacking.decompress(waiting, _PIECE)
            except zlib.error:
                raise Problem("malformed", "The body is not gzip; send it as Content-Encoding says.") from None
            # A full piece may not be all that the bytes hold: what is left inside comes before the next are read.
            waiting, full = unpacking.unconsumed_tail, len(piece) == _PIECE
            taken += len(piece)
            if taken > UNPACKED_FREELY + MOST_TIMES * packed:
                raise Problem(
                    "too-large", f"The body unpacks to over {MOST_TIMES} times its size; send less at a time."
                )
            over = not (more or waiting or full)
            if unpacking.unused_data or (over and not unpacking.eof):
                detail = "The gzipped body is cut short or is followed by something; send it again."
                raise Problem("malformed", detail)
            if piece or over:
                return {"type": "http.request", "body": piece, "more_body": not over}

    return unpacked
