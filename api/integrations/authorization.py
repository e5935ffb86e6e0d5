"""API keys as clients of Segment and Fast Track send them, on the paths of those and no others."""

from base64 import b64decode
from typing import Final

from starlette.datastructures import Headers

#: Where CloudEvents are sent.
EVENTS: Final = "/v1/events"
#: Segment's libraries send a write key as the user name of HTTP Basic authentication.
SEGMENT: Final = frozenset(
    f"/v1/{call}" for call in ("track", "identify", "batch", "import", "page", "screen", "group", "alias")
)
#: Feeds for Fast Track send it in a header of its own.
FAST_TRACK: Final = "/v1/integration/"


def takes_batches(path: str) -> bool:
    """Whether what is posted to a path may hold many events at a time."""
    return path == EVENTS or path in SEGMENT


def reads_no_items(path: str) -> bool:
    """Whether what is posted to a path is judged as a whole; where events are read each is refused by itself."""
    return not takes_batches(path) and not path.startswith(FAST_TRACK)


def authorization_of(path: str, headers: Headers) -> str | None:
    """The `Authorization` a request means, written as our own."""
    authorization = headers.get("authorization")
    if path in SEGMENT and authorization is not None and authorization[:6].lower() == "basic ":
        try:
            user, _, _ = b64decode(authorization[6:].strip(), validate=True).decode("latin-1").partition(":")
        except ValueError:
            return authorization
        return f"Bearer {user}"
    if authorization is None and path.startswith(FAST_TRACK) and "x-api-key" in headers:
        return f"Bearer {headers['x-api-key']}"
    return authorization
