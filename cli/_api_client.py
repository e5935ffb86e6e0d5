"""The HTTP API as commands call it: with a key, and again while it is away."""

import time
from typing import Any, Final

import httpx

from cli._console import say
from workflows.errors import JourneysError

Answer = dict[str, Any]

#: Seconds between two attempts.
PAUSE: Final = 0.5
#: Seconds an API that answered before may be away.
AWAY_LIMIT: Final = 60.0


class ApiRefused(JourneysError):
    """The API said no, or does not answer; the sentence says which and what to do."""


class ApiClient:
    """One API, called with one key."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url.rstrip("/")
        self._http = httpx.Client(base_url=self._url, headers={"Authorization": f"Bearer {key}"}, timeout=120)
        self._answered = False

    def get(self, path: str, **query: Any) -> Answer:
        """What is at `path`. Raises ApiRefused."""
        return self._ask("GET", path, params=query)

    def post(self, path: str, body: Answer | None = None, *, idempotency_key: str | None = None) -> Answer:
        """Have something done; `idempotency_key` names it, so that it is done once however often it is asked for."""
        return self._ask(
            "POST", path, json=body, headers={} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
        )

    def _ask(self, method: str, path: str, **how: Any) -> Answer:
        until, told_away = time.monotonic() + AWAY_LIMIT, False
        while True:
            try:
                answer = self._http.request(method, path, **how)
            except httpx.UnsupportedProtocol:
                raise ApiRefused(f"{self._url} is not an HTTP address; write --url http://HOST:PORT.") from None
            except httpx.TransportError as error:
                if not self._answered:
                    raise ApiRefused(
                        f"No API answers at {self._url} ({type(error).__name__}); start the stack with `journeys up`, "
                        "or name another address with --url."
                    ) from None
                trouble = type(error).__name__
            else:
                self._answered = True
                if answer.is_success:
                    told: Answer = answer.json()
                    return told
                trouble = _sentence(answer)
                if answer.status_code not in {502, 503, 504}:
                    raise ApiRefused(trouble)
            if not told_away:
                told_away = True
                sentence = f"The API at {self._url} or its database is away; trying again for up to {AWAY_LIMIT:.0f} s."
                say(f"{sentence} ({trouble})")
            if time.monotonic() > until:
                raise ApiRefused(f"The API at {self._url} has been away for {AWAY_LIMIT:.0f} s: {trouble}")
            time.sleep(PAUSE)


def _sentence(answer: httpx.Response) -> str:
    try:
        problem = answer.json()
        faults = [fault["detail"] for fault in problem.get("errors", [])]
        return " ".join([problem["detail"], *faults])
    except (ValueError, KeyError, TypeError):
        return f"{answer.url} answered {answer.status_code}, which no API of ours does; correct --url."
