"""Push over an HTTP API of the shape of Firebase Cloud Messaging v1 (`POST /v1/projects/…/messages:send`).

A message goes to each of the player's devices; one that takes it is enough. `UNREGISTERED`, and what Apple's service
says in its place (410), means that a token is dead: it is told to whoever keeps tokens and never tried again. The
service keeps no keys, so what is in doubt is not repeated.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx
import orjson

from activities.providers.adapter import Delivered, OutgoingMessage, Rejected
from activities.providers.bounded_answer import ask
from activities.providers.device_push import DeviceAnswer, judge
from activities.providers.service_account import NotLetIn, ServiceAccount
from activities.providers.webhook import retry_after

_SCOPE: Final = "https://www.googleapis.com/auth/firebase.messaging"
#: Codes that are about the token: no app has it any more; it is another sender's.
_DEAD: Final = frozenset({"UNREGISTERED", "SENDER_ID_MISMATCH", "Unregistered", "BadDeviceToken", "ExpiredToken"})
_NOT_THE_MESSAGE: Final = frozenset({401, 403, 404, 405, 408, 429})


class PushApiAdapter:
    """Push to devices. `url` is the whole address that takes messages, `account` a service account as JSON."""

    keeps_keys = False

    def __init__(
        self, url: str, account: str, client: httpx.AsyncClient, *, timeout: timedelta = timedelta(seconds=20)
    ) -> None:
        if not url.startswith(("https://", "http://127.0.0.1", "http://localhost")):
            raise ValueError("The push API is at an address like https://host/…/messages:send; correct PUSH_API_URL.")
        try:
            self._account = ServiceAccount(account, _SCOPE, client, timeout)
        except ValueError as error:
            raise ValueError(f"PUSH_API_ACCOUNT is {error}") from None
        self._url = url
        self._client = client
        self._timeout = timeout

    async def deliver(self, message: OutgoingMessage, now: datetime) -> Delivered | Rejected:
        """Hand a message to every device of the player; see `Adapter.deliver`."""
        tokens = message.to.split()
        return judge(message, tokens, await self.send_each(message, tokens, now))

    async def send_each(self, message: OutgoingMessage, tokens: Sequence[str], now: datetime) -> list[DeviceAnswer]:
        """What became of a message on each device; see `DeviceService.send_each`."""
        if not tokens:
            return []
        try:
            async with asyncio.timeout(self._timeout.total_seconds()):
                access = await self._account.let_in(now)
        except NotLetIn as refused:
            says = f"The push service did not know the service account ({refused.status}); try again."
            return [DeviceAnswer("away", refused.status, says=says)] * len(tokens)
        except (httpx.HTTPError, OSError, TimeoutError) as error:
            says = f"The push service lets nobody in ({type(error).__name__}); try again."
            return [DeviceAnswer("away", says=says)] * len(tokens)
        told = await asyncio.gather(*(self._send(message, token, access, now) for token in tokens))
        if any(one.status == 401 for one in told):
            self._account.forget()
        return list(told)

    async def _send(self, message: OutgoingMessage, token: str, access: str, now: datetime) -> DeviceAnswer:
        try:
            async with asyncio.timeout(self._timeout.total_seconds()):
                response = await ask(
                    self._client,
                    "POST",
                    self._url,
                    json=_asked(message, token),
                    headers={"Authorization": f"Bearer {access}"},
                    timeout=self._timeout.total_seconds(),
                )
        except (httpx.HTTPError, OSError, TimeoutError) as error:
            began = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
            return DeviceAnswer("away", may_have_arrived=began)
        return _told(response, now)


def _asked(message: OutgoingMessage, token: str) -> dict[str, Any]:
    return {
        "message": {
            "token": token,
            "notification": {"title": message.title, "body": message.body},
            # By which the app tells what became of it.
            "data": {"key": message.key, "language": message.language, "class": message.message_class},
        }
    }


def _told(response: httpx.Response, now: datetime) -> DeviceAnswer:
    status, answer = response.status_code, _read(response)
    if response.is_success:
        return DeviceAnswer("taken", status, str(answer.get("name") or ""))
    if status == 410 or _is_about_the_token(answer):
        at = answer.get("timestamp")
        since = datetime.fromtimestamp(at / 1000, UTC) if isinstance(at, int) and 0 < at < 2**43 else None
        return DeviceAnswer("dead", status, since=since)
    if 400 <= status < 500 and status not in _NOT_THE_MESSAGE:
        return DeviceAnswer("refused", status)
    pause = retry_after(response.headers.get("retry-after"), now)
    return DeviceAnswer("away", status, pause=pause, may_have_arrived=status >= 500)


def _is_about_the_token(answer: Mapping[str, Any]) -> bool:
    """Whether the service says that the token leads nowhere: by its own code, or by the field that is wrong."""
    error = answer.get("error")
    details = error.get("details") if isinstance(error, dict) else None
    parts = [one for one in details if isinstance(one, dict)] if isinstance(details, list) else []
    codes = {str(one.get("errorCode")) for one in parts} | {str(answer.get("reason"))}
    fields = [one.get("fieldViolations") for one in parts]
    wrong = [one.get("field") for some in fields if isinstance(some, list) for one in some if isinstance(one, dict)]
    return not codes.isdisjoint(_DEAD) or "message.token" in wrong


def _read(response: httpx.Response) -> dict[str, Any]:
    try:
        answer = orjson.loads(response.content)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}
