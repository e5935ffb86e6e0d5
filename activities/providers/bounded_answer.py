"""Asks a provider over HTTP and reads no more of its answer than an answer can be."""

import zlib
from typing import Any, Final

import httpx

#: Bytes of an answer, unpacked. What providers say fits into a hundredth of it.
MOST: Final = 256 * 1024

_GZIP: Final = 16 + zlib.MAX_WBITS


async def ask(client: httpx.AsyncClient, method: str, url: str, **options: Any) -> httpx.Response:
    """The answer to a request. Raises what httpx raises; redirects are not followed.

    The trap: an answer that is too large, or is packed so that it cannot be read, comes back with its status and
    without a body. A few hundred bytes of gzip can hold a gigabyte, so it is unpacked no further than the bound.
    """
    options["headers"] = {"Accept-Encoding": "gzip", **(options.get("headers") or {})}
    async with client.stream(method, url, follow_redirects=False, **options) as response:
        packed = bytearray()
        async for chunk in response.aiter_raw():
            packed += chunk
            if len(packed) > MOST:
                break
    headers = [
        (name, value)
        for name, value in response.headers.multi_items()
        if name not in {"content-encoding", "content-length", "transfer-encoding"}
    ]
    content = _unpacked(bytes(packed), response.headers.get("content-encoding", "identity").strip().lower())
    return httpx.Response(response.status_code, headers=headers, content=content, request=response.request)


def _unpacked(packed: bytes, encoding: str) -> bytes:
    content = packed if encoding in {"identity", ""} else b""
    if encoding in {"gzip", "x-gzip"}:
        try:
            content = zlib.decompressobj(_GZIP).decompress(packed, MOST + 1)
        except zlib.error:
            content = b""
    return b"" if max(len(packed), len(content)) > MOST else content
