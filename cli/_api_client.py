"""The HTTP API as a command calls it: one answer at a time, a problem of the API as a sentence."""

import asyncio
from datetime import timedelta
from types import TracebackType
from typing import Any, Final, Self

import httpx

from activities.importing.api_client import ApiClient
from cli._console import say
from workflows.errors import JourneysError

Answer = dict[str, Any]

#: How long an API that answered before may be away, and the seconds of the longest pause between two attempts.
RETRY_FOR: Final = timedelta(minutes=1)
LONGEST_PAUSE: Final = 0.5


class ApiRefused(JourneysError):
    """The API said no; the sentence is its own."""


class BlockingApi:
    """One API, called with one key by a command that waits for each answer.

    Its event loop runs only during a call, so that Ctrl-C ends a question at the terminal as it does anywhere else.
    """

    def __init__(self, url: str, key: str) -> None:
        self._runner = asyncio.Runner()
        self._http = httpx.AsyncClient(timeout=120)
        self._api = ApiClient(
            self._http, url.rstrip("/"), key, self._say_away, RETRY_FOR, LONGEST_PAUSE, describe=_problem
        )
        self._said_away = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runner.run(self._http.aclose())
        self._runner.close()

    def get(self, path: str) -> Answer:
        """What is at `path`. Raises `ApiRefused`, or as `ApiClient.request` does."""
        return self._ask("GET", path)

    def get_list(self, path: str) -> list[Answer]:
        """The same of what answers with a list."""
        found: object = self._ask("GET", path)
        return found if isinstance(found, list) else []

    def delete(self, path: str) -> Answer:
        """Have what is at `path` deleted, or begin to be."""
        return self._ask("DELETE", path)

    def post(self, path: str, body: Answer | None = None, *, idempotency_key: str | None = None) -> Answer:
        """Have something done; with an idempotency key it is done once, however often it is asked for."""
        headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
        return self._ask("POST", path, json=body, headers=headers)

    def download(self, path: str) -> bytes:
        """The file that is at `path`."""
        return self._answer("GET", path).content

    def _ask(self, method: str, path: str, **options: Any) -> Answer:
        document: Answer = self._answer(method, path, **options).json()
        return document

    def _answer(self, method: str, path: str, **options: Any) -> httpx.Response:
        self._said_away = False
        answer = self._runner.run(self._api.request(method, path, **options))
        if not answer.is_success:
            raise ApiRefused(_problem(answer))
        return answer

    def _say_away(self, trouble: str) -> None:
        if trouble and not self._said_away:
            self._said_away = True
            seconds = RETRY_FOR.total_seconds()
            sentence = f"The API at {self._api.url} or its database is away; trying again for up to {seconds:.0f} s."
            say(f"{sentence} ({trouble})")


def _problem(answer: httpx.Response) -> str:
    """What an answer of problem+json says, its faults included."""
    try:
        problem = answer.json()
        faults = [fault["detail"] for fault in problem.get("errors", [])]
        return " ".join([problem["detail"], *faults])
    except (ValueError, KeyError, TypeError):
        return f"{answer.url} answered {answer.status_code}, which no API of ours does; correct --url."
