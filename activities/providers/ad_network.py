"""Audiences at an ad network, over an API of the shape of Meta's Custom Audiences (`/{audience}/users`).

`POST` adds people and `DELETE` takes them out, 10,000 at most in one request, by SHA-256 of mail address and number. To
add who is there, or take out who is not, changes nothing there, so that what is in doubt is simply said again.
Source: Meta, Marketing API, "Customer File Custom Audiences" and "Custom Audience Users".
"""

import secrets
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final, Literal

import httpx
import orjson

from activities.audiences import Line
from activities.providers.ad_networks import AdNetworkUnavailable, LinesRefused
from activities.providers.bounded_answer import ask

_SCHEMA: Final = ("EMAIL", "PHONE")


class CustomAudiences:
    """An ad network's audiences. `url` is the API with its version, `token` what it knows us by."""

    def __init__(
        self, url: str, token: str, client: httpx.AsyncClient, *, timeout: timedelta = timedelta(seconds=30)
    ) -> None:
        if not url.startswith(("https://", "http://127.0.0.1", "http://localhost")):
            raise ValueError("The ad network's API is at an address like https://host/v25.0; correct AD_NETWORK_URL.")
        if not token.strip():
            raise ValueError("The ad network needs a token to know us by; set AD_NETWORK_TOKEN.")
        self._url = url.rstrip("/")
        self._token = token
        self._client = client
        self._timeout = timeout.total_seconds()

    async def add(self, audience: str, lines: Sequence[Line], *, agreed: bool = False) -> None:  # noqa: ARG002
        """Add people to an audience; see `AdNetwork.add`. This network asks for no consent in the request."""
        await self._tell("POST", audience, lines)

    async def remove(self, audience: str, lines: Sequence[Line]) -> None:
        """Take people out of an audience; see `AdNetwork.remove`."""
        await self._tell("DELETE", audience, lines)

    async def _tell(self, method: Literal["POST", "DELETE"], audience: str, lines: Sequence[Line]) -> None:
        data = orjson.dumps({"schema": _SCHEMA, "data": lines})
        session = {
            # One of its own for each request: the same people may join, leave and join again.
            "session_id": secrets.randbits(48),
            "batch_seq": 1,
            "last_batch_flag": True,
            "estimated_num_total": len(lines),
        }
        # The token goes in the body: addresses end in logs.
        form = {"access_token": self._token, "payload": data.decode(), "session": orjson.dumps(session).decode()}
        try:
            response = await ask(
                self._client, method, f"{self._url}/{audience}/users", data=form, timeout=self._timeout
            )
        except (httpx.HTTPError, OSError, TimeoutError) as error:
            raise AdNetworkUnavailable(f"The ad network did not answer ({type(error).__name__}).") from None
        answer = _read(response)
        if not response.is_success:
            said = answer.get("error")
            code = said.get("code") if isinstance(said, dict) else None
            raise AdNetworkUnavailable(
                f"The ad network answered {response.status_code} (its code {code}); look at the audience and the token."
            )
        if answer.get("num_received") == len(lines) and answer.get("num_invalid_entries", 0) != 0:
            raise LinesRefused("The ad network cannot read some of what it was told.")
        if answer.get("num_received") != len(lines):
            raise AdNetworkUnavailable("The ad network did not take all that it was told.")


def _read(response: httpx.Response) -> dict[str, Any]:
    try:
        answer = orjson.loads(response.content)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}
