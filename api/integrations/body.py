"""Reads a JSON body, perhaps gzipped, with every fraction exactly as it was written."""

import json
import zlib
from decimal import Decimal
from typing import Final

import orjson
from fastapi import Request

from api.problems import Problem

_GZIP: Final = 16 + zlib.MAX_WBITS


async def read_document(request: Request, limit: int) -> object:
    """The document of a request, fractions as `Decimal`. Raises `Problem` 400, 413 or 415.

    `limit` bounds what a gzipped body may grow to: a small one can hold gigabytes of zeros.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise Problem("media-type", "Send application/json.")
    body = await request.body()
    match request.headers.get("content-encoding", "identity").strip().lower():
        case "identity" | "":
            pass
        case "gzip" | "x-gzip":
            body = _inflated(body, limit)
        case _:
            raise Problem("media-type", "Send the body as it is, or with Content-Encoding: gzip.")
    try:
        # The standard library keeps fractions exact but takes NaN and half characters, which nothing here can keep.
        orjson.loads(body)
        return json.loads(body, parse_float=Decimal)
    except (ValueError, RecursionError):
        raise Problem("malformed", "The body is not UTF-8 JSON; send one JSON document, not nested deeply.") from None


def _inflated(body: bytes, limit: int) -> bytes:
    inflating = zlib.decompressobj(_GZIP)
    try:
        inflated = inflating.decompress(body, limit + 1)
    except zlib.error:
        raise Problem("malformed", "The body is not gzip; send it as Content-Encoding says.") from None
    if len(inflated) > limit:
        raise Problem("too-large", f"Send at most {limit} bytes in one request, counted before compression.")
    if not inflating.eof or inflating.unused_data:
        raise Problem("malformed", "The gzipped body is cut short or is followed by something; send it again.")
    return inflated
