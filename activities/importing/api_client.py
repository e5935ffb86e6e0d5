"""A client of our own HTTP API for imports, the command line and the demo; it retries while the API is away.

Whatever is asked here may arrive twice: reads, events (kept once by source and id), and requests that carry an
idempotency key.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import httpx
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_before_delay, wait_exponential

from workflows.errors import JourneysError

#: Statuses of an API, or of what stands before it, that is away for a moment.
AWAY: Final = frozenset({502, 503, 504})
#: Seconds before the second attempt; it doubles from there.
FIRST_PAUSE: Final = 0.25


class ApiUnreachable(JourneysError):
    """Nothing has ever answered at the address; the sentence says what to do."""


class ApiAway(JourneysError):
    """An API that answered before has been away for too long; `trouble` says how that showed."""

    def __init__(self, url: str, retried_for: timedelta, trouble: str) -> None:
        super().__init__(f"The API at {url} has been away for {retried_for.total_seconds():.0f} s: {trouble}")
        self.trouble = trouble


class Stopped(Exception):
    """The caller stopped while the API was waited for."""


class _Unanswered(Exception):
    """An attempt without an answer, and how many seconds the API asks to wait, if it says."""

    def __init__(self, trouble: str, retry_after: float | None = None) -> None:
        super().__init__(trouble)
        self.trouble = trouble
        self.retry_after = retry_after


@dataclass
class ApiClient:
    """One API with one key. `on_wait` hears why it is waited for, and an empty text once the wait is over.

    An API that never answered is not waited for: the address is more likely wrong.
    """

    http: httpx.AsyncClient
    url: str
    key: str
    on_wait: Callable[[str], None]
    #: How long an API that answered before may be away.
    retry_for: timedelta
    longest_pause: float = 10.0
    #: What an answer among AWAY says.
    describe: Callable[[httpx.Response], str] = lambda answer: f"it answered {answer.status_code}"
    answered: bool = False

    async def request(
        self, method: str, path: str = "", *, stop: asyncio.Event | None = None, **options: Any
    ) -> httpx.Response:
        """The first answer that is not among AWAY, whatever it says.

        Raises `ApiUnreachable`, `ApiAway`, and `Stopped` when `stop` was set during a wait.
        """
        headers = {"Authorization": f"Bearer {self.key}", **options.pop("headers", {})}
        again = AsyncRetrying(
            retry=retry_if_exception_type(_Unanswered),
            stop=stop_before_delay(self.retry_for),
            wait=self._pause_before,
            sleep=lambda seconds: self.wait(seconds, stop or asyncio.Event()),
            before_sleep=lambda state: self.on_wait(_unanswered(state).trouble),
            reraise=True,
        )
        try:
            return await again(self._attempt, method, f"{self.url}{path}", headers=headers, **options)
        except _Unanswered as last:
            raise ApiAway(self.url, self.retry_for, last.trouble) from None

    async def wait(self, seconds: float, stop: asyncio.Event) -> None:
        """Wait before an attempt. Raises `Stopped` as soon as `stop` is set."""
        try:
            await asyncio.wait_for(stop.wait(), seconds)
        except TimeoutError:
            self.on_wait("")
        else:
            raise Stopped

    async def _attempt(self, method: str, url: str, **options: Any) -> httpx.Response:
        try:
            answer = await self.http.request(method, url, **options)
        except httpx.UnsupportedProtocol:
            raise ApiUnreachable(f"{self.url} is not an HTTP address; write --url http://HOST:PORT.") from None
        except httpx.TransportError as error:
            trouble = str(error).strip().rstrip(".").lower() or type(error).__name__
            if not self.answered:
                raise ApiUnreachable(
                    f"No API answers at {self.url} ({trouble}); start the stack with `journeys up`, "
                    "or name another address with --url."
                ) from None
            raise _Unanswered(trouble) from None
        self.answered = True
        if answer.status_code in AWAY:
            raise _Unanswered(self.describe(answer), retry_after(answer))
        return answer

    def _pause_before(self, state: RetryCallState) -> float:
        doubling = wait_exponential(multiplier=FIRST_PAUSE, max=self.longest_pause)
        return _unanswered(state).retry_after or doubling(state)


def retry_after(answer: httpx.Response) -> float | None:
    """Seconds that an answer asks to wait, within reason; None if it does not say."""
    try:
        return min(max(float(answer.headers["Retry-After"]), 0.05), 60.0)
    except (KeyError, ValueError):
        return None


def _unanswered(state: RetryCallState) -> _Unanswered:
    error = state.outcome.exception() if state.outcome is not None else None
    assert isinstance(error, _Unanswered)
    return error
